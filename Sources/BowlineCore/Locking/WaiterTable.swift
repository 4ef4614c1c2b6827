/// The continuations of tasks that wait for one event. Each has its own number.
///
/// Only stores the continuations. The owner's lock guards this storage, and the owner resumes continuations after the
/// unlock. A wait has three steps:
///
/// ```swift
/// let number = state.withLock { $0.waiters.makeNumber() }
/// let value = try await withCancellableContinuation { continuation in
///     state.withLock { $0.result ?? $0.waiters.store(continuation, as: number) }
/// } onCancel: {
///     state.withLock { $0.waiters.remove(number) }?.resume(throwing: CancellationError())
/// }
/// ```
package struct WaiterTable<Value: Sendable>: Sendable {
    package typealias Continuation = CheckedContinuation<Value, any Error>

    private var continuations: [Int: Continuation] = [:]
    private var numbersMade = 0

    package init() {}

    /// Makes the number for a wait that is about to begin.
    package mutating func makeNumber() -> Int {
        numbersMade += 1
        return numbersMade
    }

    /// Stores a continuation, unless the current task is cancelled.
    ///
    /// - Returns: nil: the continuation is stored; else the failure to resume it with. In that case ``remove(_:)`` has
    ///   run or will run, and finds nothing.
    package mutating func store(_ continuation: Continuation, as number: Int) -> Result<Value, any Error>? {
        // A cancellation first marks the task and then takes the owner's lock. So either this function sees the mark,
        // or `remove` finds the continuation.
        if Task.isCancelled { return .failure(CancellationError()) }
        continuations[number] = continuation
        return nil
    }

    /// Removes and returns one continuation, for the owner to resume. nil: it was removed before, or never stored.
    package mutating func remove(_ number: Int) -> Continuation? {
        continuations.removeValue(forKey: number)
    }

    /// Removes and returns all continuations, in the order of their numbers, for the owner to resume.
    package mutating func removeAll() -> [Continuation] {
        defer { continuations = [:] }
        return continuations.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Whether the wait of this number has stored its continuation and has not ended.
    package func contains(_ number: Int) -> Bool {
        continuations[number] != nil
    }
}

/// Suspends the current task until its continuation is resumed, by the event or by the task's cancellation.
///
/// - Parameters:
///   - store: Called once with the continuation, before the task suspends. Stores the continuation under the owner's
///     lock and returns nil. If the event has happened already or the task is cancelled, it returns a result instead,
///     and the task goes on at once. `store` must check for cancellation under the same lock, as
///     ``WaiterTable/store(_:as:)`` does.
///   - cancel: Called when the task is cancelled, on any thread, perhaps before `store`. Removes the continuation under
///     the same lock, and resumes it if it was stored.
package func withCancellableContinuation<Value: Sendable>(
    _ store: (CheckedContinuation<Value, any Error>) -> Result<Value, any Error>?,
    onCancel cancel: @Sendable () -> Void
) async throws -> Value {
    try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            if let result = store(continuation) { continuation.resume(with: result) }
        }
    } onCancel: {
        cancel()
    }
}
