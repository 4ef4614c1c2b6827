public import BowlineCore

/// A decoded value with its response's status and fields: the output of an ``Endpoint`` that returns all of them.
///
/// ```swift
/// static let list = Endpoint<Int, Typed<[Order]>>(.get, "orders") { limit, request in request.query["limit"] = limit }
///
/// let page = try await client.call(Self.list, 50)
/// show(page.value, isLast: page.link("next") == nil)
/// ```
public struct Typed<Value: Sendable>: Sendable {
    /// The decoded body.
    public var value: Value
    /// The response without its body.
    private let response: ServiceResponse

    /// The status, one of the statuses that the endpoint expects.
    public var status: HTTPResponse.Status { response.status }
    /// The header fields.
    public var fields: HTTPFields { response.fields }
    /// The URL that the response came from; see `ServiceResponse.url`. Its query may contain secrets.
    public var url: ServiceURL? { response.url }
    /// The links in the `Link` fields (RFC 8288), with absolute targets; see `ServiceResponse.links`.
    public var links: [WebLink] { response.links }
    /// The number of attempts, including the first.
    public var attempts: Int { response.attempts }

    init(_ value: Value, of response: ServiceResponse) {
        self.value = value
        var response = response
        response.body = ResponseBody()
        self.response = response
    }

    /// Makes a typed value, for tests.
    ///
    /// - Parameters:
    ///   - value: The decoded body.
    ///   - status: The status.
    ///   - fields: The header fields; ``links`` are read from them.
    ///   - url: The URL that the response came from. Relative links need it.
    ///   - attempts: The number of attempts, from 1.
    public init(
        _ value: Value, status: HTTPResponse.Status = .ok, fields: HTTPFields = [:], url: ServiceURL? = nil,
        attempts: Int = 1
    ) {
        self.init(
            value,
            of: ServiceResponse(status: status, fields: fields, facts: ResponseFacts(attempts: attempts, url: url)))
    }

    /// Returns the first link with this relation type, in upper or lower case, that is about the response itself; nil:
    /// there is none. See `ServiceResponse.link(_:)`.
    public func link(_ relation: String) -> WebLink? { response.link(relation) }
}

extension Typed: CustomStringConvertible, CustomReflectable {
    /// The value's type, the status and the attempts. Contains nothing of the value, no field and no URL, because they
    /// may be secrets.
    public var description: String {
        let attempts = attempts == 1 ? "1 attempt" : "\(attempts) attempts"
        return "Typed<\(Value.self)>(\(status.code), \(attempts))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
