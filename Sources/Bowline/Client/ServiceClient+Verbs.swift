public import BowlineCore

/// ``ServiceClient/send(_:)`` documents cancellation, drain and errors for all verbs.
///
/// A trailing closure sets options of this one request:
/// ```swift
/// let export = try await client.get("export", query: ["year": 2026]) { $0.timeouts.total = .unlimited }
/// ```
extension ServiceClient {
    /// Changes the options of one request.
    public typealias OptionsChange = (inout RequestOptions) -> Void

    /// Sends a GET request.
    ///
    /// - Parameters:
    ///   - reference: A path below the client's base URL (`users/42`), or an absolute URL.
    ///   - query: Names and values that are appended to the reference's query, percent-encoded.
    ///   - fields: The header fields.
    ///   - options: Changes the request's options; nil: the client's options apply.
    /// - Throws: as ``send(_:)``.
    public func get(
        _ reference: String, query: QueryItems = [:], fields: HTTPFields = [:], options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await send(Self.request(.get, reference, query, fields, .none, options))
    }

    /// Sends a HEAD request; see ``get(_:query:fields:options:)``.
    public func head(
        _ reference: String, query: QueryItems = [:], fields: HTTPFields = [:], options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await send(Self.request(.head, reference, query, fields, .none, options))
    }

    /// Sends a DELETE request; see ``get(_:query:fields:options:)``.
    public func delete(
        _ reference: String, query: QueryItems = [:], fields: HTTPFields = [:], options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await send(Self.request(.delete, reference, query, fields, .none, options))
    }

    /// Sends a POST request.
    ///
    /// The body is bytes, text, a form (`.form(["name": "Ada"])`, `.multipart(form)`), a file (`.file(path)`) or a
    /// stream; for JSON see ``post(_:json:query:fields:options:)``.
    ///
    /// - Parameters:
    ///   - reference: A path below the client's base URL (`users/42`), or an absolute URL.
    ///   - body: The body. Its content type is sent unless `fields` has one.
    ///   - query: Names and values that are appended to the reference's query, percent-encoded.
    ///   - fields: The header fields.
    ///   - options: Changes the request's options; nil: the client's options apply.
    /// - Throws: as ``send(_:)``.
    public func post(
        _ reference: String, body: RequestBody = .none, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await send(Self.request(.post, reference, query, fields, body, options))
    }

    /// Sends a PUT request; see ``post(_:body:query:fields:options:)``.
    public func put(
        _ reference: String, body: RequestBody = .none, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await send(Self.request(.put, reference, query, fields, body, options))
    }

    /// Sends a PATCH request; see ``post(_:body:query:fields:options:)``.
    public func patch(
        _ reference: String, body: RequestBody = .none, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await send(Self.request(.patch, reference, query, fields, body, options))
    }

    static func request(
        _ method: HTTPRequest.Method, _ reference: String, _ query: QueryItems, _ fields: HTTPFields,
        _ body: RequestBody, _ options: OptionsChange?
    ) -> ServiceRequest {
        var request = ServiceRequest(
            method: method, query.isEmpty ? reference : query.appended(to: reference), fields: fields, body: body
        )
        if let options { options(&request.options) }
        return request
    }
}
