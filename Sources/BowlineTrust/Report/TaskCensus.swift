internal import Synchronization

/// Counts the pieces of work that still have a task.
///
/// Each piece of work has a witness object in a task-local value. A task inherits this value from the task that starts
/// it, and keeps it until it ends. So the witness exists while any task of the work exists. Detached tasks, and tasks
/// that callbacks of an event loop start, are not counted.
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

    /// How many pieces of work still have a task.
    var count: Int { live.load(ordering: .relaxed) }

    /// Does a piece of work, and counts it until the last of its tasks has ended.
    func counting<Result: Sendable>(_ work: @Sendable () async -> Result) async -> Result {
        await Self.$witness.withValue(Witness(self), operation: work)
    }
}
