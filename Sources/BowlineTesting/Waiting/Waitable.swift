internal import BowlineCore

/// A value under a lock that tasks can wait on. Each change evaluates the conditions of all waiters.
///
/// The awaiting functions of this module use it, so that no test has to poll or sleep. Waiters are served in the order
/// of their arrival. They are resumed after the lock is released.
final class Waitable<State: Sendable>: Sendable {
    private struct Waiter: Sendable {
        let token: Token
        /// Examines the state, and may change it. Returns a closure that resumes the waiter; nil: the waiter goes on
        /// waiting.
        let attempt: @Sendable (inout State) -> (@Sendable () -> Void)?
        let fail: @Sendable (any Error, State) -> Void
    }

    private struct Contents: Sendable {
        var state: State
        var waiters: [Waiter] = []
    }

    private final class Token: Sendable {}

    private let guarded: Guarded<Contents>

    init(_ state: State) {
        guarded = Guarded(Contents(state: state))
    }

    /// Reads or changes the value, then resumes the waiters whose condition is true.
    func withLock<Result: Sendable>(_ body: (inout State) throws -> Result) rethrows -> Result {
        let (result, resumptions) = try guarded.withLock { guarded -> (Result, [@Sendable () -> Void]) in
            let result = try body(&guarded.state)
            return (result, Self.serve(&guarded))
        }
        for resume in resumptions { resume() }
        return result
    }

    private static func serve(_ guarded: inout Contents) -> [@Sendable () -> Void] {
        guard !guarded.waiters.isEmpty else { return [] }
        var resumptions: [@Sendable () -> Void] = []
        var remaining: [Waiter] = []
        for waiter in guarded.waiters {
            if let resume = waiter.attempt(&guarded.state) {
                resumptions.append(resume)
            } else {
                remaining.append(waiter)
            }
        }
        guarded.waiters = remaining
        return resumptions
    }

    /// Waits until `attempt` returns a value. Calls it under the lock, now and after each change.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    func wait<Result: Sendable>(_ attempt: @escaping @Sendable (inout State) -> Result?) async throws -> Result {
        try await wait(Token(), attempt) { error, _ in error }
    }

    /// Waits until `condition` is true, for at most `timeout`.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    func wait(
        for awaited: String,
        within timeout: Duration,
        at site: CallSite,
        found: @escaping @Sendable (State) -> String,
        until condition: @escaping @Sendable (State) -> Bool
    ) async throws {
        let token = Token()
        // In virtual time the timeout is virtual too.
        let clock: any ServiceClock = VirtualTimeLoop.current.map { VirtualClock($0) } ?? MonotonicClock()
        let timer = Task.inheriting { [weak self] in
            try await clock.sleep(until: clock.now.advanced(by: timeout), tolerance: nil)
            self?.fail(token, with: TimeIsUp())
        }
        defer { timer.cancel() }
        try await wait(token, { condition($0) ? () : nil }) { error, state in
            guard error is TimeIsUp else { return error }
            return WaitTimeout(awaited: awaited, found: found(state), timeout: timeout, location: site.text)
        }
    }

    private struct TimeIsUp: Error {}

    private func wait<Result: Sendable>(
        _ token: Token,
        _ attempt: @escaping @Sendable (inout State) -> Result?,
        explain: @escaping @Sendable (any Error, State) -> any Error
    ) async throws -> Result {
        if let result = guarded.withLock({ attempt(&$0.state) }) { return result }
        defer { guarded.synchronize() }
        return try await withCancellableContinuation { continuation in
            let waiter = Waiter(token: token) { state in
                guard let result = attempt(&state) else { return nil }
                return { continuation.resume(returning: result) }
            } fail: { error, state in
                continuation.resume(throwing: explain(error, state))
            }
            return guarded.withLock { guarded -> Swift.Result<Result, any Error>? in
                if let result = attempt(&guarded.state) { return .success(result) }
                if Task.isCancelled { return .failure(CancellationError()) }
                guarded.waiters.append(waiter)
                return nil
            }
        } onCancel: {
            fail(token, with: CancellationError())
        }
    }

    private func fail(_ token: Token, with error: any Error) {
        let failed = guarded.withLock { guarded -> (Waiter, State)? in
            guard let index = guarded.waiters.firstIndex(where: { $0.token === token }) else { return nil }
            return (guarded.waiters.remove(at: index), guarded.state)
        }
        if let (waiter, state) = failed { waiter.fail(error, state) }
    }
}
