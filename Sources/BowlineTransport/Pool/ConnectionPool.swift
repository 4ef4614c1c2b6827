internal import BowlineCore
internal import Synchronization

/// The connections of one route. Leases them, dials when there are too few, and closes them when there are too many.
///
/// The transport and the connections use this class. ``PoolDriver`` runs the state machine.
///
/// The pool may be released at any time. Then its idle connections close (`poolReleased`) and its dials are cancelled.
/// A leased connection closes when its exchange ends.
final class ConnectionPool: Sendable {
    private static let made = Atomic(0)

    let driver: PoolDriver
    /// Pools that were made later have higher numbers.
    let number = ConnectionPool.made.wrappingAdd(1, ordering: .relaxed).newValue

    /// Creates an empty pool. Nothing is dialled before the first request or `prewarm`.
    ///
    /// - Parameters:
    ///   - random: Returns numbers from 0 up to 1, for lifetimes and for the delays of dials for `minimumIdle`.
    ///   - idleCountChanged: Called without the lock, with the change in the number of idle connections. Calls from
    ///     several threads may arrive in any order; their sum is right.
    ///   - connectionRemoved: Called without the lock, for each connection that the pool has forgotten.
    init(
        configuration: PoolConfiguration,
        dialer: any ConnectionDialer,
        clock: any ServiceClock,
        random: @escaping @Sendable () -> Double = { .random(in: 0...1) },
        idleCountChanged: @escaping @Sendable (Int) -> Void = { _ in },
        connectionRemoved: @escaping @Sendable (ConnectionID, CloseReason) -> Void = { _, _ in }
    ) {
        driver = PoolDriver(
            configuration: configuration, dialer: dialer, clock: clock, random: random,
            idleCountChanged: idleCountChanged, connectionRemoved: connectionRemoved
        )
    }

    deinit {
        // No request waits here: a waiting request keeps the pool alive. The timer may keep the driver a little longer.
        driver.poolReleased()
    }

    // MARK: Leases

    /// Leases a connection at once, or returns nil. Prefers a multiplexed connection in use that has room. If there is
    /// none, takes the most recently used idle connection on `affinity`, or else the most recently used one on any
    /// event loop. Never waits and never dials for the caller.
    ///
    /// - Parameter now: The clock's time, if the caller has just read it.
    func tryLease(affinity: Int? = nil, now: MonotonicInstant? = nil) -> Lease? {
        driver.tryLease(affinity: affinity, now: now ?? driver.now)
    }

    /// Leases a free connection, or waits until one is released or dialled, whichever comes first.
    ///
    /// - Throws: `PoolError`, or `CancellationError` when the task is cancelled. A wait that ends with an error takes
    ///   no connection: a connection assigned at the same instant goes to the next waiting request.
    func lease(_ options: LeaseOptions = .init()) async throws -> Lease {
        let now = driver.now
        return try await driver.lease(makeRequest(options, now: now), now: now)
    }

    /// Not inlined: keeps the suspended frame of a waiting request small.
    @inline(never)
    private func makeRequest(_ options: LeaseOptions, now: MonotonicInstant) -> LeaseRequest {
        LeaseRequest(
            waiter: driver.nextWaiterID(),
            affinity: options.affinity,
            requiresFresh: options.requiresFresh,
            deadline: options.deadline,
            limit: options.maximumWait.map { now.advanced(by: $0) }
        )
    }

    /// Takes back a connection after a complete response. The connection can serve another request.
    ///
    /// The connection goes to the first waiting request or becomes idle. It closes instead if it is too old or used up,
    /// if there are too many idle connections, or if the pool drains. Does nothing if the pool has closed and forgotten
    /// the connection meanwhile.
    ///
    /// - Parameters:
    ///   - keepAliveTimeout: The value of the server's `Keep-Alive: timeout`. The connection stays idle for at most one
    ///     second less than this value.
    ///   - now: The clock's time, if the caller has just read it.
    func release(_ connection: any HTTPConnection, keepAliveTimeout: Duration? = nil, now: MonotonicInstant? = nil) {
        driver.release(connection.id, keepAliveTimeout: keepAliveTimeout, now: now ?? driver.now)
    }

