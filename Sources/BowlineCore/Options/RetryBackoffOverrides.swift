/// A request's own waits before retries. Each part that is not set is inherited from the client.
///
/// ```swift
/// $0.retry.backoff.maximum = .seconds(1)                                              // this part
/// $0.retry.backoff = .exponential(base: .milliseconds(100), maximum: .seconds(5))     // the whole
/// ```
/// If a request sets one of the three durations, the client's ``RetryBackoff/custom`` is not called.
public struct RetryBackoffOverrides: Sendable, ConfigurableOptions {
    /// See ``RetryBackoff/base``. Zero or more.
    public var base: Duration?
    /// See ``RetryBackoff/throttledBase``. Zero or more.
    public var throttledBase: Duration?
    /// See ``RetryBackoff/maximum``. Zero or more.
    public var maximum: Duration?
    /// See ``RetryBackoff/custom``.
    public var custom: (@Sendable (RetryOutcome, Double) -> Duration)?

    /// Inherits everything.
    public init() {}

    /// See ``RetryBackoff/exponential(base:maximum:)``.
    public static func exponential(base: Duration, maximum: Duration) -> RetryBackoffOverrides {
        exponential(base: base, throttledBase: base, maximum: maximum)
    }

    /// See ``RetryBackoff/exponential(base:throttledBase:maximum:)``.
    public static func exponential(
        base: Duration, throttledBase: Duration, maximum: Duration
    ) -> RetryBackoffOverrides {
        RetryBackoffOverrides {
            $0.base = base
            $0.throttledBase = throttledBase
            $0.maximum = maximum
        }
    }

    /// See ``RetryBackoff/custom(_:)``.
    public static func custom(
        _ delay: @escaping @Sendable (RetryOutcome, Double) -> Duration
    ) -> RetryBackoffOverrides {
        RetryBackoffOverrides { $0.custom = delay }
    }

    private var hasDuration: Bool { base != nil || throttledBase != nil || maximum != nil }

    var isInherited: Bool { !hasDuration && custom == nil }

    func resolved(over backoff: RetryBackoff) -> RetryBackoff {
        var result = backoff
        if hasDuration { result.custom = nil }
        if let base { result.base = base }
        if let throttledBase { result.throttledBase = throttledBase }
        if let maximum { result.maximum = maximum }
        if let custom { result.custom = custom }
        return result
    }
}
