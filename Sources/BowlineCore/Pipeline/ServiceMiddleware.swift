/// A behaviour that wraps requests: sees each on its way out and each response on its way back.
///
/// Register it `perCall` to run once for what the caller asked, or `perAttempt` to run for each attempt, resends by the
/// transport excepted. A middleware may change the request and the response, answer without calling `next`, or call
/// `next` several times; a request whose body is a one-shot stream can be sent only while `body.isReplayable`.
public protocol ServiceMiddleware: Sendable {
    /// Handles one request.
    ///
    /// Runs in the caller's task or a child of it, so the caller's cancellation is its own, and a drain lets it finish. When
    /// the request's deadline or a shutdown's passes, it is cancelled; what it makes of that is the call's outcome. Whoever
    /// does not pass a response on owns its body: read it, or let it go.
    ///
    /// - Parameters:
    ///   - request: What is asked; its `url` is set.
    ///   - context: Deadline, limits and attempt. Pass it on, or a changed copy.
    ///   - next: The rest of the pipeline; call it with the request and the context.
    /// - Returns: the response that the caller, or the middleware outside, gets.
    /// - Throws: anything; what it throws reaches the caller (or the middleware outside it).
    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse
}

/// A middleware that can tell by a look at the request that it has nothing to do: it is then passed over, at a tenth of
/// what a call costs that only hands on.
package protocol SelectiveMiddleware: ServiceMiddleware {
    /// Whether `intercept` would do more than call `next`.
    func concerns(_ request: ServiceRequest) -> Bool
}

/// A middleware that says what it has to say before a request goes on, and then has nothing to do with most outcomes.
///
/// The pipeline asks it and goes on, without suspending in it: three of them cost less than one that suspends. Only an
/// outcome that does not pass brings it into play.
package protocol ReactiveMiddleware: ServiceMiddleware {
    /// What is to be done before the request goes on.
    func prepare(_ request: inout ServiceRequest, context: RequestContext)
    /// Whether this response passes as it is.
    func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool
    /// Whether this failure passes as it is.
    func passes(_ error: any Error) -> Bool
    /// Makes the call's outcome of one that does not pass.
    ///
    /// - Parameters:
    ///   - outcome: What came of the request.
    ///   - sentBefore: The call's ``CallRecord/timesSent`` when the request went on.
    ///   - request: The request as it went on.
    ///   - next: What it went on to.
    func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext,
        next: Next
    ) async throws -> ServiceResponse
}

extension ReactiveMiddleware {
    package func passes(_ error: any Error) -> Bool { true }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        try await next.behind(self)(request, context: context)
    }
}
