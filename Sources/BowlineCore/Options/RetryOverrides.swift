/// A request's own rules for retries. Each rule that is not set is inherited from the client.
///
/// ```swift
/// let report = try await client.get("report") { $0.retry.maximumAttempts = 6 }
/// ```
/// All rules that the request does not set, also the client's budget and its `onDecision`, still apply.
public struct RetryOverrides: Sendable, ConfigurableOptions {
    /// How many times the request is tried, the first attempt included; 1 to 100. See ``RetryOptions/maximumAttempts``.
    public var maximumAttempts: Int?
    /// Statuses that are retried: a list in place of the client's, or changes to the client's list; each 400 to 599.
    /// See ``RetryOptions/statuses``.
    public var statuses: SetOverride<Int> = .inherited
    /// Decides about an outcome, in place of the client's closure. See ``RetryOptions/shouldRetry``.
    public var shouldRetry: (@Sendable (RetryOutcome) -> RetryAnswer)?
    /// How long the waits are. See ``RetryOptions/backoff``.
    public var backoff = RetryBackoffOverrides()
    /// The longest `Retry-After` that a retry waits for; zero or more. See ``RetryOptions/maximumRetryAfter``.
    public var maximumRetryAfter: Duration?
    /// How much extra load retries may make. See ``RetryOptions/budget``. If the budget has another `window` than the
    /// client's, its requests and retries are counted separately.
    public var budget: LimitOverride<RetryBudgetOptions> = .inherited
    /// Called with each decision, in place of the client's closure. See ``RetryOptions/onDecision``.
    public var onDecision: (@Sendable (RetryDecision) -> Void)?

    /// Inherits everything.
    public init() {}

    /// One attempt only.
    public static var never: RetryOverrides {
        var overrides = RetryOverrides()
        overrides.maximumAttempts = 1
        return overrides
    }

    package var isInherited: Bool {
        maximumAttempts == nil && statuses == .inherited && shouldRetry == nil && backoff.isInherited
            && maximumRetryAfter == nil && budget == .inherited && onDecision == nil
    }

    package func resolved(over options: RetryOptions) -> RetryOptions {
        var result = options
        if let maximumAttempts { result.maximumAttempts = maximumAttempts }
        result.statuses = statuses.resolved(over: options.statuses)
        if let shouldRetry { result.shouldRetry = shouldRetry }
        result.backoff = backoff.resolved(over: options.backoff)
        if let maximumRetryAfter { result.maximumRetryAfter = maximumRetryAfter }
        result.budget = budget.resolved(over: options.budget)
        if let onDecision { result.onDecision = onDecision }
        return result
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        // The defaults have no problems, so any problem comes from the overrides.
        resolved(over: RetryOptions()).problems(at: path)
    }
}
