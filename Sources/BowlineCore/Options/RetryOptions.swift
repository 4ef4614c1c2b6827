/// Options that say when a failed request is retried, how often, and after what wait.
///
/// Only requests that may be sent twice are retried. These are idempotent requests, and other requests if the service
/// did not process the attempt (``RequestProgress/neverSent``, ``RequestProgress/refused``). See `Docs/Retries.md`.
public struct RetryOptions: Sendable, ConfigurableOptions {
    /// How many times a request is tried, the first attempt included, 1 to 100. With 1 there are no retries. Default 3.
    public var maximumAttempts = 3
    /// Statuses that are retried; each 400 to 599. Default 408, 429, 502, 503, 504.
    public var statuses: Set<Int> = [408, 429, 502, 503, 504]
    /// Decides whether an outcome is retried, before ``statuses`` and the error's code are considered. Called once for
    /// each response, with any status, and once for each `ServiceError` of an attempt. Not called for redirects (a 301,
    /// 302, 303, 307 or 308 with a `Location`), nor for a 401 or 417 after which the request is sent once more. Called in
    /// the request's task. Must not block. Default nil.
    ///
    /// ```swift
    /// $0.retry.shouldRetry = { $0.fields["x-should-retry"] == "false" ? .no : .asUsual }
    /// ```
    public var shouldRetry: (@Sendable (RetryOutcome) -> RetryAnswer)?
    /// How long the waits are. Default: the first wait is at most 50 ms, or at most 1 s when the service said that it
    /// is too busy. This maximum doubles with each retry, up to 20 s.
    public var backoff = RetryBackoff()
    /// The longest `Retry-After` that a retry waits for. If the service asks for a longer wait, the response is
    /// returned at once. Zero or more. With zero, a response with a `Retry-After` above zero is not retried. Default 30
    /// s.
    ///
    /// The wait is random and at least the `Retry-After`. The random part is at most the backoff's upper end, or a
    /// tenth of the `Retry-After` if that is more. `Retry-After` makes no wait longer than 1.1 × this property.
    public var maximumRetryAfter: Duration = .seconds(30)
    /// How much extra load all retries to one origin may make; nil: no limit. Default: retries for a fifth of the
    /// requests, and 10 more retries per second, counted over 10 s.
    public var budget: RetryBudgetOptions? = RetryBudgetOptions()
    /// Called in the request's task with each decision after a failed attempt, even if the decision is not to retry.
    /// Must not block. Default nil.
    public var onDecision: (@Sendable (RetryDecision) -> Void)?

    /// Short for `backoff.base`.
    public var baseDelay: Duration {
        get { backoff.base }
        set { backoff.base = newValue }
    }

    /// Short for `backoff.throttledBase`.
    public var throttledBaseDelay: Duration {
        get { backoff.throttledBase }
        set { backoff.throttledBase = newValue }
    }

    /// Short for `backoff.maximum`.
    public var maximumDelay: Duration {
        get { backoff.maximum }
        set { backoff.maximum = newValue }
    }

    /// Makes the defaults.
    public init() {}

    /// One attempt only.
    public static var never: RetryOptions {
        var options = RetryOptions()
        options.maximumAttempts = 1
        return options
    }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("maximumAttempts", .integer(\.maximumAttempts, 1...100)),
            OptionKnob("statuses", .integers(\.statuses, 400...599)),
            OptionKnob("backoff", .other { $0.backoff.problems(at: $1) }),
            OptionKnob("maximumRetryAfter", .duration(\.maximumRetryAfter, .notNegative)),
            OptionKnob("budget", .other { $0.budget?.problems(at: $1) ?? [] }),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

/// How many retries all requests to one origin together may make within a sliding window.
///
/// When the budget is empty, the outcome is returned without a retry. So a service that is down gets only a little more
/// load than it would get without retries.
public struct RetryBudgetOptions: Sendable, Hashable, ConfigurableOptions {
    /// The retries allowed, as a share of the requests in the window; 0 to 1. Default 0.2.
    public var ratio = 0.2
    /// The number of retries per second that are allowed in addition to ``ratio``, so that a client with few requests
    /// can retry at all; 0 to 1,000,000. Default 10.
    public var perSecond = 10
    /// The period in which requests and retries are counted; 1 s to 5 min. Default 10 s.
    public var window: Duration = .seconds(10)

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("ratio", .number(\.ratio, 0...1)),
            OptionKnob("perSecond", .integer(\.perSecond, 0...1_000_000)),
            OptionKnob("window", .duration(\.window, .slidingWindow)),
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}
