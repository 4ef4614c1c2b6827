import Bowline

/// Prints a line for each call. It is the outermost middleware, so it sees the response that the caller gets.
struct Reporter: ServiceMiddleware {
    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        do {
            let response = try await next(request, context: context)
            let connection = response.connection.map { "#\($0.id) \($0.isReused ? "reused" : "new")" } ?? "-"
            Self.line("\(request.method)", "\(response.status.code)", connection, response.attempts, response.resends)
            return response
        } catch {
            Self.line("\(request.method)", "failed: \(error)", "-", 0, 0)
            throw error
        }
    }

    private static func line(_ method: String, _ end: String, _ connection: String, _ attempts: Int, _ resends: Int) {
        let cells = [(method, 5), (end, 5), (connection, 12), ("attempts \(attempts)", 12), ("resends \(resends)", 0)]
        let padded = cells.map { $0.0 + String(repeating: " ", count: max(0, $0.1 - $0.0.count)) }
        print("   " + padded.joined(separator: " "))
    }
}
