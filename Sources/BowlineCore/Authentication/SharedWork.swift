/// One piece of work that any number of tasks can wait for. Each task has its own time limit.
///
/// The work runs in its own task, with the task-local values of the task that started it. Cancelling one waiter does
/// not cancel the work.
package final class SharedWork<Value: Sendable>: Sendable {
    /// The error of a waiter whose limit has passed.
    package struct LimitPassed: Error {}

    /// The error of a waiter after a shutdown's deadline has ended its call.
    package struct ForciblyClosed: Error {}

    private struct State {
        var result: Result<Value, any Error>?
        var waiters = WaiterTable<Value>()
        /// The timers of waiters that have a limit, by the waiter's number.
        var timers: [Int: Task<Void, Never>] = [:]
        var work: Task<Void, Never>?
    }

    private let state = Guarded(State())

    package init() {}

    /// Starts the work. Call it once.
    package func start(_ work: @escaping @Sendable () async throws -> Value) {
        let task = Task.inheriting {
            do {
                self.end(.success(try await work()))
            } catch {
                self.end(.failure(error))
            }
        }
        state.withLock { $0.work = task }
    }

    /// Cancels the work. Waiters get the error that the work then throws.
    package func cancel() {
        state.withLock { $0.work }?.cancel()
    }

    /// Waits until the work ends, and returns its result.
    ///
    /// - Parameters:
    ///   - limit: When the wait ends; nil: no limit.
    ///   - clock: The clock of `limit`.
    ///   - call: The call that waits.
    /// - Throws: the work's error; ``LimitPassed``; ``ForciblyClosed``; `CancellationError` when the waiting task is
    ///   cancelled.
    package func value(
        until limit: MonotonicInstant?, clock: any ServiceClock, call: CallRecord
    ) async throws -> Value {
        let number = state.withLock { $0.waiters.makeNumber() }
        var registration: Int?
        defer { call.removeForcedCloseHandler(registration) }
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            let known = state.withLock { $0.result ?? $0.waiters.store(continuation, as: number) }
            guard known == nil else { return known }
            registration = call.onForcedClose { self.give(.failure(ForciblyClosed()), to: number) }
            if let limit { setTimer(for: number, limit, clock) }
            return nil
        } onCancel: {
            give(.failure(CancellationError()), to: number)
        }
    }

    /// The work's result; nil: the work has not ended.
    package var result: Result<Value, any Error>? { state.withLock { $0.result } }

    private func setTimer(for number: Int, _ limit: MonotonicInstant, _ clock: any ServiceClock) {
        let timer = Task.inheriting {
            guard (try? await clock.sleep(until: limit, tolerance: nil)) != nil else { return }
            self.give(.failure(LimitPassed()), to: number)
        }
        let isWaiting = state.withLock { state in
            let isWaiting = state.waiters.contains(number)
            if isWaiting { state.timers[number] = timer }
            return isWaiting
        }
        if !isWaiting { timer.cancel() }
    }

    private func give(_ result: Result<Value, any Error>, to number: Int) {
        let (waiter, timer) = state.withLock { state in
            (state.waiters.remove(number), state.timers.removeValue(forKey: number))
        }
        timer?.cancel()
        waiter?.resume(with: result)
    }

    /// Ends the work with a result, and resumes the waiters. Call it only if ``start(_:)`` was not called for this
    /// work.
    package func end(_ result: Result<Value, any Error>) {
        let (waiters, timers) = state.withLock { state in
            state.result = result
            state.work = nil
            defer { state.timers = [:] }
            return (state.waiters.removeAll(), state.timers)
        }
        // In the order of the waiters, so that the same run of virtual time always has the same order.
        for timer in timers.sorted(by: { $0.key < $1.key }) { timer.value.cancel() }
        for waiter in waiters { waiter.resume(with: result) }
    }
}
