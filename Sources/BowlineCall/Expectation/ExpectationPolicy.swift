internal import BowlineCore

/// Decides whether a request that a service answered with 417 is sent once more without `Expect` (RFC 9110 §10.1.1).
/// Pure.
///
/// The second sending is a new attempt but not a retry: neither `retry.maximumAttempts` nor the retry budget counts it.
///
/// If the service answers with 417 and has not read the body, any method may be sent again, because the request was not
/// processed. If the service requested the body (100), or the whole body was sent, only an idempotent request is sent
/// again.
///
/// The body must still be available from its first byte. A one-shot stream is available if no byte was read from it, or
/// if all bytes that were read are still kept.
enum ExpectationPolicy {
    /// Whether the response refuses the request's expectation.
    static func isRefused(by response: ServiceResponse, _ request: ServiceRequest) -> Bool {
        response.status.code == 417 && hasExpectation(request)
    }

    /// Whether the request may be sent again.
    static func mayRepeat(_ request: ServiceRequest, after refusal: ServiceResponse) -> Bool {
        (request.isIdempotent || !isAnswerToBody(refusal, of: request)) && request.body.isReplayable
    }

    /// Returns the request without its expectation.
    static func withoutExpectation(_ request: ServiceRequest) -> ServiceRequest {
        var request = request
        request.fields[.expect] = nil
        if request.ownOptions?.value.continueTimeout != nil { request.options.continueTimeout = nil }
        return request
    }

    /// Whether the service requested the body (100), or the whole body was sent, before the service answered. Then the
    /// service may have processed the request, and the 417 may have another cause than `Expect`. A response without
    /// timings, of a transport that measures none, does not say whether the body was sent.
    private static func isAnswerToBody(_ refusal: ServiceResponse, of request: ServiceRequest) -> Bool {
        guard !request.body.isNone else { return false }
        let facts = refusal.facts
        return facts.timings.started == nil || facts.timings.sent != nil
            || facts.informational.contains { $0.status.code == 100 }
    }

    private static func hasExpectation(_ request: ServiceRequest) -> Bool {
        if request.fields.contains(.expect) { return true }
        return request.ownOptions?.value.continueTimeout != nil && !request.body.isNone
    }
}
