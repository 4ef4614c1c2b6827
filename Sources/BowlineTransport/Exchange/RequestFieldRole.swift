internal import BowlineCore

/// What becomes of a caller's field, decided by its name alone. No other place tells the names of request fields apart.
///
/// ``RequestFieldCheck`` checks the value. Both encoders follow the role:
///
/// | role | checked | HTTP/1.1 | HTTP/2 |
/// |---|---|---|---|
/// | ``plain`` | no control characters in the value | as it is | as it is |
/// | ``secret`` | likewise | as it is | never in the compression table |
/// | ``cookie`` | likewise | several lines become one (RFC 6265 §5.4) | a field for each pair (RFC 9113 §8.2.3) |
/// | ``upgrade`` | likewise | as it is, and adds `Connection: upgrade` | the request is refused |
/// | ``host`` | stands once, is a host | replaces the URL's host | `:authority` |
/// | ``contentLength`` | is the length of the body | written from the framing | written from the framing |
/// | ``transferEncoding`` | is `chunked`, and the body too | written from the framing | not sent |
/// | ``connection`` | `close` is honoured; `keep-alive`, `te` and `upgrade` add nothing | written anew | not sent |
/// | ``trailersWanted`` | is `trailers` | as it is, and adds `Connection: TE` | in lower case (RFC 9113 §8.2.2) |
/// | ``expect`` | is `100-continue` | dropped if there is no body | likewise |
/// | ``dropped``: `Keep-Alive`, `Proxy-Connection` | not at all | not sent | not sent |
enum RequestFieldRole {
    case plain, secret, cookie, host, contentLength, transferEncoding, connection, upgrade, trailersWanted, expect
    case dropped

    /// The role of the field with this name, in upper or lower case. The name is a token.
    @inline(__always)
    init(_ name: UnsafeRawBufferPointer) {
        guard let first = name.first, let (known, role) = Self.candidate(count: name.count, first: first | 0x20),
            name.equalsIgnoringCase(known)
        else {
            self = .plain
            return
        }
        self = role
    }

    /// The role of a field that has been checked.
    init(_ field: HTTPField) {
        var name = field.name.canonicalName
        self = name.withUTF8 { Self(UnsafeRawBufferPointer($0)) }
    }

    /// Told apart by length and first letter: few others have both.
    private static func candidate(count: Int, first: UInt8) -> (name: StaticString, role: Self)? {
        switch (count, first) {
        case (2, UInt8(ascii: "t")): ("te", .trailersWanted)
        case (4, UInt8(ascii: "h")): ("host", .host)
        case (6, UInt8(ascii: "c")): ("cookie", .cookie)
        case (6, UInt8(ascii: "e")): ("expect", .expect)
        case (7, UInt8(ascii: "u")): ("upgrade", .upgrade)
        case (10, UInt8(ascii: "c")): ("connection", .connection)
        case (10, UInt8(ascii: "k")): ("keep-alive", .dropped)
        case (13, UInt8(ascii: "a")): ("authorization", .secret)
        case (14, UInt8(ascii: "c")): ("content-length", .contentLength)
        case (16, UInt8(ascii: "p")): ("proxy-connection", .dropped)
        case (17, UInt8(ascii: "t")): ("transfer-encoding", .transferEncoding)
        case (19, UInt8(ascii: "p")): ("proxy-authorization", .secret)
        default: nil
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes are `text`, in upper or lower case. `text` is in lower case.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for position in 0..<count {
            let (byte, wanted) = (self[position], text.utf8Start[position])
            // The bit makes a letter of ASCII lower case, and makes a letter of nothing else.
            guard byte == wanted || wanted > 0x60 && byte | 0x20 == wanted else { return false }
        }
        return true
    }
}
