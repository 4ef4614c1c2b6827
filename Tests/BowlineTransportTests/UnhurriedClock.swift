import BowlineCore
import BowlineTesting

/// A clock that wakes no sleeper: the harness runs the due work itself, so that it knows when it is done.
struct UnhurriedClock: ServiceClock {
    private let base: TestClock
    /// Nothing moves this clock.
    private let stillClock = TestClock()

    init(_ base: TestClock) {
        self.base = base
    }

    var now: MonotonicInstant { base.now }
    var minimumResolution: Duration { base.minimumResolution }

    func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        try await stillClock.sleep(until: .distantFuture, tolerance: tolerance)
    }
}
