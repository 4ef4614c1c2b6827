internal import BowlineCore

/// A request for a connection, with its limits as instants.
struct LeaseRequest {
    let waiter: WaiterID
    var affinity: Int?
    var requiresFresh = false
    /// When the request fails, even if a dial is under way for it.
    var deadline: MonotonicInstant?
    /// When the request fails unless a dial is under way for it.
    var limit: MonotonicInstant?
}

enum LeaseOutcome {
    case granted(Lease)
    /// A resumption with the waiter's id will follow.
    case waiting
    case failed(PoolError)
}

extension PoolStateMachine {
    /// Leases a connection that is free now: a multiplexed connection in use that has room, or else the most recently
    /// used idle connection. If there is none, leases nothing. Never dials for the caller.
    mutating func tryLease(affinity: Int?, now: MonotonicInstant) -> (grant: Lease?, effects: PoolEffects) {
        var effects = PoolEffects()
        let grant = leaseActiveWithRoom(now, &effects) ?? leaseIdle(affinity: affinity, now, &effects)
        if grant == nil || configuration.minimumIdle > 0 {
            finishEvent(now, &effects)
        }
        return (grant, effects)
    }

    /// Leases a connection, or adds the request to the queue.
    mutating func lease(_ request: LeaseRequest, now: MonotonicInstant) -> (outcome: LeaseOutcome, effects: PoolEffects)
    {
        var effects = PoolEffects()
        guard phase != .closed else { return (.failed(.closed), effects) }

        let requiresFresh = request.requiresFresh || !configuration.isEnabled
        if !requiresFresh,
            let grant = leaseActiveWithRoom(now, &effects) ?? leaseIdle(affinity: request.affinity, now, &effects)
        {
            finishEvent(now, &effects)
            return (.granted(grant), effects)
        }
        let waiter = Waiter(
            id: request.waiter,
            affinity: request.affinity,
            requiresFresh: requiresFresh,
            deadline: request.deadline,
            limit: request.limit,
            since: now,
            failedRounds: rounds.failed, dialsBefore: table.dialsStarted
        )
        if let refusal = refusal(of: waiter, now) {
            finishEvent(now, &effects)
            return (.failed(refusal), effects)
        }
        waiters.insert(waiter)
        scheduleWakeUp(at: waiters.nextAlarm(), now, &effects)
        finishEvent(now, &effects)
        return (.waiting, effects)
    }

