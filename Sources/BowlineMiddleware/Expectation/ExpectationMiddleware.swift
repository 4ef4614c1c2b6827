package import BowlineCore

/// Sends a request once more without `Expect` when the service answers it with 417 (RFC 9110 §10.1.1).
///
/// The second sending is an attempt of its own, but no retry: neither `retry.maximumAttempts` nor the retry budget counts it,
/// and any method may be sent again, because a 417 says that the request was not processed. It needs a body that can still be
/// sent from its first byte: a one-shot stream that was not begun, or of which what was read is still kept. Stands inside
/// retries and outside telemetry.
package struct ExpectationMiddleware: ReactiveMiddleware {
    /// Makes the middleware.
    package init() {}

    package func prepare(_ request: inout ServiceRequest, context: RequestContext) {}

    package func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool {
        response.status.code != 417 || !Self.hasExpectation(request)
    }

    package func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext,
        next: Next
    ) async throws -> ServiceResponse {
        let refusal = try outcome.get()
        guard request.body.isReplayable, !context.call.isDraining else {
            // The transport has left the body for us to send: nobody will.
            request.body.abandon()
            return refusal
        }
        refusal.body.discard()
        try Task.checkCancellation()
        var request = request
        request.fields[.expect] = nil
        if request.ownOptions?.value.continueTimeout != nil { request.options.continueTimeout = nil }
        var context = context
        context.beginAttempt(after: refusal.facts.attempts)
        do {
            return try await next(request, context: context)
        } catch var error as ServiceError {
            // What has been answered once is not unseen because a second sending never left.
            error.progress = error.progress.furthest(.responseStarted)
            error.attempts = max(error.attempts, context.attempt)
            throw error
        }
    }

    private static func hasExpectation(_ request: ServiceRequest) -> Bool {
        if request.fields.contains(.expect) { return true }
        return request.ownOptions?.value.continueTimeout != nil && !request.body.isNone
    }
}
