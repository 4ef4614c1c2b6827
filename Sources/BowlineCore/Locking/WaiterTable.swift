/// The continuations of tasks that wait for one event, each under a number of its own.
///
/// Storage only: the lock of the owner guards it, and the owner resumes after the unlock. A wait has three steps:
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

    /// Makes the number of a wait that is about to begin.
    package mutating func makeNumber() -> Int {
        numbersMade += 1
        return numbersMade
    }

    /// Stores a continuation, unless the current task is cancelled.
    ///
    /// - Returns: nil: it is stored; else the failure to resume it with. Then ``remove(_:)`` has run, or will run, and finds nothing.
    package mutating func store(_ continuation: Continuation, as number: Int) -> Result<Value, any Error>? {
        // A cancellation marks the task first and takes the owner's lock second: either this sees the mark, or `remove` finds
        // the continuation.
        if Task.isCancelled { return .failure(CancellationError()) }
        continuations[number] = continuation
        return nil
    }

    /// Takes one continuation out, to be resumed. nil: it was taken before, or never stored.
    package mutating func remove(_ number: Int) -> Continuation? {
        continuations.removeValue(forKey: number)
    }

    /// Takes all continuations out, to be resumed in the order of their numbers.
    package mutating func removeAll() -> [Continuation] {
        defer { continuations = [:] }
        return continuations.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Whether the wait of this number has stored its continuation and goes on.
    package func contains(_ number: Int) -> Bool {
        continuations[number] != nil
    }
}

/// Suspends the current task until its continuation is resumed, by the event or by the task's cancellation.
///
/// - Parameters:
///   - store: Called once with the continuation, before the task suspends. Stores it under the owner's lock and returns nil; or returns
///     a result to go on with at once: because the event has come, or because the task is cancelled, which `store` asks under the
///     same lock. ``WaiterTable/store(_:as:)`` does that.
///   - cancel: Called when the task is cancelled, on any thread, perhaps before `store`. Removes the continuation under the same lock,
///     and resumes it if it was there.
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
