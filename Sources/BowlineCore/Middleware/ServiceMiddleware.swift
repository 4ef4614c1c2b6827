/// A behaviour that wraps requests: it gets each request before it is sent, and each response before the caller gets
/// it.
///
/// Register it `perCall` to run once per call, or `perAttempt` to run for each attempt. A resend by the transport does
/// not run it again. A middleware may change the request and the response, answer without calling `next`, or call
/// `next` several times. A body that is a one-shot stream can be sent again only while `body.isReplayable` is true.
public protocol ServiceMiddleware: Sendable {
    /// Handles one request.
    ///
    /// Runs in the caller's task or in a child task, so a cancellation of the caller also cancels the middleware. A
    /// drain lets the middleware finish. When the deadline of the request or of a shutdown passes, the middleware is
    /// cancelled, and the call ends when the middleware ends. A middleware that gets a response and does not return it
    /// owns the response's body, and must read or drop the body.
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
