internal import BowlineCore

extension PoolDriver {
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
}
