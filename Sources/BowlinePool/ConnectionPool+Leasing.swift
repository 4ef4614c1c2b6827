import Synchronization

extension ConnectionPool {
    /// Hands out an idle connection at once, or nothing: the most recently used one that lives on `affinity` if there is one,
    /// else of all. Never waits, never dials for the caller.
    ///
    /// - Parameter now: The clock's time, if the caller has just read it.
    package func tryLease(affinity: Int? = nil, now: C.Instant? = nil) -> Lease? {
        let now = moment(now ?? clock.now)
        let (grant, effects, resumptions) = state.withLock { state in
            let (grant, effects) = state.machine.checkOut(affinity: affinity, now: now)
            return (grant, effects, state.takeContinuations(for: effects))
        }
        apply(effects, resumptions)
        return grant.map(makeLease)
    }

    /// Hands out an idle connection, or waits for one that is returned or dialled, whichever comes first.
    ///
    /// - Throws: `PoolError`, or `CancellationError` when the task is cancelled. A wait that has ended in either way takes
    ///   no connection: one that was assigned at the same instant goes to the next in line.
    package func lease(_ options: LeaseOptions = .init()) async throws -> Lease {
        try Task.checkCancellation()
        let now = clock.now
        let byWait = options.maximumWait.map { now.advanced(by: $0) }
        let deadline = [options.deadline, byWait].compactMap { $0 }.min()
        let request = LeaseRequest(
            waiter: nextWaiterID(),
            affinity: options.affinity,
            requiresFresh: options.requiresFresh,
            deadline: deadline.map(moment)
        )
        let grant = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enqueue(request, continuation, now: moment(now))
            }
        } onCancel: {
            cancelWaiter(request.waiter)
        }
        guard !Task.isCancelled else {
            perform { $0.returnUnused(grant.connection.id, now: $1) }
            throw CancellationError()
        }
        return makeLease(grant)
    }

    /// Takes back a connection whose response is complete and which can serve another request.
    ///
    /// It goes to the first request in line, or becomes idle, or is closed if it is too old, used up, one too many, or the pool drains.
    /// Without effect when the pool has forgotten the connection, because it was closed meanwhile.
    ///
    /// - Parameters:
    ///   - keepAliveTimeout: What the server's `Keep-Alive: timeout` said. The connection is kept idle for a second less.
    ///   - now: The clock's time, if the caller has just read it.
    package func release(_ connection: Connection, keepAliveTimeout: Duration? = nil, now: C.Instant? = nil) {
        let id = connection.id
        let now = moment(now ?? clock.now)
        let (effects, resumptions) = state.withLock { state in
            let effects = state.machine.release(id, keepAliveTimeout: keepAliveTimeout, now: now)
            return (effects, state.takeContinuations(for: effects))
        }
        apply(effects, resumptions)
    }

    /// Takes back a connection to which nothing was written: the lease does not count as a use.
    package func returnUnused(_ connection: Connection) {
        perform { $0.returnUnused(connection.id, now: $1) }
    }

    private func enqueue(
        _ request: LeaseRequest,
        _ continuation: CheckedContinuation<Grant, any Error>,
        now: PoolInstant
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
        // The cancellation handler may have run before there was anything to cancel.
        case .waiting: if Task.isCancelled { cancelWaiter(request.waiter) }
        }
    }

    func cancelWaiter(_ waiter: WaiterID) {
        perform { $0.waiterCancelled(waiter, now: $1) }
    }

    private func makeLease(_ grant: Grant) -> Lease {
        // Safety: connections enter the machine through `connectionEstablished(_: Connection)` only.
        let connection = unsafeDowncast(grant.connection, to: Connection.self)
        return Lease(connection: connection, uses: grant.uses, idleSince: grant.idleSince.map(instant))
    }
}
