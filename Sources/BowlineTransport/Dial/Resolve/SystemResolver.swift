package import BowlineCore
internal import BowlinePlatform

/// Looks up host names with the system's resolver, on separate threads. So no event loop waits for a name, and a slow
/// name does not delay others.
///
/// All clients of the process share one system resolver and its look-ups: ``shared``. The resolver's threads end as
/// soon as they have nothing to do. ``ResolverStateMachine`` decides how many look-ups run at a time and in which
/// order. Answers are not kept here: ``AddressCache`` keeps them.
package final class SystemResolver: ServiceResolver {
    /// Looks up the addresses of one name and one family. Blocks until the answer is there.
    package typealias LookUp =
        @Sendable (_ host: String, _ family: IPAddress.Family) -> Result<ResolvedAddresses, NameLookupError>
    /// Runs its argument on a new thread. Returns the system's reason if the thread could not be started; nil: the
    /// thread runs.
    package typealias StartThread = @Sendable (_ body: @escaping @Sendable () -> Void) -> String?

    private typealias Machine = ResolverStateMachine<
        NameQuery, CheckedContinuation<ResolvedAddresses, any Error>
    >

    private struct State: ~Copyable {
        var machine = Machine()
    }

    /// The resolver of the process.
    package static let shared = SystemResolver()

    private let lookUp: LookUp
    private let startThread: StartThread
    private let state = Guarded(State())

    /// Makes a resolver. Tests replace the system with these arguments.
    package init(
        lookUp: @escaping LookUp = SystemLookUp.addresses(of:_:),
        startThread: @escaping StartThread = PlatformThread.startDetached
    ) {
        self.lookUp = lookUp
        self.startThread = startThread
    }

    /// Returns the addresses of `host` that belong to `family`. If the task is cancelled, the call ends at once. The
    /// system's look-up may go on.
    package func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        let query = NameQuery(host, family)
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

    /// The current numbers of threads, look-ups and waiters, for tests.
    package struct Counts: Sendable, Equatable {
        package var threads: Int
        package var running: Int
        package var abandoned: Int
        package var queued: Int
        package var waiters: Int

        package init(threads: Int = 0, running: Int = 0, abandoned: Int = 0, queued: Int = 0, waiters: Int = 0) {
            self.threads = threads
            self.running = running
            self.abandoned = abandoned
            self.queued = queued
            self.waiters = waiters
        }
    }

    package var counts: Counts {
        state.withLock {
            Counts(
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
