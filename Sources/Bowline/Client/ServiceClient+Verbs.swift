public import BowlineCore

extension ServiceClient {
    /// Sends a GET request. What is said of ``send(_:)`` holds for all of these; use that one for options of the
    /// request.
    ///
    /// - Parameters:
    ///   - reference: A path below the client's base URL (`users/42?full=1`), or an absolute URL.
    ///   - fields: The header fields.
    /// - Throws: as ``send(_:)``.
    public func get(_ reference: String, fields: HTTPFields = [:]) async throws -> ServiceResponse {
        try await send(ServiceRequest(method: .get, reference, fields: fields))
    }

    /// Sends a HEAD request; see ``send(_:)``.
    public func head(_ reference: String, fields: HTTPFields = [:]) async throws -> ServiceResponse {
        try await send(ServiceRequest(method: .head, reference, fields: fields))
    }

    /// Sends a DELETE request; see ``send(_:)``.
    public func delete(_ reference: String, fields: HTTPFields = [:]) async throws -> ServiceResponse {
        try await send(ServiceRequest(method: .delete, reference, fields: fields))
    }

    /// Sends a POST request; see ``send(_:)``.
    public func post(
        _ reference: String, body: RequestBody = .none, fields: HTTPFields = [:]
    ) async throws -> ServiceResponse {
        try await send(ServiceRequest(method: .post, reference, fields: fields, body: body))
    }

    /// Sends a PUT request; see ``send(_:)``.
    public func put(
        _ reference: String, body: RequestBody = .none, fields: HTTPFields = [:]
    ) async throws -> ServiceResponse {
        try await send(ServiceRequest(method: .put, reference, fields: fields, body: body))
    }

    /// Sends a PATCH request; see ``send(_:)``.
    public func patch(
        _ reference: String, body: RequestBody = .none, fields: HTTPFields = [:]
    ) async throws -> ServiceResponse {
        try await send(ServiceRequest(method: .patch, reference, fields: fields, body: body))
    }
}
