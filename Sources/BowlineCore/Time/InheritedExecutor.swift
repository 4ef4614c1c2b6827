internal import BowlinePlatform
internal import Synchronization

/// The executor of the thread that virtual time runs on.
///
/// A task that is made with `Task { }` does not inherit the executor of the task that makes it. If Bowline made its own
/// tasks in that way, they would leave the thread of virtual time, and a simulation would differ from run to run. So
/// Bowline makes them with ``Swift/Task/inheriting(_:)``.
package enum InheritedExecutor {
    private final class Box: Sendable {
        let executor: any TaskExecutor

        init(_ executor: any TaskExecutor) {
            self.executor = executor
        }
    }

    /// Whether any thread has had such an executor. A program without virtual time only reads this flag.
    private static let isUsed = Atomic(false)
    private static let slot = ThreadSlot<Box>()

    /// The executor that tasks made on this thread inherit; nil: the thread is not one of virtual time.
    package static var current: (any TaskExecutor)? {
        isUsed.load(ordering: .relaxed) ? slot.object?.executor : nil
    }

    /// Runs `body`. The tasks that Bowline makes meanwhile on this thread run on `executor`.
    package static func use(_ executor: any TaskExecutor, while body: () -> Void) {
        isUsed.store(true, ordering: .relaxed)
        slot.hold(Box(executor), while: body)
    }
}

extension Task where Failure == Never {
    /// Makes a task as `Task { }` does. On a thread of virtual time, the task stays on this thread.
    @discardableResult
    package static func inheriting(
        _ operation: sending @escaping @isolated(any) () async -> Success
    ) -> Task<Success, Never> {
        guard let executor = InheritedExecutor.current else { return Task(operation: operation) }
        return Task(executorPreference: executor, operation: operation)
    }

    /// Makes a task as `Task.detached { }` does. On a thread of virtual time, the task stays on this thread.
    @discardableResult
    package static func detachedInheriting(
        _ operation: sending @escaping @isolated(any) () async -> Success
    ) -> Task<Success, Never> {
        guard let executor = InheritedExecutor.current else { return Task.detached(operation: operation) }
        return Task.detached(executorPreference: executor, operation: operation)
    }
}

extension Task where Failure == any Error {
    /// Makes a task as `Task { }` does. On a thread of virtual time, the task stays on this thread.
    @discardableResult
    package static func inheriting(
        _ operation: sending @escaping @isolated(any) () async throws -> Success
    ) -> Task<Success, any Error> {
        guard let executor = InheritedExecutor.current else { return Task(operation: operation) }
        return Task(executorPreference: executor, operation: operation)
    }
}
