/// How long the waits before retries are.
///
/// The wait is drawn evenly between nothing and an upper end that doubles with each retry (full jitter), or a closure says
/// how long it is. `Retry-After` is a floor under either: see ``RetryOptions/maximumRetryAfter``.
///
/// ```swift
/// $0.retry.backoff = .exponential(base: .milliseconds(100), maximum: .seconds(5))
/// ```
public struct RetryBackoff: Sendable, ConfigurableOptions {
    /// The upper end of the wait before the first retry; it doubles with each further retry. Zero or more. Default
    /// 50 ms.
    public var base: Duration = .milliseconds(50)
    /// As ``base``, when the service said that it is too busy: 429, or 503 with `Retry-After`. Zero or more. Default 1 s.
    public var throttledBase: Duration = .seconds(1)
    /// The longest wait, except for `Retry-After`. Zero or more. Default 20 s.
    public var maximum: Duration = .seconds(20)
    /// Says how long the wait after this outcome is; a negative wait is none. It takes the place of the three above. Gets a
    /// number from 0 up to 1 of the client's `random` to spread the wait with. Called in the request's task; must not block.
    /// Default nil.
    ///
    /// A wait below `Retry-After` becomes that and up to a tenth more. One above it stays as it is, so callers whose closures do
    /// not use the number come back together.
    public var custom: (@Sendable (RetryOutcome, Double) -> Duration)?

    /// Makes the defaults.
    public init() {}

    /// The same upper ends after every outcome, also when the service said that it is too busy.
    ///
    /// - Parameters:
    ///   - base: The upper end before the first retry; zero or more.
    ///   - maximum: The highest upper end; zero or more.
    public static func exponential(base: Duration, maximum: Duration) -> RetryBackoff {
        exponential(base: base, throttledBase: base, maximum: maximum)
    }

    /// Other upper ends when the service said that it is too busy: 429, or 503 with `Retry-After`.
    ///
    /// - Parameters:
    ///   - base: The upper end before the first retry; zero or more.
    ///   - throttledBase: The same when the service said that it is too busy; zero or more.
    ///   - maximum: The highest upper end; zero or more.
    public static func exponential(base: Duration, throttledBase: Duration, maximum: Duration) -> RetryBackoff {
        var backoff = RetryBackoff()
        backoff.base = base
        backoff.throttledBase = throttledBase
        backoff.maximum = maximum
        return backoff
    }

    /// As a closure says; see ``custom``.
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
