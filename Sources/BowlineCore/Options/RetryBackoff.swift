/// Options that say how long the client waits before retries.
///
/// By default the wait is random: evenly distributed between zero and an upper end that doubles with each retry (full
/// jitter). If ``custom`` is set, this closure returns the wait. In both cases the wait is at least the `Retry-After`:
/// see ``RetryOptions/maximumRetryAfter``.
///
/// ```swift
/// $0.retry.backoff = .exponential(base: .milliseconds(100), maximum: .seconds(5))
/// ```
public struct RetryBackoff: Sendable, ConfigurableOptions {
    /// The upper end of the wait before the first retry. It doubles with each further retry. Zero or more. Default 50
    /// ms.
    public var base: Duration = .milliseconds(50)
    /// Replaces ``base`` when the service said that it is too busy: 429, or 503 with `Retry-After`. Zero or more.
    /// Default 1 s.
    public var throttledBase: Duration = .seconds(1)
    /// The highest upper end. Only `Retry-After` makes a wait longer. Zero or more. Default 20 s.
    public var maximum: Duration = .seconds(20)
    /// Returns the wait after this outcome, in place of the three properties above. A negative wait counts as zero. The
    /// second argument is a random number from 0 up to 1 (from the client's `random`). Use it to spread the waits of
    /// several callers. Called in the request's task. Must not block. Default nil.
    ///
    /// A wait shorter than `Retry-After` is replaced by `Retry-After` plus a random part, which is at most a tenth of
    /// `Retry-After`. A longer wait is not changed. If the closure then ignores the random number, many callers retry
    /// at the same time.
    public var custom: (@Sendable (RetryOutcome, Double) -> Duration)?

    /// Makes the defaults.
    public init() {}

    /// Returns a backoff that has the same upper ends after every outcome, even when the service said that it is too
    /// busy.
    ///
    /// - Parameters:
    ///   - base: The upper end before the first retry; zero or more.
    ///   - maximum: The highest upper end; zero or more.
    public static func exponential(base: Duration, maximum: Duration) -> RetryBackoff {
        exponential(base: base, throttledBase: base, maximum: maximum)
    }

    /// Returns a backoff with other upper ends when the service said that it is too busy: 429, or 503 with
    /// `Retry-After`.
    ///
    /// - Parameters:
    ///   - base: The upper end before the first retry; zero or more.
    ///   - throttledBase: The upper end before the first retry when the service said that it is too busy; zero or more.
    ///   - maximum: The highest upper end; zero or more.
    public static func exponential(base: Duration, throttledBase: Duration, maximum: Duration) -> RetryBackoff {
        var backoff = RetryBackoff()
        backoff.base = base
        backoff.throttledBase = throttledBase
        backoff.maximum = maximum
        return backoff
    }

    /// Returns a backoff whose waits a closure decides; see ``custom``.
    ///
    /// ```swift
    /// $0.retry.backoff = .custom { outcome, random in .milliseconds(200 * (outcome.retries + 1)) * random }
    /// ```
    public static func custom(_ delay: @escaping @Sendable (RetryOutcome, Double) -> Duration) -> RetryBackoff {
        var backoff = RetryBackoff()
        backoff.custom = delay
        return backoff
    }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("base", .duration(\.base, .notNegative)),
            OptionKnob("throttledBase", .duration(\.throttledBase, .notNegative)),
            OptionKnob("maximum", .duration(\.maximum, .notNegative)),
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}
