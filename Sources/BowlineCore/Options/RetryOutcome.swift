/// An attempt's outcome, for the closures of ``RetryOptions``: a response's head, or an error.
public struct RetryOutcome: Sendable {
    /// The request's method.
    public let method: HTTPRequest.Method
    /// The number of the attempt, from 1. Begins at 1 again after each redirect.
    public let attempt: Int
    /// How many retries were made before this outcome: 0 after the first attempt.
    public let retries: Int
    /// The response's status; nil: the attempt ended with ``error``.
    public let status: HTTPResponse.Status?
    /// The error; nil: there is a response.
    public let error: ServiceError?
    /// The wait that the service asked for (`Retry-After`); nil: there is no `Retry-After`, or it cannot be read.
    public let retryAfter: Duration?
    private let received: ReceivedFields?

    /// The response's fields; empty after an error.
    public var fields: HTTPFields { received?.httpFields ?? [:] }

    /// Whether the service said that it is too busy: 429, or 503 with `Retry-After`.
    public var isThrottled: Bool {
        status?.code == 429 || status?.code == 503 && retryAfter != nil
    }

    package init(
        method: HTTPRequest.Method, attempt: Int, retries: Int, status: HTTPResponse.Status?,
        received: ReceivedFields?, error: ServiceError?, retryAfter: Duration?
    ) {
        self.method = method
        self.attempt = attempt
        self.retries = retries
        self.status = status
        self.received = received
        self.error = error
        self.retryAfter = retryAfter
    }
}

/// The answer of ``RetryOptions/shouldRetry``.
public enum RetryAnswer: Sendable, Hashable {
    /// Retry, regardless of ``RetryOptions/statuses`` and the error's code. The other rules still apply: the request
    /// must be one that may be sent twice, attempts, time and budget must be left, and `Retry-After` must not be too
    /// long.
    case yes
    /// Do not retry: the caller gets the outcome.
    case no
    /// Decide as if there were no closure.
    case asUsual
}
