/// A behaviour that wraps requests: it gets each request before it is sent, and each response before the caller gets
/// it.
///
/// Register it `perCall` to run once per call, or `perAttempt` to run for each attempt, but not for resends by the
/// transport. A middleware may change the request and the response, answer without calling `next`, or call `next`
/// several times; a request whose body is a one-shot stream can be sent only while `body.isReplayable`.
public protocol ServiceMiddleware: Sendable {
    /// Handles one request.
    ///
    /// Runs in the caller's task or a child of it, so it is cancelled when the caller is. A drain lets it finish. When
    /// the request's deadline or a shutdown's passes, it is cancelled, and the call ends when the middleware ends. If
    /// the middleware gets a response and does not return it, the middleware owns its body: read it, or drop it.
    ///
    /// - Parameters:
    ///   - request: The request; its `url` is set.
    ///   - context: Deadline, limits and attempt. Pass it, or a changed copy, to `next`.
    ///   - next: The rest of the chain. Call it with the request and the context.
    /// - Returns: the response that the caller, or the next outer middleware, gets.
    /// - Throws: any error; the caller, or the next outer middleware, gets it.
    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse
}
