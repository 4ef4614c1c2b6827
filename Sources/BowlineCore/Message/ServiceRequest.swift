/// A request: its method, its URL, its fields, its body and its options.
///
/// It is a value: change it freely before you send it. Its ``reference`` is a path below the client's base URL, or an
/// absolute URL.
public struct ServiceRequest: Sendable {
    @usableFromInline
    struct Content: Sendable {
        @usableFromInline var method: HTTPRequest.Method
        @usableFromInline var reference: String
        @usableFromInline var fields: HTTPFields
        @usableFromInline var body: RequestBody
        @usableFromInline var ownOptions: OwnOptions?
        @usableFromInline var url: ServiceURL?
    }

    @usableFromInline var content: CopyOnWrite<Content>

    /// The method. Default GET.
    @inlinable @inline(__always) public var method: HTTPRequest.Method {
        _read { yield content.value.method }
        _modify { yield &content.value.method }
    }

    /// A path below the client's base URL (`users/42?full=1`), or an absolute URL.
    @inlinable @inline(__always) public var reference: String {
        _read { yield content.value.reference }
        _modify { yield &content.value.reference }
    }

    /// The header fields. Bowline writes `Host`, `Content-Length`, `Transfer-Encoding` and `Connection`. If you set one
    /// of them to a value that contradicts the body or the origin, the request is refused.
    @inlinable @inline(__always) public var fields: HTTPFields {
        _read { yield content.value.fields }
        _modify { yield &content.value.fields }
    }

    /// The body. Default none.
    @inlinable @inline(__always) public var body: RequestBody {
        _read { yield content.value.body }
        _modify { yield &content.value.body }
    }

    /// The options of this request.
    public var options: RequestOptions {
        get { ownOptions?.value ?? RequestOptions() }
        set { content.value.ownOptions = OwnOptions(newValue) }
    }

    /// The options; nil: none were set. Stored behind a reference, because most requests have no options of their own.
    @inlinable @inline(__always) package var ownOptions: OwnOptions? {
        _read { yield content.value.ownOptions }
    }

    /// The absolute URL. The client sets it from ``reference`` before the first middleware runs. A middleware may
    /// replace it. A transport needs it.
    @inlinable @inline(__always) public var url: ServiceURL? {
        _read { yield content.value.url }
        _modify { yield &content.value.url }
    }

    /// The origin of ``url``; nil: the client has not set it yet.
    package var origin: Origin? { content.value.url?.origin }

    /// Makes a request. The client checks the request when it sends it.
    ///
    /// - Parameters:
    ///   - method: The method. Default GET.
    ///   - reference: A path below the client's base URL, or an absolute URL.
    ///   - fields: The header fields. For names and values from outside your program, use ``setField(_:_:)``.
    ///   - body: The body. Default none.
    public init(
        method: HTTPRequest.Method = .get,
        _ reference: String,
        fields: HTTPFields = [:],
        body: RequestBody = .none
    ) {
        content = CopyOnWrite(
            Content(method: method, reference: reference, fields: fields, body: body, ownOptions: nil, url: nil)
        )
    }

    /// Makes a request with options. The client checks the request when it sends it.
    ///
    /// - Parameters:
    ///   - method: The method. Default GET.
    ///   - reference: A path below the client's base URL, or an absolute URL.
    ///   - fields: The header fields. For names and values from outside your program, use ``setField(_:_:)``.
    ///   - body: The body. Default none.
    ///   - options: The options of this request.
    public init(
        method: HTTPRequest.Method = .get,
        _ reference: String,
        fields: HTTPFields = [:],
        body: RequestBody = .none,
        options: RequestOptions
    ) {
        self.init(method: method, reference, fields: fields, body: body)
        self.options = options
    }

    /// A request's options, shared by all its copies.
    @usableFromInline
    package final class OwnOptions: Sendable {
        package let value: RequestOptions

        init(_ value: RequestOptions) {
            self.value = value
        }
    }

