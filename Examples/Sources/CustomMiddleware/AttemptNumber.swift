import Bowline

/// Tells the service which attempt it sees. A `perAttempt` middleware: it runs for each of them.
struct AttemptNumber: ServiceMiddleware {
    let name: HTTPField.Name

    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        var request = request
        request.fields[name] = "\(context.attempt)"
        return try await next(request, context: context)
    }
}
