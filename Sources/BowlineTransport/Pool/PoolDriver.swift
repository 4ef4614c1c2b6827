internal import BowlineCore
internal import Synchronization

/// Runs one pool's machine: takes the lock, lets the machine decide, releases the lock and acts.
///
/// No code from outside the pool runs under this lock, and the pool has no other lock.
///
/// ``ConnectionPool`` documents `tryLease`, `lease`, `release` and `prewarm`.
final class PoolDriver: Sendable {
    private let dialer: any ConnectionDialer
    private let clock: any ServiceClock
    let random: @Sendable () -> Double
    private let idleCountChanged: @Sendable (Int) -> Void
    private let connectionRemoved: @Sendable (ConnectionID, CloseReason) -> Void
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

    // MARK: Leases

    func tryLease(affinity: Int?, now: MonotonicInstant) -> Lease? {
        let (grant, effects, resumptions) = state.withLock { state in
            let (grant, effects) = state.machine.tryLease(affinity: affinity, now: now)
            return (grant, effects, state.takeContinuations(for: effects))
        }
        apply(effects, resumptions)
        return grant
    }

    func release(_ id: ConnectionID, keepAliveTimeout: Duration?, now: MonotonicInstant) {
        let (effects, resumptions) = state.withLock { state in
            let effects = state.machine.release(id, keepAliveTimeout: keepAliveTimeout, now: now)
            return (effects, state.takeContinuations(for: effects))
        }
        apply(effects, resumptions)
    }

    func lease(_ request: LeaseRequest, now: MonotonicInstant) async throws -> Lease {
        try Task.checkCancellation()
        let grant = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { enqueue(request, $0, now: now) }
        } onCancel: {
            cancelWaiter(request.waiter)
        }
        state.synchronize()
        guard !Task.isCancelled else {
            perform { $0.returnUnused(grant.connection.id, now: $1) }
            grant.connection.leaseUnused()
            throw CancellationError()
        }
        return grant
    }

    func prewarm(_ count: Int) async throws {
        try Task.checkCancellation()
        let waiter = nextWaiterID()
        try await withCancellableContinuation { continuation in
            let now = now
            let (effects, resumptions) = state.withLock { state in
                state.continuations[waiter] = .prewarm(continuation)
                let effects = state.machine.prewarm(count, waiter: waiter, now: now)
                return (effects, state.takeContinuations(for: effects))
            }
            apply(effects, resumptions)
            // The cancellation handler may have run before the waiter was registered.
            if Task.isCancelled { cancelWaiter(waiter) }
            return nil
        } onCancel: {
            cancelWaiter(waiter)
        }
    }

    private func enqueue(
        _ request: LeaseRequest,
        _ continuation: CheckedContinuation<Lease, any Error>,
        now: MonotonicInstant
    ) {
        let (outcome, effects, resumptions) = state.withLock { state in
            let (outcome, effects) = state.machine.lease(request, now: now)
            if case .waiting = outcome {
                state.continuations[request.waiter] = .lease(continuation)
            }
            return (outcome, effects, state.takeContinuations(for: effects))
        }
        apply(effects, resumptions)
        switch outcome {
        case .granted(let grant): continuation.resume(returning: grant)
        case .failed(let error): continuation.resume(throwing: error)
        // The cancellation handler may have run before the waiter was registered.
        case .waiting: if Task.isCancelled { cancelWaiter(request.waiter) }
        }
    }

    private func cancelWaiter(_ waiter: WaiterID) {
        perform { $0.waiterCancelled(waiter, now: $1) }
    }

    // MARK: Events and their effects

    /// Passes an event to the machine, then acts on its effects.
    func perform(_ event: (inout PoolStateMachine, MonotonicInstant) -> PoolEffects) {
        let now = now
        let (effects, resumptions) = state.withLock { state in
            let effects = event(&state.machine, now)
            return (effects, state.takeContinuations(for: effects))
        }
        apply(effects, resumptions)
    }

    /// Acts on the effects of an event, without the lock. No other function acts on effects. Waiters are resumed last,
    /// because they continue at once.
    func apply(_ effects: PoolEffects, _ resumptions: [PoolResumption]) {
        if effects.idleDelta != 0 {
            idleCountChanged(effects.idleDelta)
        }
        if effects.isQuiet { return }
        act(on: effects)
        if effects.dialsDue > 0 {
            startDials(effects.dialsDue)
        }
        for resumption in resumptions {
            resumption.resume()
        }
    }

    private func act(on effects: PoolEffects) {
        if let change = effects.wakeUp {
            apply(change)
        }
        for removal in effects.removals {
            removal.connection?.close(removal.reason)
            connectionRemoved(removal.id, removal.reason)
        }
        for retirement in effects.retirements {
            retirement.connection.retire(retirement.reason, leases: retirement.leases)
        }
        for connection in effects.probes {
            connection.probe()
        }
        for id in effects.cancelledDials {
            dialer.cancelDial(id)
        }
        for dial in effects.dials {
            dialer.dial(dial.id, affinity: dial.affinity)
        }
    }

    /// Makes connection ids for the dials that are due, and starts the dials. The ids are made without the lock. If
    /// another event changes what is due meanwhile, some ids stay unused.
    private func startDials(_ count: Int) {
        guard state.withLock({ $0.claimDialling() }) else { return }
        var due = count
        while due > 0 {
            let names = (0..<due).map { _ in dialer.nextConnectionID() }
            let now = now
            let (effects, resumptions) = state.withLock { state in
                var effects = state.machine.startDials(names, now: now)
                effects.dialsDue = 0
                return (effects, state.takeContinuations(for: effects))
            }
            apply(effects, resumptions)
            due = state.withLock { $0.dialsDueAfterStart(now) }
        }
    }

    private func apply(_ change: PoolEffects.WakeUpChange) {
        switch change {
        case .schedule(let wakeUp):
            // Detached, so that the sleep does not keep the task-local values of the request that started it. The task
            // keeps the driver alive, but not the pool; the pool's `deinit` cancels the task.
            let task = Task.detachedInheriting { [self] in
                try? await clock.sleep(until: wakeUp.at, tolerance: nil)
                if Task.isCancelled { return }
                perform { $0.timerFired(wakeUp.id, now: $1) }
            }
            replaceTimer((wakeUp.id, task))
        case .cancel:
            replaceTimer(nil)
        }
    }

    private func replaceTimer(_ timer: (id: Int, task: Task<Void, Never>)?) {
        let superfluous = state.withLock { state -> Task<Void, Never>? in
            // Changes may not arrive here in the order in which the machine decided them. The machine knows the current
            // timer.
            let current = state.machine.wakeUp?.id
            if let timer, timer.id != current { return timer.task }
            let previous = state.timer
            if timer == nil, let previous, previous.id == current { return nil }
            state.timer = timer
            return previous?.task
        }
        superfluous?.cancel()
    }
}
