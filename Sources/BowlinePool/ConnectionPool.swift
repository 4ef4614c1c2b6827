import Synchronization

/// One origin's connections: leases them, dials when there are too few, closes when there are too many.
///
/// All decisions are `PoolStateMachine`'s. This driver takes the lock, lets the machine decide, lets go of the lock and acts:
/// timers, closes, dials, and last those who wait. No foreign code runs under the lock, and there is no other lock.
///
/// The pool may be let go at any time. Idle connections then close (`poolReleased`) and dials are cancelled; a leased
/// connection is its user's to close.
package final class ConnectionPool<Dialer: ConnectionDialer, C: Clock>: Sendable where C.Duration == Duration {
    package typealias Connection = Dialer.Connection
    package typealias Lease = BowlinePool.Lease<Dialer.Connection, C.Instant>
    package typealias LeaseOptions = BowlinePool.LeaseOptions<C.Instant>

    let dialer: Dialer
    let clock: C
    private let start: C.Instant
    let random: @Sendable () -> Double
    let idleCountChanged: @Sendable (Int) -> Void
    let connectionRemoved: @Sendable (ConnectionID, CloseReason) -> Void
    let state: Mutex<PoolState>
    private let waitersMade = Atomic<Int>(0)

    /// Creates an empty pool. Nothing is dialled before the first request or `prewarm`.
    ///
    /// - Parameters:
    ///   - random: Returns numbers between 0 and 1, for lifetimes and for the delays of refills.
    ///   - idleCountChanged: Told, without the lock, by how many the idle connections have become more or fewer. Calls of different
    ///     threads may arrive in any order; their sum is right.
    ///   - connectionRemoved: Told, without the lock, of each connection that the pool has forgotten.
    package init(
        configuration: PoolConfiguration,
        dialer: Dialer,
        clock: C,
        random: @escaping @Sendable () -> Double = { .random(in: 0...1) },
        idleCountChanged: @escaping @Sendable (Int) -> Void = { _ in },
        connectionRemoved: @escaping @Sendable (ConnectionID, CloseReason) -> Void = { _, _ in }
    ) {
        self.dialer = dialer
        self.clock = clock
        self.start = clock.now
        self.random = random
        self.idleCountChanged = idleCountChanged
        self.connectionRemoved = connectionRemoved
        self.state = Mutex(PoolState(configuration: configuration))
    }

    deinit {
        // Nobody waits here: who waits holds the pool.
        let (effects, timer) = state.withLock { ($0.machine.poolReleased(), $0.timer) }
        timer?.task.cancel()
        act(on: effects)
    }

    func moment(_ instant: C.Instant) -> PoolInstant {
        PoolInstant(start.duration(to: instant))
    }

    func instant(_ moment: PoolInstant) -> C.Instant {
        start.advanced(by: moment.sinceStart)
    }

    func nextWaiterID() -> WaiterID {
        WaiterID(value: waitersMade.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}
