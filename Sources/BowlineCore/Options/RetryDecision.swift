/// The decision after a failed attempt: retry or give up, and why.
public struct RetryDecision: Sendable {
    /// The reason why the attempt is a failure.
    public enum Cause: Sendable, Hashable {
        /// The status of a response.
        case status(Int)
        /// The code of an error.
        case error(ServiceError.Code)
    }

    /// The next step.
    public enum Verdict: Sendable, Hashable {
        /// Another attempt after this wait.
        case retry(after: Duration)
        /// No retry: the caller gets the outcome.
        case giveUp(Reason)
    }

    /// The reason why the request is not retried.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        /// The request has had `maximumAttempts` attempts.
        case attemptsExhausted
        /// The service may have acted on the request, and the request is not idempotent.
        case notIdempotent
        /// The body is a one-shot stream, and part of it is no longer available.
        case bodyNotReplayable
        /// Another attempt would fail in the same way: a bad certificate, a violation of the protocol, a limit.
        case notRetryable
        /// `shouldRetry` answered ``RetryAnswer/no``.
        case declined
        /// The wait does not end before the request's deadline.
        case deadline
        /// `Retry-After` asks for more than `maximumRetryAfter`.
        case retryAfterTooLong
        /// The origin's budget is empty.
        case budgetExhausted
        /// The client is shutting down.
        case draining
    }

    /// The number of the failed attempt, from 1. Begins at 1 again after each redirect.
    public let attempt: Int
    /// The request's method.
    public let method: HTTPRequest.Method
    /// The request's origin, in the form `scheme://host:port`.
    public let origin: String
    /// The reason why the attempt is a failure.
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
        case .retry(let delay): "retry after \(delay.messageText)"
        case .giveUp(let reason): "give up: \(reason.rawValue)"
        }
    }
}
