internal import Synchronization

/// Counts the pieces of work of which a task is left.
///
/// A task inherits the task-local values of the one that starts it, and has them until it ends: so the witness of a piece of
/// work is there as long as any of its tasks. Detached tasks, and those that an event loop's callbacks start, are not seen.
final class TaskCensus: Sendable {
    private final class Witness: Sendable {
        private let census: TaskCensus

        init(_ census: TaskCensus) {
            self.census = census
            census.live.wrappingAdd(1, ordering: .relaxed)
        }

        deinit {
            census.live.wrappingSubtract(1, ordering: .relaxed)
        }
    }

    @TaskLocal private static var witness: Witness?

    private let live = Atomic(0)

    /// How many pieces of work have a task.
    var count: Int { live.load(ordering: .relaxed) }

    /// Does a piece of work, and counts it until the last of its tasks has ended.
    func watching<Result: Sendable>(_ work: @Sendable () async -> Result) async -> Result {
        await Self.$witness.withValue(Witness(self), operation: work)
    }
}
