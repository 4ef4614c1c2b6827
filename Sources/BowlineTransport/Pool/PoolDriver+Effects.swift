internal import BowlineCore

extension PoolDriver {
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

    /// Draws connection ids for the dials that are due, and starts the dials. The ids are drawn without the lock. If
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
            let task = Task.detached { [self] in
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
