internal import BowlineCore

/// One origin's connections: leases them, dials when there are too few, closes when there are too many.
///
/// What the transport and the connections hold of a pool. ``PoolDriver`` runs the machine.
///
/// The pool may be released at any time. Its idle connections then close (`poolReleased`) and its dials are cancelled; a leased
/// connection closes when its exchange ends.
final class ConnectionPool: Sendable {
    let driver: PoolDriver

    /// Creates an empty pool. Nothing is dialled before the first request or `prewarm`.
    ///
    /// - Parameters:
    ///   - random: Returns numbers from 0 up to 1, for lifetimes and for the delays of refills.
    ///   - idleCountChanged: Called without the lock, with the change of the number of idle connections.
    ///     Calls of different threads may arrive in any order; their sum is right.
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
        // No request waits here: a request that waits holds the pool. The timer may hold the driver a little longer.
        driver.poolReleased()
    }
}
