internal import Bowline
internal import Synchronization

/// The machine's monotonic clock. It counts the sleeps that have not ended.
///
/// With a clock that is not `MonotonicClock`, Bowline sleeps on it for each of its timers. So the count includes the
/// timers that Bowline otherwise sets on event loops.
final class CountingClock: ServiceClock {
    private let clock = MonotonicClock()
    private let unfinished = Atomic(0)

    /// How many sleeps have not ended.
    var sleeping: Int { unfinished.load(ordering: .relaxed) }

    var now: MonotonicInstant { clock.now }

    var minimumResolution: Duration { clock.minimumResolution }

    func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        unfinished.wrappingAdd(1, ordering: .relaxed)
        defer { unfinished.wrappingSubtract(1, ordering: .relaxed) }
        try await clock.sleep(until: deadline, tolerance: tolerance)
    }
}
