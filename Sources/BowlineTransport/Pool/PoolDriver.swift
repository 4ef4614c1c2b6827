import Synchronization

/// Runs the machine: takes the lock, lets it decide, lets go of the lock and acts.
///
/// No foreign code runs under the lock, and there is no other lock. Not generic, so that the code of every request is
/// optimised here; `ConnectionPool` gives it the types back.
final class PoolDriver: Sendable {
    let dialer: any ConnectionDialer
    let now: @Sendable () -> MonotonicInstant
    let sleep: @Sendable (MonotonicInstant) async throws -> Void
    let random: @Sendable () -> Double
    let idleCountChanged: @Sendable (Int) -> Void
    let connectionRemoved: @Sendable (ConnectionID, CloseReason) -> Void
    let state: Guarded<PoolState>
    private let waitersMade = Atomic<Int>(0)

    init(
        configuration: PoolConfiguration,
        dialer: any ConnectionDialer,
        now: @escaping @Sendable () -> MonotonicInstant,
        sleep: @escaping @Sendable (MonotonicInstant) async throws -> Void,
        random: @escaping @Sendable () -> Double,
        idleCountChanged: @escaping @Sendable (Int) -> Void,
        connectionRemoved: @escaping @Sendable (ConnectionID, CloseReason) -> Void
    ) {
        self.dialer = dialer
        self.now = now
        self.sleep = sleep
        self.random = random
        self.idleCountChanged = idleCountChanged
        self.connectionRemoved = connectionRemoved
        self.state = Guarded(PoolState(configuration: configuration))
    }

    func inspect<Answer: Sendable>(_ question: (borrowing PoolStateMachine) -> Answer) -> Answer {
        state.withLock { question($0.machine) }
    }

    func nextWaiterID() -> WaiterID {
        WaiterID(value: waitersMade.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    /// The pool's last owner is gone.
    func poolReleased() {
        perform { machine, _ in machine.poolReleased() }
    }
}
