internal import BowlineCore
internal import NIOCore

/// The field section of a request's head (RFC 9113 §8.3.1). It is encoded when it is written.
///
/// Fields that describe an HTTP/1.1 connection are left out (RFC 9113 §8.2.2). Whitespace at the ends of a value is
/// left out too (RFC 9113 §8.2.1). The rest of a value is sent byte for byte, even if it is not UTF-8.
struct HTTP2RequestHead: HTTP2FieldSource {
    private let request: CheckedRequest
    private let scheme: String

    init(_ request: CheckedRequest, scheme: String) {
        self.request = request
        self.scheme = scheme
    }

    var listSize: Int {
        var size = Self.listSize(7, request.method.utf8.count) + Self.listSize(7, scheme.utf8.count)
        if !request.authority.isEmpty { size += Self.listSize(10, request.authority.utf8.count) }
        size += Self.listSize(5, request.target.utf8.count)
        for field in request.fields { size += listSize(of: field) }
        if let length = request.contentLength { size += Self.listSize(14, String(length).utf8.count) }
        if request.expectsContinue { size += Self.listSize(6, 12) }
        return size
    }

    var listSizeBound: Int {
        // A `Cookie` field may become any number of fields.
        guard request.isPlain else { return listSize }
        // At most six fields are our own. Besides method, authority and path they take 86 bytes.
        return request.maximumHeadBytes + 86 + (request.fields.count + 6) * HTTP2FieldSize.overhead
    }

    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
        encoder.encode(name: ":method", value: request.method, indexing: .automatic, into: &buffer)
        encoder.encode(name: ":scheme", value: scheme, indexing: .automatic, into: &buffer)
        if !request.authority.isEmpty {
            encoder.encode(name: ":authority", value: request.authority, indexing: .automatic, into: &buffer)
        }
        encoder.encode(name: ":path", value: request.target, indexing: .automatic, into: &buffer)
        if isAllPlain {
            for field in request.fields { encoder.encode(field, indexing: field.hpackIndexing, into: &buffer) }
        } else {
            for field in request.fields { Self.encode(field, with: &encoder, into: &buffer) }
        }
        if let length = request.contentLength {
            encoder.encode(name: "content-length", value: String(length), indexing: .automatic, into: &buffer)
        }
        if request.expectsContinue {
            encoder.encode(name: "expect", value: "100-continue", indexing: .automatic, into: &buffer)
        }
    }

    /// Whether every field is sent as it is.
    private var isAllPlain: Bool { request.isPlain && !request.hasSecrets }

    private static func encode(
        _ field: HTTPField, with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer
    ) {
        switch RequestFieldRole(field) {
        case .plain: encoder.encode(field, indexing: field.hpackIndexing, into: &buffer)
        case .secret: encoder.encode(field, indexing: .never, into: &buffer)
        case .trailersWanted:
            encoder.encode(name: "te", value: "trailers", indexing: field.hpackIndexing, into: &buffer)
        case .cookie:
            field.name.canonicalName.withBytes { name in
                field.withUnsafeBytesOfValue { value in
                    forEachCookie(in: UnsafeRawBufferPointer(value)) { pair in
                        encoder.encode(name: name, value: pair, indexing: .never, into: &buffer)
                    }
                }
            }
        case .host, .contentLength, .transferEncoding, .connection, .upgrade, .expect, .dropped: break
        }
    }

    private func listSize(of field: HTTPField) -> Int {
        switch isAllPlain ? .plain : RequestFieldRole(field) {
        case .plain, .secret: return HTTP2FieldSize.of(field)
        case .trailersWanted: return Self.listSize(2, 8)
        case .cookie:
            var size = 0
            field.withUnsafeBytesOfValue { value in
                Self.forEachCookie(in: UnsafeRawBufferPointer(value)) { size += Self.listSize(6, $0.count) }
            }
            return size
        case .host, .contentLength, .transferEncoding, .connection, .upgrade, .expect, .dropped: return 0
        }
    }

    /// Calls `body` with each pair of a `Cookie` field. Each pair is sent as a field of its own, so that unchanged
    /// pairs can be compressed (RFC 9113 §8.2.3).
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
}

/// The trailers of a request. They are encoded when they are written.
struct HTTP2RequestTrailers: HTTP2FieldSource {
    private let fields: HTTPFields

    init(_ trailers: CheckedTrailers) {
        fields = trailers.fields
    }

    var listSize: Int {
        fields.reduce(0) { $0 + HTTP2FieldSize.of($1) }
    }

    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
        for field in fields { encoder.encode(field, indexing: field.hpackIndexing, into: &buffer) }
    }
}

/// The size of a field as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2).
private enum HTTP2FieldSize {
    static let overhead = 32

    static func of(_ field: HTTPField) -> Int {
        field.name.canonicalName.utf8.count + field.withSentValue { $0.count } + overhead
    }
}

extension HTTPField {
    /// Runs `body` over the bytes of the value that HTTP/2 sends: the value without whitespace at its ends.
    fileprivate func withSentValue<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytesOfValue { value in
            let value = UnsafeRawBufferPointer(value)
            return body(UnsafeRawBufferPointer(rebasing: value[HTTP1Grammar.trimmed(value)]))
        }
    }

    /// How the caller allows the field to be compressed.
    fileprivate var hpackIndexing: HPACKIndexing {
        switch indexingStrategy {
        case .prefer: .always
        case .avoid, .disallow: .never
        default: .automatic
        }
    }
}

extension HPACKSectionEncoder {
    /// Appends a field of the caller, with its name in lower case.
    fileprivate mutating func encode(_ field: HTTPField, indexing: HPACKIndexing, into buffer: inout ByteBuffer) {
        field.name.canonicalName.withBytes { name in
            field.withSentValue { value in
                encode(name: name, value: value, indexing: indexing, into: &buffer)
            }
        }
    }
}
