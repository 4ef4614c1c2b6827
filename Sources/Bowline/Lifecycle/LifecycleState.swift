internal import BowlineCore

/// Everything that the lock of ``ClientLifecycle`` guards.
///
/// A method changes the state and returns continuations, which the caller resumes after the unlock.
struct LifecycleState: ~Copyable {
    var machine = LifecycleStateMachine()
    /// The transport; nil after the client was released. Calls in flight keep the lifecycle alive, but must not keep
    /// the connections alive.
    var transport: (any ServiceTransport)?
    /// The task that ends the client; nil until the first `shutdown`.
    var shutdown: Task<ShutdownReport, Never>?
    /// The drain's continuation, while the drain waits for the last call or for its deadline.
    private var drainWaiter: CheckedContinuation<Void, Never>?
    /// The calls that sleep. They wake when the drain begins.
    var sleepers = WaiterTable<Void>()
    var forcedCloseHandlers = ForcedCloseHandlers()
    var subscribers = ProgressSubscribers()

    init(transport: any ServiceTransport) {
        self.transport = transport
    }

    var progress: ShutdownProgress {
        let state: ShutdownProgress.State =
            switch machine.state {
            case .running: .running
            case .draining: .draining
            case .closing: .closing
            case .closed: .closed
            }
        return ShutdownProgress(state: state, inFlight: machine.inFlight)
    }

    /// Stores the drain's continuation if the drain still has to wait until `deadline`.
    ///
    /// - Returns: whether it is stored.
    mutating func storeDrainWaiter(
        _ continuation: CheckedContinuation<Void, Never>, until deadline: MonotonicInstant, now: MonotonicInstant
    ) -> Bool {
        guard case .wait(deadline) = machine.drain(now: now) else { return false }
        drainWaiter = continuation
        return true
    }

    mutating func takeDrainWaiter() -> CheckedContinuation<Void, Never>? {
        drainWaiter.take()
    }
}