    /// Takes back a connection on which nothing was written. The lease does not count as a use.
    func returnUnused(_ connection: any HTTPConnection) {
        driver.perform { $0.returnUnused(connection.id, now: $1) }
    }

    // MARK: Dials and the events of connections

    /// Records that a dial succeeded. The connection serves the first waiting request or becomes idle. The pool may
    /// close it before this function returns.
    func connectionEstablished(_ connection: any HTTPConnection) {
        let random = driver.random()
        driver.perform { $0.connectionEstablished(connection, now: $1, random: random) }
    }

    /// Records that a dial failed, with or without a `cancelDial`.
    ///
    /// The request that has waited longest fails with this error, unless other dials are under way for all waiting
    /// requests. The pool dials again for the other requests. See Docs/Decisions/failed-dials.md.
    ///
    /// - Parameter cause: If it is `.resources` and another connection of the origin is in use or being dialled, no
    ///   request fails: the requests wait for that connection.
    func connectionFailed(_ id: ConnectionID, error: any Error, cause: DialFailureCause = .peer) {
        let random = driver.random()
        driver.perform { $0.connectionFailed(id, error: error, cause: cause, now: $1, random: random) }
    }

    /// Whether the pool waits for the end of this dial: the dial has been started and not cancelled.
    func isDialling(_ id: ConnectionID) -> Bool {
        driver.inspect { $0.isDialling(id) }
    }

    /// Records that an idle or leased connection has ended: the peer closed it, or the connection closed itself. Frees
    /// its place for the next dial.
    ///
    /// Call this only after `connectionEstablished`. Does nothing if the pool itself closed the connection.
    func connectionClosed(_ id: ConnectionID, reason: CloseReason) {
        let random = driver.delayRandom
        driver.perform { $0.connectionClosed(id, reason: reason, now: $1, random: random) }
    }

    /// Records that a multiplexed connection can carry more or fewer streams than before. Leases that exceed the new
    /// capacity go on.
    func connectionCapacityChanged(_ id: ConnectionID, to capacity: Int) {
        driver.perform { $0.capacityChanged(id, to: capacity, now: $1) }
    }

    /// Stops the leases of a connection. The connection closes with this reason when its last lease ends, or at once if
    /// it has none.
    func connectionRetired(_ id: ConnectionID, reason: CloseReason) {
        let random = driver.delayRandom
        driver.perform { $0.connectionRetired(id, reason: reason, now: $1, random: random) }
    }

    /// Records that a multiplexed connection may be dead. The connection probes its peer, and gets no lease until the
    /// peer has answered. Meanwhile it does not count against `maximumMultiplexed`, so that another connection can be
    /// dialled.
    func connectionDoubted(_ id: ConnectionID) {
        driver.perform { $0.connectionDoubted(id, now: $1) }
    }

    /// Records that the peer of a doubted connection is alive.
    func connectionConfirmed(_ id: ConnectionID) {
        driver.perform { $0.connectionConfirmed(id, now: $1) }
    }

    /// Opens connections in advance until `count` are idle, as far as `maximumIdle` and `maximumConnections` allow.
    /// Returns when the dials have ended, or at once if pooling is disabled.
    ///
    /// - Throws: The first dial's error; `PoolError.draining` or `.closed`; `CancellationError` when the task is
    ///   cancelled. In each case the other dials go on, except when the pool drains.
    func prewarm(_ count: Int) async throws {
        try await driver.prewarm(count)
    }

    // MARK: Closing

    /// Closes the connections that have been idle at least as long as one that was found dead: they are probably dead
    /// too.
    ///
    /// - Parameter idleSince: The `Lease.idleSince` of the dead connection.
    func evictStale(idleSince: MonotonicInstant) {
        driver.perform { $0.evictStale(idleSince: idleSince, now: $1) }
    }

