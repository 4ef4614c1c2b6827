internal import Bowline

/// Begins each request when it is due, whether or not the earlier ones have ended (an *open loop*).
///
/// A service that becomes slow gets as many requests as before. Callers who do not know of each other behave like this;
/// workers do not, because a worker waits for its response.
final class OpenLoop: Sendable {
    private let worker: Worker
    private let pace: Pace
    private let executors: [any TaskExecutor]
    private let tally = Guarded(Tally())

    /// - Parameter executors: Where the requests run, in turn; empty: on Swift's threads.
    init(worker: Worker, pace: Pace, executors: [any TaskExecutor]) {
        self.worker = worker
        self.pace = pace
        self.executors = executors
    }

    /// Sends requests until none is left, or until the shutdown has begun.
    func run() async -> Tally {
        let clock = MonotonicClock()
        await withDiscardingTaskGroup { group in
            let began = clock.now
            while let index = worker.queue.take() {
                let due = began.advanced(by: pace.due(index))
                await worker.ending.pause(for: clock.now.duration(to: due))
                if worker.ending.hasBegun { break }
                group.addTask(executorPreference: executors.isEmpty ? nil : executors[index % executors.count]) {
                    let entry = await self.worker.perform(index, due: due)
                    self.tally.withLock { $0.record(entry) }
                }
            }
        }
        return tally.withLock { $0 }
    }
}