    /// A GET request.
    public static func get(_ reference: String) -> ServiceRequest { ServiceRequest(method: .get, reference) }
    /// A HEAD request.
    public static func head(_ reference: String) -> ServiceRequest { ServiceRequest(method: .head, reference) }
    /// A DELETE request.
    public static func delete(_ reference: String) -> ServiceRequest { ServiceRequest(method: .delete, reference) }
    /// A POST request with a body.
    public static func post(_ reference: String, body: RequestBody = .none) -> ServiceRequest {
        ServiceRequest(method: .post, reference, body: body)
    }
    /// A PUT request with a body.
    public static func put(_ reference: String, body: RequestBody = .none) -> ServiceRequest {
        ServiceRequest(method: .put, reference, body: body)
    }
    /// A PATCH request with a body.
    public static func patch(_ reference: String, body: RequestBody = .none) -> ServiceRequest {
        ServiceRequest(method: .patch, reference, body: body)
    }

    /// Appends names and values to the query of ``reference``, percent-encoded.
    public mutating func appendQuery(_ items: QueryItems) {
        reference = items.appended(to: reference)
    }

    /// Sets a field from text. Refuses characters that a field may not have, which `HTTPField` would silently replace.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest`, which names the field: the name is empty or not a token, or the
    ///   value has a control character other than HTAB, such as CR, LF or NUL (RFC 9110 §5.5).
    public mutating func setField(_ name: String, _ value: String) throws {
        fields[try Self.checkedName(name, value)] = value
    }

    /// Appends a field from text, and keeps earlier fields of the same name. Otherwise like ``setField(_:_:)``.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest`, as ``setField(_:_:)``.
    public mutating func appendField(_ name: String, _ value: String) throws {
        fields.append(HTTPField(name: try Self.checkedName(name, value), value: value))
    }

    private static func checkedName(_ name: String, _ value: String) throws -> HTTPField.Name {
        guard let fieldName = HTTPField.Name(name) else {
            throw ServiceError(
                .invalidRequest, "field name is empty or has a character that is not allowed: \(name.printable)"
            )
        }
        try checkValue(value, of: fieldName)
        return fieldName
    }

    /// Refuses a value with a control character, which `HTTPField` would silently replace.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest`, which names the field.
    package static func checkValue(_ value: String, of name: HTTPField.Name) throws {
        for byte in value.utf8 where (byte < 0x20 && byte != 0x09) || byte == 0x7F {
            throw ServiceError(.invalidRequest, "value of field \(name) has a control character (byte \(byte))")
        }
    }

    /// Whether sending the request twice has the same effect as sending it once (RFC 9110 §9.2.2).
    /// `options.idempotency` decides. If it is `automatic`, the method or an `Idempotency-Key` field decides.
    public var isIdempotent: Bool {
        switch ownOptions?.value.idempotency ?? .automatic {
        case .idempotent: return true
        case .notIdempotent: return false
        case .automatic:
            return method.isIdempotent || fields[.idempotencyKey] != nil
        }
    }
}

extension ServiceRequest: CustomStringConvertible, CustomReflectable {
    /// Method and path. Contains no query, field or body, because they may be secret.
    public var description: String {
        // Compares bytes, not characters. A "?" with a combining mark after it is another `Character`, but the request
        // that is sent contains the byte "?".
        let ends = [UInt8(ascii: "?"), UInt8(ascii: "#")]
        let path = url?.path ?? String(decoding: reference.utf8.prefix { !ends.contains($0) }, as: UTF8.self)
        return "\(method.rawValue) \(path.utf8.contains(UInt8(ascii: "@")) ? "(a URL with user information)" : path)"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension HTTPRequest.Method {
    /// Whether the method is GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110 §9.2.2) or QUERY.
    package var isIdempotent: Bool {
        switch rawValue {
        case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY": true
        default: false
        }
    }
}

extension HTTPField.Name {
    /// `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
    package static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
}

extension String {
    /// At most 40 Unicode scalars of this text, in quotes. Everything except printable ASCII is escaped, so that it is
    /// safe for a message or a log.
    package var printable: String {
        var text = ""
        for scalar in unicodeScalars.prefix(40) {
            text += (0x20..<0x7F).contains(scalar.value) ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
        }
        return unicodeScalars.count > 40 ? "\"\(text)…\"" : "\"\(text)\""
    }
}
