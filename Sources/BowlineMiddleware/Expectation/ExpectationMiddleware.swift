package import BowlineCore

/// Sends a request once more without `Expect` when the service answers it with 417 (RFC 9110 §10.1.1).
///
/// The second sending is an attempt of its own, but no retry: neither `retry.maximumAttempts` nor the retry budget counts it.
/// Any method may be sent again, because a 417 in place of the body says that the request was not processed. Once the service
/// has asked for the body or has got all of it, only an idempotent request is sent again.
///
/// The second sending needs a body that can still be sent from its first byte: a one-shot stream that was not begun, or of
/// which what was read is still kept. Stands inside retries and outside telemetry.
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
        let mayRepeat = request.isIdempotent || !Self.isAnswerToBody(refusal, of: request)
        guard mayRepeat, request.body.isReplayable, !context.call.isDraining else {
            // The transport has left the body to be sent here, and it is not.
            request.body.abandon()
            return refusal
        }
        refusal.body.discard()
        guard !Task.isCancelled else {
            request.body.abandon()
            throw CancellationError()
        }
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

    /// Whether the service has asked for the body, or got all of it, before it answered: then it may have processed the request,
    /// and the 417 need not be about `Expect`.
    private static func isAnswerToBody(_ refusal: ServiceResponse, of request: ServiceRequest) -> Bool {
        guard !request.body.isNone else { return false }
        let facts = refusal.facts
        return facts.timings.sent != nil || facts.informational.contains { $0.status.code == 100 }
    }

    private static func hasExpectation(_ request: ServiceRequest) -> Bool {
        if request.fields.contains(.expect) { return true }
        return request.ownOptions?.value.continueTimeout != nil && !request.body.isNone
    }
}
