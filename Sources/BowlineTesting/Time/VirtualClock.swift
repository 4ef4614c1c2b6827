public import BowlineCore

/// The clock of one run of virtual time: ``VirtualTime/clock``.
///
/// It stands still while any task of the run has something to do. When all tasks wait, it jumps to the next deadline of
/// a task that sleeps. After the end of the run it stands still, and a sleep takes its time on the machine's clock.
public final class VirtualClock: ServiceClock {
    private let loop: VirtualTimeLoop

    init(_ loop: VirtualTimeLoop) {
        self.loop = loop
    }

    public var now: MonotonicInstant { loop.now }

    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The number of tasks that sleep now.
    public var sleeperCount: Int { loop.sleeperCount }

    /// Suspends the task until the clock has reached `deadline`. Returns at once if the deadline has passed.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled, or when the body of the run has ended.
    public func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        try await loop.sleep(until: deadline)
    }
}
