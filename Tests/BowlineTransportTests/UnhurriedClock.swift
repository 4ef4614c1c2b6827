import BowlineCore
import BowlineTesting

/// A clock that wakes nobody: a harness does what is due itself, so that it knows when that is done.
struct UnhurriedClock: ServiceClock {
    private let base: TestClock
    /// Nobody moves it.
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
