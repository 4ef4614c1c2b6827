/// One piece of work that any number of tasks wait for, each as long as it may.
///
/// It runs in a task of its own, with the task-local values of whoever started it. That one who waits gives up does not
/// end it.
package final class Flight<Value: Sendable>: Sendable {
    /// Somebody waited to his limit.
    package struct LimitPassed: Error {}

    /// A shutdown's deadline ended the call that waited.
    package struct ForciblyClosed: Error {}

    private struct Waiter {
        let continuation: CheckedContinuation<Value, any Error>
        var timer: Task<Void, Never>?
    }

    private struct State {
        var result: Result<Value, any Error>?
        var waiters: [Int: Waiter] = [:]
        var nextNumber = 0
        var work: Task<Void, Never>?
    }

    private let state = Guarded(State())

    package init() {}

    /// Begins. Called once.
    package func start(_ work: @escaping @Sendable () async throws -> Value) {
        let task = Task {
            do {
                self.end(.success(try await work()))
            } catch {
                self.end(.failure(error))
            }
        }
        state.withLock { $0.work = task }
    }

    /// Cancels the work. Those who wait get what it then throws.
    package func cancel() {
        state.withLock { $0.work }?.cancel()
    }

    /// Waits for the work's end.
    ///
    /// - Parameters:
    ///   - limit: Until when; nil: as long as it takes.
    ///   - clock: What `limit` is measured on.
    ///   - call: For whom.
    /// - Throws: what the work threw; ``LimitPassed``; ``ForciblyClosed``; `CancellationError` when the waiting task is cancelled.
    package func value(
        until limit: MonotonicInstant?, clock: any ServiceClock, call: CallRecord
    ) async throws -> Value {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        var registration: Int?
        defer { call.removeForcedCloseHandler(registration) }
        defer { state.synchronize() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // Whoever cancels marks the task first and then takes the lock, so no cancellation is missed.
                let known = state.withLock { state -> Result<Value, any Error>? in
                    if let result = state.result { return result }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[number] = Waiter(continuation: continuation)
                    return nil
                }
                if let known { return continuation.resume(with: known) }
                registration = call.onForcedClose { self.give(.failure(ForciblyClosed()), to: number) }
                if let limit { setTimer(for: number, limit, clock) }
            }
        } onCancel: {
            give(.failure(CancellationError()), to: number)
        }
    }

    /// What the work came to; nil: it goes on.
    package var result: Result<Value, any Error>? { state.withLock { $0.result } }

    private func setTimer(for number: Int, _ limit: MonotonicInstant, _ clock: any ServiceClock) {
        let timer = Task {
            guard (try? await clock.sleep(until: limit, tolerance: nil)) != nil else { return }
            self.give(.failure(LimitPassed()), to: number)
        }
        let isWaiting = state.withLock { state in
            state.waiters[number]?.timer = timer
            return state.waiters[number] != nil
        }
        if !isWaiting { timer.cancel() }
    }

    private func give(_ result: Result<Value, any Error>, to number: Int) {
        guard let waiter = state.withLock({ $0.waiters.removeValue(forKey: number) }) else { return }
        waiter.timer?.cancel()
        waiter.continuation.resume(with: result)
    }

    /// Ends it with what its work, which somebody else does, came to.
    package func end(_ result: Result<Value, any Error>) {
        let waiters = state.withLock { state in
            state.result = result
            state.work = nil
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters {
            waiter.timer?.cancel()
            waiter.continuation.resume(with: result)
        }
    }
}
