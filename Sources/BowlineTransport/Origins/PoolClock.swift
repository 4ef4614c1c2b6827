internal import BowlineCore

/// The injected clock as the pool's generic parameter.
struct PoolClock: Clock {
    let base: any ServiceClock

    var now: MonotonicInstant { base.now }
    var minimumResolution: Duration { base.minimumResolution }

    func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        try await base.sleep(until: deadline, tolerance: tolerance)
    }
}
