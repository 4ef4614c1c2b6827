internal import BowlineCore

/// The connections of one origin. Leases them, dials when there are too few, and closes them when there are too many.
///
/// The transport and the connections use this class. ``PoolDriver`` runs the state machine.
///
/// The pool may be released at any time. Then its idle connections close (`poolReleased`) and its dials are cancelled.
/// A leased connection closes when its exchange ends.
final class ConnectionPool: Sendable {
    let driver: PoolDriver

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
}
