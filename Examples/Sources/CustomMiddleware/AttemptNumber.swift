import Bowline

/// Sends the attempt's number to the service. A `perAttempt` middleware: it runs for each attempt.
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
