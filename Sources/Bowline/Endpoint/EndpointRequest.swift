public import BowlineCore

/// The request of one call, filled in by the endpoint's author: the values of the path, query, fields and body.
public struct EndpointRequest: Sendable {
    /// The values of the path's placeholders, by name: `request.path["id"] = 42`. Each value is percent-encoded, so it
    /// stays within one segment. To use an enum with a raw value, let the enum conform to ``ParameterValue``.
    public var path: [String: any CustomStringConvertible & Sendable] = [:]
    /// The query, percent-encoded when it is sent: `request.query["limit"] = 10`. A nil value is left out.
    public var query = QueryItems()
    /// The header fields.
    public var fields = HTTPFields()
    /// The body. Default none; for a value see ``encode(_:)``.
    public var body = RequestBody.none
    /// The options of this call. They start as a copy of the endpoint's options.
    public var options: RequestOptions

    private let encoder: any BodyEncoder

    init(options: RequestOptions, encoder: any BodyEncoder) {
        self.options = options
        self.encoder = encoder
    }

    /// Encodes a value as the body, with the endpoint's encoder or else the client's.
    ///
    /// - Throws: ``ServiceError`` `encodingFailed`.
    public mutating func encode(_ value: some Encodable) throws {
        body = try .encoded(value, by: encoder)
    }
}

extension EndpointRequest: CustomStringConvertible, CustomReflectable {
    /// The names that were filled in. Contains no value of the path, query or fields and nothing of the body, because
    /// they may be secrets.
    public var description: String {
        "EndpointRequest(path: \(path.keys.sorted().joined(separator: ", ")); \(query); \(fields.count) fields; \(body))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
