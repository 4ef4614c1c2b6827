internal import BowlineCore

/// Reads a client's clock several times per attempt.
///
/// The compiler copies an `any ServiceClock` each time that it reads it. This costs more than the reading of the
/// machine's own clock, which nearly all clients use. So that clock is read directly.
struct ClockReader: Sendable {
    private let clock: any ServiceClock
    private let isMonotonic: Bool

    init(_ clock: any ServiceClock) {
        self.clock = clock
        isMonotonic = clock is MonotonicClock
    }

    @inline(__always) var now: MonotonicInstant { isMonotonic ? MonotonicClock().now : clock.now }
}
