/// The decision after an attempt that did not succeed.
public struct RetryDecision: Sendable {
    /// Why the attempt is a failure.
    public enum Cause: Sendable, Hashable {
        /// A response with this status.
        case status(Int)
        /// An error with this code.
        case error(ServiceError.Code)
    }

    /// The next step.
    public enum Verdict: Sendable, Hashable {
        /// Another attempt, after this long.
        case retry(after: Duration)
        /// No retry: the caller gets the outcome.
        case giveUp(Reason)
    }

    /// Why there is no other attempt.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        /// `maximumAttempts` have been made.
        case attemptsExhausted
        /// The service may have acted on it, and the request is not idempotent.
        case notIdempotent
        /// The body is a one-shot stream that is partly gone.
        case bodyNotReplayable
        /// Another attempt would end the same: a bad certificate, a violation of the protocol, a limit.
        case notRetryable
        /// `shouldRetry` said no.
        case declined
        /// Wait and attempt do not fit into the rest of the time.
        case deadline
        /// `Retry-After` asks for more than `maximumRetryAfter`.
        case retryAfterTooLong
        /// The origin's budget is empty.
        case budgetExhausted
        /// The client is shutting down.
        case draining
    }

    /// The attempt that failed, from 1; from 1 again after each redirect.
    public let attempt: Int
    /// The request's method.
    public let method: HTTPRequest.Method
    /// The request's origin, as `scheme://host:port`.
    public let origin: String
    /// Why the attempt is a failure.
    public let cause: Cause
    /// The next step.
    public let verdict: Verdict
    /// How many more retries the origin's budget allows at this moment; nil: there is no budget.
    public let budgetLeft: Int?

    package init(
        attempt: Int, method: HTTPRequest.Method, origin: String, cause: Cause, verdict: Verdict, budgetLeft: Int?
    ) {
        self.attempt = attempt
        self.method = method
        self.origin = origin
        self.cause = cause
        self.verdict = verdict
        self.budgetLeft = budgetLeft
    }
}

extension RetryDecision.Cause: CustomStringConvertible {
    /// The status, or the error's code.
    public var description: String {
        switch self {
        case .status(let status): "status \(status)"
        case .error(let code): code.rawValue
        }
    }
}

extension RetryDecision.Verdict: CustomStringConvertible {
    /// The next step, in a few words.
    public var description: String {
        switch self {
        case .retry(let delay): "retry after \(delay.readable)"
        case .giveUp(let reason): "give up: \(reason.rawValue)"
        }
    }
}
