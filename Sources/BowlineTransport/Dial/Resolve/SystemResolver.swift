internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore

/// Looks up host names with the system's resolver, on separate threads. So no event loop waits for a name, and a slow
/// name does not delay others.
///
/// All clients of the process share one system resolver and its look-ups: ``shared``. The resolver's threads end as
/// soon as they have nothing to do. ``ResolverStateMachine`` decides how many look-ups run at a time and in which
/// order. `localhost` and names that end in `.localhost` mean this machine and need no look-up (RFC 6761 §6.3).
package final class SystemResolver: ServiceResolver {
    /// Looks up one name. Blocks until the answer is there.
    package typealias LookUp = @Sendable (_ host: String) -> Result<ResolvedAddresses, NameLookupError>
    /// Runs its argument on a new thread. Returns the system's reason if the thread could not be started; nil: the
    /// thread runs.
    package typealias StartThread = @Sendable (_ body: @escaping @Sendable () -> Void) -> String?

    private typealias Machine = ResolverStateMachine<CheckedContinuation<ResolvedAddresses, any Error>>

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
        lookUp: @escaping LookUp = SystemLookUp.addresses(of:),
        startThread: @escaping StartThread = PlatformThread.startDetached
    ) {
        self.lookUp = lookUp
        self.startThread = startThread
    }

    /// Returns the addresses of `host`. If the task is cancelled, the call ends at once. The system's look-up may go
    /// on.
    package func resolve(_ host: String) async throws -> ResolvedAddresses {
        if let addresses = Self.ownAddresses(of: host) { return addresses }
        let id = state.withLock { $0.machine.nextWaiterID() }
        // For the thread sanitizer: the runtime does not tell it when a continuation is resumed before the task awaits
        // it.
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            let threads = state.withLock { state -> Machine.Threads? in
                Task.isCancelled ? nil : state.machine.wanted(host, by: continuation, id)
            }
            guard let threads else { return .failure(CancellationError()) }
            if threads == .startOne { addThread() }
            return nil
        } onCancel: {
            let forgotten = state.withLock { $0.machine.forgotten(host, id) }
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
        while let host = state.withLock({ $0.machine.threadBecameFree() }) {
            let answer = lookUp(host)
            let waiters = state.withLock { $0.machine.lookUpEnded(host) }
            for waiter in waiters { waiter.resume(with: answer.mapError { $0 }) }
        }
    }

    private static func ownAddresses(of host: String) -> ResolvedAddresses? {
        let name = host.utf8.last == UInt8(ascii: ".") ? host.dropLast() : Substring(host)
        guard name == "localhost" || name.hasSuffix(".localhost") else { return nil }
        let addresses = ["::1", "127.0.0.1"].compactMap { try? SocketAddress(ipAddress: $0, port: 0) }
        return ResolvedAddresses(addresses)
    }
}