    /// Reacts to an attempt that timed out and received no byte after its connection was leased: the path to the peer
    /// may be gone.
    ///
    /// Closes the idle connections that have shown no sign of life since `leased`. Probes the multiplexed connections
    /// in use that have shown no sign of life either: they get no lease until their peers have answered. The attempt's
    /// own connection decides itself whether to probe its peer.
    func noByteReceived(on id: ConnectionID, since leased: MonotonicInstant) {
        driver.perform { $0.noByteReceived(on: id, since: leased, now: $1) }
    }

    /// Closes the connection that has been idle longest. Returns false if none is idle.
    @discardableResult
    func evictOldestIdle(reason: CloseReason = .totalIdleCapacity) -> Bool {
        let random = driver.delayRandom
        var isEvicted = false
        driver.perform {
            let (evicted, effects) = $0.evictOldestIdle(reason, now: $1, random: random)
            isEvicted = evicted
            return effects
        }
        return isEvicted
    }

    /// The earliest instant since which a connection has been idle. `nil`: no connection is idle.
    var oldestIdleSince: MonotonicInstant? {
        driver.inspect { $0.oldestIdleSince }
    }

    /// Stops keeping connections. Closes the idle ones, cancels dials that no waiter needs, and closes each leased
    /// connection when it is released and no waiter needs it.
    ///
    /// Leases are still granted, with new dials if necessary: their requests were admitted before the drain, or had
    /// chosen the address before it vanished.
    ///
    /// - Parameter reason: Why the connections close: `.shutdown`, or `.addressGone`.
    func beginDrain(_ reason: CloseReason = .shutdown) {
        driver.perform { $0.beginDrain(reason, now: $1) }
    }

    /// Ends a drain for the reason `.addressGone`, because the address has come back. Does nothing in another drain.
    func endDrain() {
        driver.perform { $0.endDrain(now: $1) }
    }

    /// Whether the pool stops keeping connections.
    var isDraining: Bool {
        driver.inspect { $0.phase == .draining }
    }

    /// Closes all connections, leased ones included, and cancels the dials. Waiting requests and all later ones fail
    /// with `PoolError.closed`.
    func closeAll(_ reason: CloseReason = .forced) {
        driver.perform { $0.closeAll(reason, now: $1) }
    }

    /// Closes the pool if it has no connection, no dial and no waiting request, and does not have to dial for
    /// `minimumIdle`. Returns whether the pool is closed.
    ///
    /// The check and the closing are one step under the lock. If a request finds this pool at the same instant and
    /// arrives before this step, the pool stays open. If it arrives after this step, it fails with `PoolError.closed`,
    /// and can use the pool that replaces this one.
    ///
    /// - Parameter includingHopeless: Whether to ignore dials for `minimumIdle` that have failed many times in a row.
    func closeIfCold(includingHopeless: Bool = false) -> Bool {
        var isClosed = false
        driver.perform {
            let (closed, effects) = $0.closeIfCold(includingHopeless: includingHopeless, now: $1)
            isClosed = closed
            return effects
        }
        return isClosed
    }

    /// Whether the pool has no connection, no dial and no waiting request.
    var isCold: Bool {
        driver.inspect { $0.isCold }
    }

    /// How many connections are in use or being dialled, as far as they count against the limit.
    var busyCount: Int {
        driver.inspect { $0.countedConnections - $0.table.idleCount }
    }

    /// Returns the numbers of the pool's current connections, and of those opened and closed so far.
    func snapshot() -> PoolCounts {
        driver.inspect { $0.snapshot }
    }
}

extension Collection where Element == ConnectionPool {
    /// The pools in the order in which they were made. The order of a dictionary's values differs from run to run, and
    /// a simulation must not.
    var inOrder: [ConnectionPool] { sorted { $0.number < $1.number } }
}
