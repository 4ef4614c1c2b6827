internal import BowlinePlatform

/// A clock that Bowline reads and sleeps on; injected everywhere, so that a test sets the time.
///
/// Programs use ``MonotonicClock``; tests use `TestClock` of `BowlineTesting`.
public protocol ServiceClock: Clock, Sendable where Instant == MonotonicInstant {}

/// The machine's monotonic clock, the same that SwiftNIO's event loops run on: `CLOCK_MONOTONIC`, on Apple's platforms
/// `CLOCK_UPTIME_RAW`. Neither counts the time that the machine sleeps.
public struct MonotonicClock: ServiceClock {
    // The loops' timers are set to this clock's instants, so it has to be theirs to the nanosecond.
    private static let source = Platform.monotonicClock

    /// Makes the clock; all values are alike.
    public init() {}

    /// The time now; takes some tens of nanoseconds.
    public var now: MonotonicInstant {
        var time = timespec()
        clock_gettime(Self.source, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// One nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// Suspends until `deadline`.
    ///
    /// - Throws: `CancellationError` at once when the task is cancelled.
    public func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        let remaining = now.duration(to: deadline)
        guard remaining > .zero else { return try Task.checkCancellation() }
        try await Task.sleep(for: remaining, tolerance: tolerance, clock: .suspending)
    }
}