    /// Ends a lease after a complete exchange. The connection can serve another request.
    ///
    /// - Parameter keepAliveTimeout: How long the server promised to keep the connection, if it said so.
    mutating func release(_ id: ConnectionID, keepAliveTimeout: Duration?, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        // An unknown connection: the pool was closed, or the connection was lost, while the response ended.
        guard let position = table.position(of: id) else { return effects }
        precondition(table[position].leases > 0, "released a connection that was not leased")

        refill.forgive()
        table[position].seenAt = now
        table[position].usedAt = now
        table[position].leases -= 1
        if table[position].leases > 0 || table[position].retirement != nil {
            leaseEnded(position, now, &effects)
            return effects
        }
        recordIdleStart(position, keepAliveTimeout: keepAliveTimeout, now)
        if let reason = retirementReason(position, now) {
            close(position, reason, &effects)
        } else if waiters.isEmpty {
            park(position, now, &effects)
            if configuration.minimumIdle == 0 { return effects }
        } else {
            leaseOrPark(position, now, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Ends a lease before anything was sent. The connection is as it was before.
    mutating func returnUnused(_ id: ConnectionID, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id) else { return effects }
        precondition(table[position].leases > 0, "returned a connection that was not leased")

        table[position].uses -= 1
        table[position].leases -= 1
        if table[position].leases > 0 || table[position].retirement != nil {
            leaseEnded(position, now, &effects)
            return effects
        }
        if let usedAt = table[position].usedAt, table[position].idleSince.map({ $0 < usedAt }) ?? true {
            // A multiplexed connection: it has been free of exchanges since the last other lease ended.
            recordIdleStart(position, keepAliveTimeout: nil, usedAt)
        }
        if table[position].idleSince == nil {
            offerFresh(position, now, &effects)
        } else if let reason = retirementReason(position, now) {
            close(position, reason, &effects)
        } else {
            leaseOrPark(position, now, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Fails the waiter because its task was cancelled. Does nothing if its wait has ended already.
    mutating func waiterCancelled(_ id: WaiterID, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        if let waiter = waiters.remove(id) {
            effects.resume(id, .failed(CancellationError()))
            giveUpDials(of: [waiter], atLeast: Self.slowDial, now, &effects)
        } else if let index = prewarms.firstIndex(where: { $0.waiter == id }) {
            prewarms.remove(at: index)
            effects.resume(id, .failed(CancellationError()))
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Records that a multiplexed connection can carry more or fewer streams than before.
    mutating func capacityChanged(_ id: ConnectionID, to capacity: Int, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id), table[position].isMultiplexed, configuration.isEnabled else {
            return effects
        }
        table[position].capacity = capacity
        expectation = .streams(capacity)
        if table[position].phase != .idle {
            offerRoom(position, now, &effects)
        } else if capacity == 0 {
            withdraw(position, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Records that a multiplexed connection may be dead. It gets no lease until it is confirmed.
    mutating func connectionDoubted(_ id: ConnectionID, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id), table[position].isMultiplexed, !table[position].isDoubted else {
            return effects
        }
        table.doubt(position)
        if table[position].phase == .idle {
            withdraw(position, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Records that the peer of a connection is alive. A doubted connection gets leases again.
    mutating func connectionConfirmed(_ id: ConnectionID, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id), table[position].phase != .dialling else { return effects }
        table[position].seenAt = now
        guard table[position].isDoubted else { return effects }
        table.trust(position)
        offerRoom(position, now, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// Takes a connection out of the idle list because no request can use it now.
    private mutating func withdraw(_ position: Int, _ effects: inout PoolEffects) {
        table.withdraw(position)
        effects.idleDelta -= 1
    }

    /// Leases the room of a multiplexed connection that is not idle, or returns the connection to the pool.
    private mutating func offerRoom(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        if table[position].leases > 0 {
            fill(position, &effects)
        } else if let reason = retirementReason(position, now) {
            close(position, reason, &effects)
        } else {
            leaseOrPark(position, now, &effects)
        }
    }

    /// Leases a connection that has never been used to the first waiters. If there are none, adds it to the idle
    /// connections.
    mutating func offerFresh(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        while table[position].hasRoom, !isUsedUp(position), let waiter = waiters.popFirst() {
            effects.resume(waiter.id, .granted(grant(position)))
        }
        retireIfUsedUp(position, &effects)
        if table[position].leases == 0 {
            recordIdleStart(position, keepAliveTimeout: nil, now)
            park(position, now, &effects)
        }
    }

    /// Handles the end of a lease on a multiplexed connection: one of several leases, or the last lease after
    /// retirement.
    private mutating func leaseEnded(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        if let reason = table[position].retirement {
            if table[position].leases == 0 { close(position, reason, &effects) }
        } else if !waiters.isEmpty, let reason = retirementReason(position, now) {
            // Retires the connection here. It would never become free, because there is always a waiter.
            retire(position, reason, &effects)
        } else {
            fill(position, &effects)
        }
        if phase == .running, waiters.isEmpty, configuration.minimumIdle == 0, !isOverLimit { return }
        finishEvent(now, &effects)
    }

    /// Leases the room of a used connection to the waiters that accept a used one.
    private mutating func fill(_ position: Int, _ effects: inout PoolEffects) {
        while table[position].hasRoom, !isUsedUp(position), let waiter = waiters.popFirstPlain() {
            effects.resume(waiter.id, .granted(grant(position)))
        }
        table.noteRoom(position)
        retireIfUsedUp(position, &effects)
    }

    /// Retires a connection that has been leased as often as allowed, so that a new connection for the waiters can
    /// replace it.
    private mutating func retireIfUsedUp(_ position: Int, _ effects: inout PoolEffects) {
        guard table[position].isMultiplexed, table[position].leases > 0, isUsedUp(position), !waiters.isEmpty else {
            return
        }
        retire(position, .usesExceeded, &effects)
    }

    private func isUsedUp(_ position: Int) -> Bool {
        configuration.maximumUses.map { table[position].uses >= $0 } ?? false
    }

    /// Leases a used connection to the first waiter that accepts a used one, or else returns it to the pool.
    private mutating func leaseOrPark(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        // The first waiter requires a fresh connection, no dial is under way that is not late, and none can start
        // because of the limit or a lack of descriptors. If later waiters always took the used connection, the first
        // waiter would never get one. So this connection is closed.
        if waiters.startsWithFresh, table.timelyDialCount == 0, room == 0 || shortage.isActive {
            close(position, .replaced, &effects)
            return
        }
        fill(position, &effects)
        if table[position].leases == 0 {
            park(position, now, &effects)
        }
    }

    /// Adds a free connection to the idle list, or closes it. One that is doubted or has no room now stays as it is.
    private mutating func park(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        let expiry = table[position].expiry
        if phase == .running, !table[position].hasRoom, expiry.map({ $0 > now }) ?? true,
            configuration.maximumIdle > 0 || !waiters.isEmpty
        {
            // No request can use the connection until it has room or its peer has answered. The connection expires
            // nevertheless.
            scheduleWakeUp(at: expiry, now, &effects)
        } else if phase != .running {
            close(position, drainReason, &effects)
        } else if !configuration.isEnabled {
            close(position, table[position].uses > 0 ? .poolingDisabled : .dialUnneeded, &effects)
        } else if configuration.maximumIdle == 0 {
            close(position, .idleCapacity, &effects)
        } else if let expiry, expiry <= now {
            close(position, table[position].expiryReason, &effects)
        } else {
            if table.idleCount >= configuration.maximumIdle, let oldest = table.oldestIdle {
                close(oldest, .idleCapacity, &effects)
            }
            table.park(position)
            effects.idleDelta += 1
            scheduleWakeUp(at: expiry, now, &effects)
        }
    }

    /// Leases a multiplexed connection in use once more, if one has room.
    private mutating func leaseActiveWithRoom(_ now: MonotonicInstant, _ effects: inout PoolEffects) -> Lease? {
        while let position = table.firstActiveWithRoom {
            if let reason = retirementReason(position, now) {
                retire(position, reason, &effects)
            } else {
                noteHit(now)
                return grant(position)
            }
        }
        return nil
    }

    /// Leases the most recently used idle connection, if possible one of the caller's event loop. Closes expired ones.
    private mutating func leaseIdle(affinity: Int?, _ now: MonotonicInstant, _ effects: inout PoolEffects) -> Lease? {
        while let position = table.takeNewestIdle(affinity: affinity) {
            effects.idleDelta -= 1
            // The timer closes expired connections, but it may be late. A lease must not use an expired connection.
            if let expiry = table[position].expiry, expiry <= now {
                close(position, table[position].expiryReason, &effects)
            } else {
                noteHit(now)
                return grant(position)
            }
        }
        return nil
    }

    /// Counts a lease and makes it.
    private mutating func grant(_ position: Int) -> Lease {
        table[position].uses += 1
        table[position].grants += 1
        table[position].leases += 1
        table.noteRoom(position)
        guard let connection = table[position].connection else {
            preconditionFailure("granted a connection that is not established")
        }
        return Lease(connection: connection, uses: table[position].uses, idleSince: table[position].idleSince)
    }

    /// Records that the connection is free from now on, and when it expires.
    private mutating func recordIdleStart(_ position: Int, keepAliveTimeout: Duration?, _ now: MonotonicInstant) {
        var expiry = configuration.idleTimeout.map { now.advanced(by: $0) }
        var reason = CloseReason.idleTimeout
        // The server measures the idle time from the moment when it sent the response. One second allows for the
        // transmission.
        if let until = keepAliveTimeout.map({ now.advanced(by: $0 - .seconds(1)) }), expiry.map({ until < $0 }) ?? true
        {
            expiry = until
            reason = .keepAliveTimeout
        }
        if let until = table[position].retireAt, expiry.map({ until < $0 }) ?? true {
            expiry = until
            reason = .lifetimeExceeded
        }
        table[position].idleSince = now
        table[position].expiry = expiry
        table[position].expiryReason = reason
    }

    /// Returns why a free connection must not be used again. `nil`: it may be used again.
    private func retirementReason(_ position: Int, _ now: MonotonicInstant) -> CloseReason? {
        guard configuration.isEnabled else { return .poolingDisabled }
        if let retireAt = table[position].retireAt, retireAt <= now { return .lifetimeExceeded }
        if isUsedUp(position) { return .usesExceeded }
        guard table[position].expiryReason == .keepAliveTimeout else { return nil }
        return table[position].expiry.map { $0 <= now } == true ? .keepAliveTimeout : nil
    }

    /// Returns why a request that found no connection may not wait for a connection. `nil`: it may wait.
    private func refusal(of waiter: Waiter, _ now: MonotonicInstant) -> PoolError? {
        if let deadline = waiter.deadline, deadline <= now {
            return .deadlineExceeded(lastDialError: nil)
        }
        if let limit = waiter.limit, limit <= now {
            return .acquireTimeout(lastDialError: nil, waited: .zero, waiting: waiters.count)
        }
        guard let maximumWaiting = configuration.maximumWaiting else { return nil }
        // Requests do not count as waiting if a dial for them is under way or can be started.
        let coverage = expectation == .unknown ? 1 : expectation.coverage
        let space = isHoldingDials ? 0 : room
        let free = space == .max ? Int.max : space + (waiter.requiresFresh ? table.idleCount : 0)
        let (product, isPlenty) = free.multipliedReportingOverflow(by: coverage)
        let dialable = isPlenty ? Int.max : product
        let ahead = waiters.count - table.timelyDialCount * coverage
        guard ahead >= dialable, ahead - dialable >= maximumWaiting else { return nil }
        return .saturated(waiting: waiters.count)
    }
}
