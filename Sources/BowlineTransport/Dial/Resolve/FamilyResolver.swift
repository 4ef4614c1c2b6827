internal import BowlineCore

/// The look-ups and threads of one address family for ``SystemResolver``.
///
/// The threads end as soon as they have nothing to do. ``ResolverStateMachine`` decides how many look-ups run at a time and
/// in which order.
final class FamilyResolver: Sendable {
    private typealias Machine = ResolverStateMachine<
        NameQuery, CheckedContinuation<ResolvedAddresses, any Error>
    >

    private struct State: ~Copyable {
        var machine = Machine()
    }

    private let lookUp: SystemResolver.LookUp
    private let startThread: SystemResolver.StartThread
    private let state = Guarded(State())

    init(lookUp: @escaping SystemResolver.LookUp, startThread: @escaping SystemResolver.StartThread) {
        self.lookUp = lookUp
        self.startThread = startThread
    }

    /// Returns the system's answer. If the task is cancelled, the call ends at once. The system's look-up may go on.
    func resolve(_ query: NameQuery) async throws -> ResolvedAddresses {
        let id = state.withLock { $0.machine.nextWaiterID() }
        // For the thread sanitizer: the runtime does not tell it when a continuation is resumed before the task awaits
        // it.
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            let threads = state.withLock { state -> Machine.Threads? in
                Task.isCancelled ? nil : state.machine.wanted(query, by: continuation, id)
            }
            guard let threads else { return .failure(CancellationError()) }
            if threads == .startOne { addThread() }
            return nil
        } onCancel: {
            let forgotten = state.withLock { $0.machine.forgotten(query, id) }
            forgotten.waiter?.resume(throwing: CancellationError())
            if forgotten.threads == .startOne { addThread() }
        }
    }

    var counts: SystemResolver.Counts {
        state.withLock {
            SystemResolver.Counts(
                threads: $0.machine.threadCount, running: $0.machine.runningCount,
                abandoned: $0.machine.abandonedCount, queued: $0.machine.queuedCount, waiters: $0.machine.waiterCount
            )
        }
    }

    private func addThread() {
        guard let reason = startThread({ self.run() }) else { return }
        let waiters = state.withLock { $0.machine.threadNotStarted() }
        let error = NameLookupError(.noResources, "no thread could be started: \(reason)")
        for waiter in waiters { waiter.resume(throwing: error) }
    }

    /// The body of each thread.
    private func run() {
        while let query = state.withLock({ $0.machine.threadBecameFree() }) {
            let answer = lookUp(query.host, query.family)
            let waiters = state.withLock { $0.machine.lookUpEnded(query) }
            for waiter in waiters { waiter.resume(with: answer.mapError { $0 }) }
        }
    }
}
