internal import BowlineCore
internal import NIOCore

/// The field section of a request (RFC 9113 §8.3.1), encoded when it is written.
///
/// The caller's fields have passed ``HTTP1RequestWriter`` before: names are tokens, values free of control characters,
/// framing fields agree with the body. What speaks of an HTTP/1.1 connection is left out here (RFC 9113 §8.2.2), and so
/// is whitespace at a value's ends (RFC 9113 §8.2.1). The rest of a value is sent byte for byte, UTF-8 or not.
struct HTTP2RequestHead: HTTP2FieldSource {
    let method: String
    let scheme: String
    let authority: String
    let target: String
    let fields: HTTPFields
    /// The body's length; nil if it is not known, or if there is none and the method does not call for saying so.
    let contentLength: Int64?
    let expectsContinue: Bool

    var listSize: Int {
        var size = Self.listSize(7, method.utf8.count) + Self.listSize(7, scheme.utf8.count)
        if !authority.isEmpty { size += Self.listSize(10, authority.utf8.count) }
        size += Self.listSize(5, target.utf8.count)
        for field in fields {
            switch Self.kind(of: field.name.canonicalName) {
            case .leftOut: break
            case .plain, .secret:
                size += HTTP2FieldSize.of(field)
            case .trailersWanted:
                size += Self.listSize(2, 8)
            case .cookie:
                field.withUnsafeBytesOfValue { value in
                    Self.forEachCookie(in: UnsafeRawBufferPointer(value)) { size += Self.listSize(6, $0.count) }
                }
            }
        }
        if let contentLength { size += Self.listSize(14, String(contentLength).utf8.count) }
        if expectsContinue { size += Self.listSize(6, 12) }
        return size
    }

    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
        encoder.encode(name: ":method", value: method, indexing: .automatic, into: &buffer)
        encoder.encode(name: ":scheme", value: scheme, indexing: .automatic, into: &buffer)
        if !authority.isEmpty {
            encoder.encode(name: ":authority", value: authority, indexing: .automatic, into: &buffer)
        }
        encoder.encode(name: ":path", value: target, indexing: .automatic, into: &buffer)
        for field in fields { Self.encode(field, with: &encoder, into: &buffer) }
        if let contentLength {
            encoder.encode(name: "content-length", value: String(contentLength), indexing: .automatic, into: &buffer)
        }
        if expectsContinue {
            encoder.encode(name: "expect", value: "100-continue", indexing: .automatic, into: &buffer)
        }
    }

    private static func encode(
        _ field: HTTPField, with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer
    ) {
        switch kind(of: field.name.canonicalName) {
        case .leftOut: break
        case .plain: encoder.encode(field, indexing: field.hpackIndexing, into: &buffer)
        case .secret: encoder.encode(field, indexing: .never, into: &buffer)
        case .trailersWanted:
            encoder.encode(name: "te", value: "trailers", indexing: field.hpackIndexing, into: &buffer)
        case .cookie:
            var name = field.name.canonicalName
            name.withUTF8 { name in
                field.withUnsafeBytesOfValue { value in
                    forEachCookie(in: UnsafeRawBufferPointer(value)) { pair in
                        encoder.encode(
                            name: UnsafeRawBufferPointer(name), value: pair, indexing: .never, into: &buffer)
                    }
                }
            }
        }
    }

    /// Calls `body` with each pair of a `Cookie` field: one field each, so that those that stay the same are compressed
    /// (RFC 9113 §8.2.3).
    private static func forEachCookie(in value: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        while start < value.count {
            let end = value[start...].firstIndex(of: UInt8(ascii: ";")) ?? value.count
            let pair = UnsafeRawBufferPointer(rebasing: value[start..<end])
            let content = HTTP1Grammar.trimmed(pair)
            if !content.isEmpty { body(UnsafeRawBufferPointer(rebasing: pair[content])) }
            start = end + 1
        }
    }

    private static func listSize(_ name: Int, _ value: Int) -> Int {
        name + value + HTTP2FieldSize.overhead
    }

    private enum Kind {
        case plain, secret, cookie, leftOut
        /// `te`, which can only be `trailers`, and in lower case (RFC 9113 §8.2.2).
        case trailersWanted
    }

    /// Told apart by length and first letter: few others have both.
    private static func kind(of name: String) -> Kind {
        switch (name.utf8.count, name.utf8.first) {
        case (2, UInt8(ascii: "t")): name == "te" ? .trailersWanted : .plain
        case (4, UInt8(ascii: "h")): name == "host" ? .leftOut : .plain
        case (6, UInt8(ascii: "c")): name == "cookie" ? .cookie : .plain
        case (6, UInt8(ascii: "e")): name == "expect" ? .leftOut : .plain
        case (7, UInt8(ascii: "u")): name == "upgrade" ? .leftOut : .plain
        case (10, UInt8(ascii: "c")): name == "connection" ? .leftOut : .plain
        case (10, UInt8(ascii: "k")): name == "keep-alive" ? .leftOut : .plain
        case (13, UInt8(ascii: "a")): name == "authorization" ? .secret : .plain
        case (14, UInt8(ascii: "c")): name == "content-length" ? .leftOut : .plain
        case (16, UInt8(ascii: "p")): name == "proxy-connection" ? .leftOut : .plain
        case (17, UInt8(ascii: "t")): name == "transfer-encoding" ? .leftOut : .plain
        case (19, UInt8(ascii: "p")): name == "proxy-authorization" ? .secret : .plain
        default: .plain
        }
    }
}

/// The trailers of a request, encoded when they are written.
struct HTTP2RequestTrailers: HTTP2FieldSource {
    let fields: HTTPFields

    var listSize: Int {
        fields.reduce(0) { $0 + HTTP2FieldSize.of($1) }
    }

    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
        for field in fields { encoder.encode(field, indexing: field.hpackIndexing, into: &buffer) }
    }
}

/// What a field counts against SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2).
private enum HTTP2FieldSize {
    static let overhead = 32

    static func of(_ field: HTTPField) -> Int {
        field.name.canonicalName.utf8.count + field.withSentValue { $0.count } + overhead
    }
}

extension HTTPField {
    /// Runs `body` over the bytes of the value that HTTP/2 sends: those between the whitespace at its ends.
    fileprivate func withSentValue<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytesOfValue { value in
            let value = UnsafeRawBufferPointer(value)
            return body(UnsafeRawBufferPointer(rebasing: value[HTTP1Grammar.trimmed(value)]))
        }
    }

    /// What the caller has marked the field with.
    fileprivate var hpackIndexing: HPACKIndexing {
        switch indexingStrategy {
        case .prefer: .always
        case .avoid, .disallow: .never
        default: .automatic
        }
    }
}

extension HPACKSectionEncoder {
    /// Appends a field of a caller's, its name in lower case.
    fileprivate mutating func encode(_ field: HTTPField, indexing: HPACKIndexing, into buffer: inout ByteBuffer) {
        var name = field.name.canonicalName
        name.withUTF8 { name in
            field.withSentValue { value in
                encode(name: UnsafeRawBufferPointer(name), value: value, indexing: indexing, into: &buffer)
            }
        }
    }
}
