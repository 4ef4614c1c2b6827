import Bowline
import BowlineTesting
import NIOCore
import Testing

extension ServiceClient {
    /// Sends a request and reads the whole body.
    func fetch(_ request: ServiceRequest) async throws -> FetchedResponse {
        let response = try await send(request)
        let body = try await response.body.collect(upTo: 1 << 26)
        return FetchedResponse(response: response, text: String(buffer: body))
    }

    /// Gets a path and reads the whole body.
    func fetch(_ reference: String) async throws -> FetchedResponse {
        try await fetch(.get(reference))
    }
}

/// A response with its body read.
struct FetchedResponse: Sendable {
    let response: ServiceResponse
    let text: String

    var connectionID: Int { response.connection?.id ?? 0 }
    var isReused: Bool { response.connection?.isReused ?? false }
}

/// Runs `body`, which must fail with a `ServiceError`, and returns the error.
func serviceError(
    _ body: () async throws -> Void, isolation: isolated (any Actor)? = #isolation,
    sourceLocation: SourceLocation = #_sourceLocation
) async throws -> ServiceError {
    let error = await #expect(throws: ServiceError.self, sourceLocation: sourceLocation) { try await body() }
    return try #require(error, sourceLocation: sourceLocation)
}

extension LoopbackServer {
    /// The number of requests with this path that were received, whole or in part.
    func executions(of path: String) -> Int {
        requests.count { $0.path == path }
    }
}
