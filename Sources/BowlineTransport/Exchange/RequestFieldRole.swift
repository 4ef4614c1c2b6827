internal import BowlineCore

/// How a caller's header field is sent. Only the name of the field decides. No other code distinguishes a request's
/// header fields by name.
///
/// ``RequestFieldCheck`` checks the value. Both encoders follow the role:
///
/// | role | checked | HTTP/1.1 | HTTP/2 |
/// |---|---|---|---|
/// | ``plain`` | no control characters in the value | as it is | as it is |
/// | ``secret`` | likewise | as it is | never in the compression table |
/// | ``cookie`` | likewise | several lines become one (RFC 6265 §5.4) | a field for each pair (RFC 9113 §8.2.3) |
/// | ``upgrade`` | likewise | as it is, and adds `Connection: upgrade` | the request is refused |
/// | ``host`` | appears once, is a host | replaces the URL's host | `:authority` |
/// | ``contentLength`` | is the length of the body | written from the framing | written from the framing |
/// | ``transferEncoding`` | is `chunked`, and the body is chunked | written from the framing | not sent |
/// | ``connection`` | `close` is honoured; `keep-alive`, `te` and `upgrade` add nothing | written anew | not sent |
/// | ``trailersWanted`` | is `trailers` | as it is, and adds `Connection: TE` | in lower case (RFC 9113 §8.2.2) |
/// | ``expect`` | is `100-continue` | dropped if there is no body | likewise |
/// | ``dropped``: `Keep-Alive`, `Proxy-Connection` | not at all | not sent | not sent |
enum RequestFieldRole {
    case plain, secret, cookie, host, contentLength, transferEncoding, connection, upgrade, trailersWanted, expect
    case dropped

    /// Makes the role of the field with this name, ignoring case. The name must be a token.
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

    /// Makes the role of a field that has been checked.
    init(_ field: HTTPField) {
        self = field.name.canonicalName.withBytes { Self($0) }
    }

    /// Returns the only known name with this length and this first letter. Few other names have both, so a full
    /// comparison is rarely needed.
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
    /// Whether these bytes are `text`, ignoring case. `text` must be in lower case.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for position in 0..<count {
            let (byte, wanted) = (self[position], text.utf8Start[position])
            // Setting this bit turns an upper-case ASCII letter into lower case. It turns no other byte into a letter.
            guard byte == wanted || wanted > 0x60 && byte | 0x20 == wanted else { return false }
        }
        return true
    }
}
