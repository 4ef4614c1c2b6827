internal import BowlineCore

/// Decides whether a failed attempt is retried, and after which wait. Pure: times and random numbers are arguments.
///
/// | failure | may be retried |
/// |---|---|
/// | never sent, or refused by the peer | any method |
/// | refused by a gate that says when to come back | any method |
/// | no credentials, for a temporary reason | any method; after a 401, idempotent requests |
/// | ambiguous, or a response had begun (statuses) | idempotent requests |
/// | bad certificate, protocol violation, limit, bad request | never, unless `shouldRetry` returns `.yes` |
struct RetryPolicy {
    let options: RetryOptions

    /// A failed attempt.
    struct Failure {
        let cause: RetryDecision.Cause
        let progress: RequestProgress
        /// The wait that the service requested (`Retry-After`), or that a gate did; nil: none.
        var retryAfter: Duration?
        /// The answer of `shouldRetry`.
        var answer = RetryAnswer.asUsual
        /// Whether the transport or the credentials failed this attempt's request; see ``AttemptOutcome``.
        var isOwn = true
        /// Whether a gate refused the attempt. Then the attempt is retried only if the gate said when.
        var isRefusal = false
        /// Whether an authenticator failed for a temporary reason.
        var isTemporary = false
        /// The wait that `backoff.custom` returned; nil: there is no such closure.
        var customDelay: Duration?

        /// Whether the service says that it is too busy: 429, or 503 with a `Retry-After`.
        var isThrottled: Bool {
            cause == .status(429) || cause == .status(503) && retryAfter != nil
        }
    }

    /// Describes an attempt's outcome as a failure, for the decision; nil: the call ends with the outcome.
    ///
    /// Accepts every response, even a success. ``isFailure(_:_:)`` says whether a response's status is a failure.
    ///
    /// - Parameter wallClock: Seconds since 1970, to compare with a date in `Retry-After`.
    func describeAsFailure(_ outcome: AttemptOutcome, wallClock: @autoclosure () -> Int64) -> Failure? {
        switch outcome {
        case .answered(let response, _):
            Failure(
                cause: .status(response.status.code), progress: .responseStarted,
                retryAfter: RetryAfter.delay(asked: response.receivedFields, wallClock: wallClock))
        case .failed(let error, let isOwn):
            Failure(
                cause: .error(error.code), progress: error.progress, retryAfter: error.retryAfter, isOwn: isOwn,
                isRefusal: outcome.isRefusal, isTemporary: error.isTemporary)
        case .ended: nil
        }
    }

    /// Returns the outcome for the user's closures; nil: there are no closures, or the response is a redirect.
    func retryOutcome(
        _ outcome: AttemptOutcome, _ failure: Failure, _ request: ServiceRequest, attempt: Int, retries: Int
    ) -> RetryOutcome? {
        guard options.shouldRetry != nil || options.backoff.custom != nil else { return nil }
        if let response = outcome.response, RedirectPolicy.leadsElsewhere(response) { return nil }
        return RetryOutcome(
            method: request.method, attempt: attempt, retries: retries, status: outcome.response?.status,
            received: outcome.response?.receivedFields, error: outcome.error, retryAfter: failure.retryAfter)
    }

    /// Whether a response with this status counts as a failure. Such a response is not always retried.
    func isFailure(_ status: HTTPResponse.Status, _ answer: RetryAnswer = .asUsual) -> Bool {
        answer == .yes || options.statuses.contains(status.code)
    }

    /// Decides what follows a failed attempt.
    ///
    /// - Parameters:
    ///   - retries: The number of retries of this hop so far.
    ///   - remaining: The time until the request's deadline; nil: no deadline.
    ///   - random: From 0 up to 1.
    func verdict(
        after failure: Failure, isIdempotent: Bool, isReplayable: Bool, retries: Int, remaining: Duration?,
        random: Double
    ) -> RetryDecision.Verdict {
        switch failure.answer {
        case .no: return .giveUp(.declined)
        case .yes: break
        case .asUsual:
            guard failure.isOwn else { return .giveUp(.notRetryable) }
            if case .error(let code) = failure.cause, !failure.isTemporary,
                !(failure.isRefusal ? failure.retryAfter != nil : ServiceError.Code.temporary.contains(code))
            {
                return .giveUp(.notRetryable)
            }
        }
        guard isIdempotent || failure.progress == .neverSent || failure.progress == .refused else {
            return .giveUp(.notIdempotent)
        }
        guard retries < max(options.maximumAttempts, 1) - 1 else { return .giveUp(.attemptsExhausted) }
        guard isReplayable else { return .giveUp(.bodyNotReplayable) }
        if let asked = failure.retryAfter, asked > options.maximumRetryAfter { return .giveUp(.retryAfterTooLong) }
        let delay = delay(after: failure, retries: retries, random: random)
        // An attempt that begins at the deadline cannot succeed.
        if let remaining, delay >= remaining { return .giveUp(.deadline) }
        return .retry(after: delay)
    }

    /// The longest wait, a hundred years. `Duration` traps on values that it cannot represent.
    private static let longest = Duration.seconds(3_155_760_000)

    /// Divides a duration to get a margin: a tenth of the duration. The upper end of the random part is at least a
    /// tenth of `Retry-After`. The whole wait exceeds `maximumRetryAfter` by at most a tenth of `maximumRetryAfter`.
    private static let marginDivisor = 10

    /// Returns the wait: random, evenly distributed between zero and the backoff's upper end (full jitter). If
    /// `backoff.custom` returned a wait, that wait is used.
    ///
    /// `Retry-After` is a lower bound, and a random part is added to it: many callers get the same `Retry-After` and
    /// must not retry at the same time. The random part begins at zero. It ends at the backoff's upper end, or at a
    /// tenth of `Retry-After` if that is more. The whole wait is at most 1.1 × `maximumRetryAfter`.
    private func delay(after failure: Failure, retries: Int, random: Double) -> Duration {
        if let custom = failure.customDelay {
            let delay = min(max(custom, .zero), Self.longest)
            guard let asked = failure.retryAfter, asked > .zero else { return delay }
            return max(delay, asked + Self.part(random, of: asked / Self.marginDivisor))
        }
        let backoff = backoff(isThrottled: failure.isThrottled, retries: retries)
        // Without a `Retry-After` above zero, the usual wait applies.
        guard let asked = failure.retryAfter, asked > .zero else { return Self.part(random, of: backoff) }
        let longest = min(options.maximumRetryAfter, Self.longest)
        let upper = max(
            asked + asked / Self.marginDivisor, min(asked + backoff, longest + longest / Self.marginDivisor))
        return asked + Self.part(random, of: upper - asked)
    }

    /// Returns a random part of `span`. Clamps the random number, because NaN would trap.
    private static func part(_ random: Double, of span: Duration) -> Duration {
        random > 0 ? span * min(random, 1) : .zero
    }

    /// Returns the upper end of the wait. It doubles with each retry, up to the backoff's maximum.
    private func backoff(isThrottled: Bool, retries: Int) -> Duration {
        let base = isThrottled ? options.backoff.throttledBase : options.backoff.base
        let maximum = min(options.backoff.maximum, Self.longest)
        var upper = min(base, maximum)
        for _ in 0..<min(retries, 62) where upper < maximum {
            upper = min(upper * 2, maximum)
        }
        return upper
    }
}
