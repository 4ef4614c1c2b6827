/// When a request that failed is tried again, how often, and after how long a wait.
///
/// Only requests that may be sent twice are: idempotent ones, and any whose attempt never reached the service
/// (``RequestProgress/neverSent``, ``RequestProgress/refused``). See `Docs/Retries.md`.
public struct RetryOptions: Sendable, ConfigurableOptions {
    /// How often a request is tried, the first included; 1 to 100; 1: never again. Default 3.
    public var maximumAttempts = 3
    /// Statuses that are worth another attempt; each 400 to 599. Default 408, 429, 502, 503, 504.
    public var statuses: Set<Int> = [408, 429, 502, 503, 504]
    /// Decides about an outcome before ``statuses`` and the error's code do; it sees every response, with any status, and
    /// every `ServiceError` of an attempt. Called once for each, in the request's task; must not block. Default nil.
    ///
    /// ```swift
    /// $0.retry.shouldRetry = { $0.fields["x-should-retry"] == "false" ? .no : .asUsual }
    /// ```
    public var shouldRetry: (@Sendable (RetryOutcome) -> RetryAnswer)?
    /// How long the waits are. Default: up to 50 ms, up to 1 s when the service said that it is too busy, doubling up to
    /// 20 s.
    public var backoff = RetryBackoff()
    /// The longest `Retry-After` that is waited for; a longer one returns the response at once. Zero or more; zero: none
    /// is waited for. The wait is random, from the `Retry-After` upwards, over a tenth of it or over the backoff, if that is
    /// more. It is longer than this by a tenth at most. Default 30 s.
    public var maximumRetryAfter: Duration = .seconds(30)
    /// How much extra load the retries to one origin may make together; nil: no limit. Default: a fifth of the requests and
    /// 10 each second, over 10 s.
    public var budget: RetryBudgetOptions? = RetryBudgetOptions()
    /// Called in the request's task with each decision, also with the decision to leave it at that; must not block.
    /// Default nil.
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

/// How many retries the requests to one origin may make together, over a sliding window.
///
/// When the budget is empty, the outcome at hand is returned: a service that is down gets little more load than it would
/// without retries.
public struct RetryBudgetOptions: Sendable, Hashable, ConfigurableOptions {
    /// Retries allowed as a share of the requests in the window; 0 to 1. Default 0.2.
    public var ratio = 0.2
    /// Retries allowed each second besides, so that a client with few requests can retry at all; 0 to 1,000,000.
    /// Default 10.
    public var perSecond = 10
    /// Over how long requests and retries are counted; 1 s to 5 min. Default 10 s.
    public var window: Duration = .seconds(10)

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("ratio", .number(\.ratio, 0...1)),
            OptionKnob("perSecond", .integer(\.perSecond, 0...1_000_000)),
            OptionKnob("window", .duration(\.window, .budgetWindow)),
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

extension DurationRange {
    fileprivate static let budgetWindow = DurationRange(
        text: "1 s…300 s", reason: "must be 1 s to 300 s", contains: { $0 >= .seconds(1) && $0 <= .seconds(300) })
}
