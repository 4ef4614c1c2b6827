package import BowlineCore

/// The result of one attempt.
package enum AttemptOutcome: Sendable {
    /// A response. After a 401, the second value says which kinds of authenticators may have other credentials.
    case answered(ServiceResponse, RenewalChance = RenewalChance())
    /// A failure. `isOwn`: whether the transport or the credentials failed this attempt's request. False for an error
    /// that comes from middleware, and for a permanent failure of the credentials. Such errors are retried only if
    /// `shouldRetry` returns `.yes`.
    ///
    /// Indirect, so that an outcome takes two words of memory.
    indirect case failed(ServiceError, isOwn: Bool)
    /// A cancellation, or an error of another type that middleware threw. The call ends with this error, unchanged.
    case ended(any Error)

    /// Makes the outcome of an attempt that threw `error`.
    package init(_ error: any Error, isOwn: Bool) {
        if let failure = error as? ServiceError {
            self = .failed(failure, isOwn: isOwn)
        } else {
            self = .ended(error)
        }
    }

    /// The response; nil after a failure.
    var response: ServiceResponse? {
        if case .answered(let response, _) = self { response } else { nil }
    }

    /// The failure; nil: a response, or an error that ends the call.
    var error: ServiceError? {
        if case .failed(let error, _) = self { error } else { nil }
    }

    /// The number of attempts of this hop so far; 0: not known.
    var attempts: Int {
        switch self {
        case .answered(let response, _): response.facts.attempts
        case .failed(let error, _): error.attempts
        case .ended: 0
        }
    }

    /// How far the request got.
    var progress: RequestProgress {
        switch self {
        case .answered: .responseStarted
        case .failed(let error, _): error.progress
        case .ended: .neverSent
        }
    }

    /// Whether a gate refused the attempt: nothing was sent. False for the refusal of another client's gate, which
    /// middleware threw.
    var isRefusal: Bool {
        if case .failed(let error, isOwn: true) = self { error.refusal != nil } else { false }
    }

    /// Whether the attempt itself failed, and not middleware around it.
    var isOwnFailure: Bool {
        if case .failed(_, isOwn: true) = self { true } else { false }
    }

    /// Discards the response's body, if there is one.
    func discard() {
        response?.body.discard()
    }
}
