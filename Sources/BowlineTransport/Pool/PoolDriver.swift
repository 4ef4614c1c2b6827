internal import BowlineCore
internal import Synchronization

/// Runs one pool's machine: takes the lock, lets the machine decide, releases the lock and acts.
///
/// No code from outside the pool runs under this lock, and the pool has no other lock.
final class PoolDriver: Sendable {
    let dialer: any ConnectionDialer
    let clock: any ServiceClock
    let random: @Sendable () -> Double
    let idleCountChanged: @Sendable (Int) -> Void
    let connectionRemoved: @Sendable (ConnectionID, CloseReason) -> Void
    let state: Guarded<PoolState>
    private let waitersMade = Atomic<Int>(0)

    init(
        configuration: PoolConfiguration,
        dialer: any ConnectionDialer,
        clock: any ServiceClock,
        random: @escaping @Sendable () -> Double,
        idleCountChanged: @escaping @Sendable (Int) -> Void,
        connectionRemoved: @escaping @Sendable (ConnectionID, CloseReason) -> Void
    ) {
        self.dialer = dialer
        self.clock = clock
        self.random = random
        self.idleCountChanged = idleCountChanged
        self.connectionRemoved = connectionRemoved
        self.state = Guarded(PoolState(configuration: configuration))
    }

    var now: MonotonicInstant { clock.now }

    func inspect<Answer: Sendable>(_ question: (borrowing PoolStateMachine) -> Answer) -> Answer {
        state.withLock { question($0.machine) }
    }

    func nextWaiterID() -> WaiterID {
        WaiterID(value: waitersMade.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    /// Ends the pool, because its last owner has released it.
    func poolReleased() {
        perform { machine, _ in machine.poolReleased() }
    }
}
