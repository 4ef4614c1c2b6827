internal import BowlinePlatform

/// The clock that Bowline reads and sleeps on. Each client has one in its configuration, so that a test can set the
/// time.
///
/// Programs use ``MonotonicClock``; tests use `TestClock` of `BowlineTesting`.
public protocol ServiceClock: Clock, Sendable where Instant == MonotonicInstant {}

/// The machine's monotonic clock, which SwiftNIO's event loops use too: `CLOCK_MONOTONIC`, or `CLOCK_UPTIME_RAW` on
/// Apple's platforms. Neither counts the time while the machine sleeps.
public struct MonotonicClock: ServiceClock {
    // The timers of the event loops are set to this clock's instants, so both clocks must agree to the nanosecond.
    private static let source = Platform.monotonicClock

    /// Makes the clock. All values of this type are the same clock.
    public init() {}

    /// The time now. Reading it takes some tens of nanoseconds.
    public var now: MonotonicInstant {
        var time = timespec()
        clock_gettime(Self.source, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// The clock's resolution: one nanosecond.
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
