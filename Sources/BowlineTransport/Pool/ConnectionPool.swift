/// One origin's connections: leases them, dials when there are too few, closes when there are too many.
///
/// This is the typed face of `PoolDriver`, which knows neither the connections' type nor the clock's. What is called
/// for each request is inlinable, so that it is compiled for the types it is used with.
///
/// The pool may be let go at any time. Idle connections then close (`poolReleased`) and dials are cancelled; a leased
/// connection is its user's to close.
final class ConnectionPool<Dialer: ConnectionDialer, C: Clock>: Sendable where C.Duration == Duration {
    typealias Connection = Dialer.Connection
    typealias Lease = BowlinePool.Lease<Dialer.Connection, C.Instant>
    typealias LeaseOptions = BowlinePool.LeaseOptions<C.Instant>

    let clock: C
    let start: C.Instant
    let driver: PoolDriver

    /// Creates an empty pool. Nothing is dialled before the first request or `prewarm`.
    ///
    /// - Parameters:
    ///   - random: Returns numbers between 0 and 1, for lifetimes and for the delays of refills.
    ///   - idleCountChanged: Told, without the lock, by how many the idle connections have become more or fewer.
    ///     Calls of different threads may arrive in any order; their sum is right.
    ///   - connectionRemoved: Told, without the lock, of each connection that the pool has forgotten.
    init(
        configuration: PoolConfiguration,
        dialer: Dialer,
        clock: C,
        random: @escaping @Sendable () -> Double = { .random(in: 0...1) },
        idleCountChanged: @escaping @Sendable (Int) -> Void = { _ in },
        connectionRemoved: @escaping @Sendable (ConnectionID, CloseReason) -> Void = { _, _ in }
    ) {
        let start = clock.now
        self.clock = clock
        self.start = start
        self.driver = PoolDriver(
            configuration: configuration,
            dialer: dialer,
            now: { MonotonicInstant(start.duration(to: clock.now)) },
            sleep: { try await clock.sleep(until: start.advanced(by: $0.sinceStart), tolerance: nil) },
            random: random,
            idleCountChanged: idleCountChanged,
            connectionRemoved: connectionRemoved
        )
    }

    deinit {
        // Nobody waits here: who waits holds the pool. The driver itself may live a little longer, in its timer.
        driver.poolReleased()
    }

    func moment(_ instant: C.Instant) -> MonotonicInstant {
        MonotonicInstant(start.duration(to: instant))
    }

    func makeLease(_ grant: Grant) -> Lease {
        // Safety: connections enter the driver through `connectionEstablished(_: Connection)` only.
        let connection = unsafeDowncast(grant.connection, to: Connection.self)
        return Lease(
            connection: connection,
            uses: grant.uses,
            idleSince: grant.idleSince.map { start.advanced(by: $0.sinceStart) }
        )
    }
}
