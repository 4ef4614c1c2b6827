internal import BowlineCore

/// Decides whether a request that a service answered with 417 is sent once more without `Expect` (RFC 9110 §10.1.1). Pure.
///
/// The second sending is an attempt of its own, but no retry: neither `retry.maximumAttempts` nor the retry budget counts it.
/// Any method may be sent again, because a 417 in place of the body says that the request was not processed. Once the service
/// has asked for the body or has got all of it, only an idempotent request is sent again.
///
/// The second sending needs a body that can still be sent from its first byte: a one-shot stream that was not begun, or
/// whose read bytes are all still kept.
enum ExpectationPolicy {
    /// Whether the response refuses the request's expectation.
    static func isRefused(by response: ServiceResponse, _ request: ServiceRequest) -> Bool {
        response.status.code == 417 && hasExpectation(request)
    }

    /// Whether the request may be sent again.
    static func mayRepeat(_ request: ServiceRequest, after refusal: ServiceResponse) -> Bool {
        (request.isIdempotent || !isAnswerToBody(refusal, of: request)) && request.body.isReplayable
    }

    /// The request without its expectation.
    static func withoutExpectation(_ request: ServiceRequest) -> ServiceRequest {
        var request = request
        request.fields[.expect] = nil
        if request.ownOptions?.value.continueTimeout != nil { request.options.continueTimeout = nil }
        return request
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
