package import BowlineCore
internal import BowlinePlatform

/// Looks up host names with the system's resolver, on separate threads. So no event loop waits for a name, and a slow
/// name does not delay others.
///
/// All clients of the process share one system resolver and its look-ups: ``shared``. Each family has its own limits and
/// threads (``FamilyResolver``): some networks drop all questions for IPv6 addresses, and these look-ups must not delay
/// those for IPv4 addresses. Answers are not kept here: ``AddressCache`` keeps them.
package final class SystemResolver: ServiceResolver {
    /// Looks up the addresses of one name and one family. Blocks until the answer is there.
    package typealias LookUp =
        @Sendable (_ host: String, _ family: IPAddress.Family) -> Result<ResolvedAddresses, NameLookupError>
    /// Runs its argument on a new thread. Returns the system's reason if the thread could not be started; nil: the
    /// thread runs.
    package typealias StartThread = @Sendable (_ body: @escaping @Sendable () -> Void) -> String?

    /// The resolver of the process.
    package static let shared = SystemResolver()

    private let v6: FamilyResolver
    private let v4: FamilyResolver

    /// Makes a resolver. Tests replace the system with these arguments.
    package init(
        lookUp: @escaping LookUp = SystemLookUp.addresses(of:_:),
        startThread: @escaping StartThread = PlatformThread.startDetached
    ) {
        v6 = FamilyResolver(lookUp: lookUp, startThread: startThread)
        v4 = FamilyResolver(lookUp: lookUp, startThread: startThread)
    }

    /// Returns the addresses of `host` that belong to `family`. If the task is cancelled, the call ends at once. The
    /// system's look-up may go on.
    package func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        switch family {
        case .v6: try await v6.resolve(NameQuery(host, family))
        case .v4: try await v4.resolve(NameQuery(host, family))
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

        fileprivate static func + (one: Self, other: Self) -> Self {
            Self(
                threads: one.threads + other.threads, running: one.running + other.running,
                abandoned: one.abandoned + other.abandoned, queued: one.queued + other.queued,
                waiters: one.waiters + other.waiters)
        }
    }

    package var counts: Counts { v6.counts + v4.counts }
}
