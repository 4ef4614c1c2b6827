public import BowlineCore

// One function for each method with a body. The client's encoder encodes the value before the request is sent.
extension ServiceClient {
    /// Sends a value in a POST request, encoded by the configuration's `encoder` (JSON by default).
    ///
    /// ```swift
    /// let made = try await client.post("users", json: NewUser(name: "Ada")).expecting(.created).decode(User.self)
    /// ```
    ///
    /// - Parameters:
    ///   - reference: A path below the client's base URL, or an absolute URL.
    ///   - value: The value to encode.
    ///   - query: Names and values that are appended to the reference's query, percent-encoded.
    ///   - fields: The header fields. A `Content-Type` among them replaces the encoder's.
    ///   - options: Changes the request's options; nil: the client's options apply.
    /// - Throws: ``ServiceError`` `encodingFailed` before anything is sent; else as ``send(_:)``.
    public func post<Value: Encodable>(
        _ reference: String, json value: Value, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await post(reference, body: encoded(value, .post, options), query: query, fields: fields, options: options)
    }

    /// Sends a value in a PUT request; see ``post(_:json:query:fields:options:)``.
    public func put<Value: Encodable>(
        _ reference: String, json value: Value, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await put(reference, body: encoded(value, .put, options), query: query, fields: fields, options: options)
    }

    /// Sends a value in a PATCH request; see ``post(_:json:query:fields:options:)``.
    public func patch<Value: Encodable>(
        _ reference: String, json value: Value, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> ServiceResponse {
        try await patch(
            reference, body: encoded(value, .patch, options), query: query, fields: fields, options: options)
    }

    private func encoded(
        _ value: some Encodable, _ method: HTTPRequest.Method, _ change: OptionsChange?
    ) throws -> RequestBody {
        do {
            return try .encoded(value, by: configuration.encoder)
        } catch {
            var options = RequestOptions()
            change?(&options)
            throw Self.naming(error, method, options.targetTemplate)
        }
    }
}
