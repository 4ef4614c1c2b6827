internal import BowlineCore

/// A request for a connection, with its limits as instants.
struct LeaseRequest {
    let waiter: WaiterID
    var affinity: Int?
    var requiresFresh = false
    /// When it fails, whatever is under way for it.
    var deadline: MonotonicInstant?
    /// When it fails unless a dial is under way for it.
    var limit: MonotonicInstant?
}

enum LeaseOutcome {
    case granted(Lease)
    /// A resumption with the waiter's id will follow.
    case waiting
    case failed(PoolError)
}

extension PoolStateMachine {
    /// Hands out the most recently used idle connection, if there is one. Never dials for the caller.
    mutating func checkOut(affinity: Int?, now: MonotonicInstant) -> (grant: Lease?, effects: PoolEffects) {
        var effects = PoolEffects()
        let grant = takeOpen(now, &effects) ?? takeIdle(affinity: affinity, now, &effects)
        if grant == nil || configuration.minimumIdle > 0 {
            finishEvent(now, &effects)
        }
        return (grant, effects)
    }

    /// Hands out a connection or puts the request in line.
    mutating func lease(_ request: LeaseRequest, now: MonotonicInstant) -> (outcome: LeaseOutcome, effects: PoolEffects)
    {
        var effects = PoolEffects()
        guard phase != .closed else { return (.failed(.closed), effects) }

        let requiresFresh = request.requiresFresh || !configuration.isEnabled
        if !requiresFresh,
            let grant = takeOpen(now, &effects) ?? takeIdle(affinity: request.affinity, now, &effects)
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

    /// A lease ended well and its connection can serve another.
    ///
    /// - Parameter keepAliveTimeout: How long the server promised to keep it, if it said so.
    mutating func release(_ id: ConnectionID, keepAliveTimeout: Duration?, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        // Unknown: the pool was closed, or the connection was lost, while the response ended.
        guard let position = table.position(of: id) else { return effects }
        precondition(table[position].leases > 0, "released a connection that was not leased")

        refill.reset()
        table[position].seenAt = now
        table[position].leases -= 1
        if table[position].leases > 0 || table[position].retirement != nil {
            leaseEnded(position, now, &effects)
            return effects
        }
        becameFree(position, keepAliveTimeout: keepAliveTimeout, now)
        if let reason = retirementReason(position, now) {
            close(position, reason, &effects)
        } else if waiters.isEmpty {
            park(position, now, &effects)
            if configuration.minimumIdle == 0 { return effects }
        } else {
            handOn(position, now, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// A lease ended before anything was sent: the connection is as it was.
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
        if table[position].idleSince == nil {
            offerFresh(position, now, &effects)
        } else if let reason = retirementReason(position, now) {
            close(position, reason, &effects)
        } else {
            handOn(position, now, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// The waiting request's task was cancelled. Without effect when its wait is over already.
    mutating func waiterCancelled(_ id: WaiterID, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        if waiters.remove(id) != nil {
            effects.resume(id, .failed(CancellationError()))
        } else if let index = prewarms.firstIndex(where: { $0.waiter == id }) {
            prewarms.remove(at: index)
            effects.resume(id, .failed(CancellationError()))
        }
        finishEvent(now, &effects)
        return effects
    }

    /// A connection with streams can carry more or fewer of them than before.
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

    /// A connection with streams may be dead: no leases until it is confirmed.
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

    /// The peer has shown that it is there.
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

    /// An idle connection is of no use to a request now.
    private mutating func withdraw(_ position: Int, _ effects: inout PoolEffects) {
        table.withdraw(position)
        effects.idleDelta -= 1
    }

    /// A connection with streams that is not idle has another number of them, or may be leased again.
    private mutating func offerRoom(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        if table[position].leases > 0 {
            fill(position, &effects)
        } else if let reason = retirementReason(position, now) {
            close(position, reason, &effects)
        } else {
            handOn(position, now, &effects)
        }
    }

    /// Gives a connection that nobody has used to the first in line, or else to the pool.
    mutating func offerFresh(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        while table[position].hasRoom, !isUsedUp(position), let waiter = waiters.popFirst() {
            effects.resume(waiter.id, .granted(grant(position)))
        }
        makeWay(position, &effects)
        if table[position].leases == 0 {
            becameFree(position, keepAliveTimeout: nil, now)
            park(position, now, &effects)
        }
    }

    /// A connection with streams has lost one of several leases, or the last one after it was retired.
    private mutating func leaseEnded(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        if let reason = table[position].retirement {
            if table[position].leases == 0 { close(position, reason, &effects) }
        } else if !waiters.isEmpty, let reason = retirementReason(position, now) {
            // It would never become free: somebody always waits.
            retire(position, reason, &effects)
        } else {
            fill(position, &effects)
        }
        if phase == .running, waiters.isEmpty, configuration.minimumIdle == 0, !isOverLimit { return }
        finishEvent(now, &effects)
    }

    /// Gives the room of a used connection to those in line that take it.
    private mutating func fill(_ position: Int, _ effects: inout PoolEffects) {
        while table[position].hasRoom, !isUsedUp(position), let waiter = waiters.popFirstPlain() {
            effects.resume(waiter.id, .granted(grant(position)))
        }
        table.noteRoom(position)
        makeWay(position, &effects)
    }

    /// A connection that has been leased as often as it may be takes no place away from those who wait.
    private mutating func makeWay(_ position: Int, _ effects: inout PoolEffects) {
        guard table[position].isMultiplexed, table[position].leases > 0, isUsedUp(position), !waiters.isEmpty else {
            return
        }
        retire(position, .usesExceeded, &effects)
    }

    private func isUsedUp(_ position: Int) -> Bool {
        configuration.maximumUses.map { table[position].uses >= $0 } ?? false
    }

    /// Gives a used connection to the first in line that takes it, or else to the pool.
    private mutating func handOn(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        // At the limit, or short of descriptors, with no dial under way, a request that requires a fresh connection would be
        // overtaken for ever.
        if waiters.startsWithFresh, table.diallingCount == 0, room == 0 || shortage.isActive {
            close(position, .replaced, &effects)
            return
        }
        fill(position, &effects)
        if table[position].leases == 0 {
            park(position, now, &effects)
        }
    }

    /// Puts a free connection into the pool, or closes it. One that has no room now, or is doubted, stays as it is until that changes.
    private mutating func park(_ position: Int, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        let expiry = table[position].expiry
        if phase == .running, !table[position].hasRoom, expiry.map({ $0 > now }) ?? true,
            configuration.maximumIdle > 0 || !waiters.isEmpty
        {
            // It can carry nothing now, or is doubted: of no use to a request before that changes. It expires all the same.
            scheduleWakeUp(at: expiry, now, &effects)
        } else if phase != .running {
            close(position, .shutdown, &effects)
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

    /// One more lease of a connection in use that has room.
    private mutating func takeOpen(_ now: MonotonicInstant, _ effects: inout PoolEffects) -> Lease? {
        while let position = table.firstOpen {
            if let reason = retirementReason(position, now) {
                retire(position, reason, &effects)
            } else {
                noteHit(now)
                return grant(position)
            }
        }
        return nil
    }

    private mutating func takeIdle(affinity: Int?, _ now: MonotonicInstant, _ effects: inout PoolEffects) -> Lease? {
        while let position = table.takeNewestIdle(affinity: affinity) {
            effects.idleDelta -= 1
            // The timer closes what expires; it may be late, and a lease must not be.
            if let expiry = table[position].expiry, expiry <= now {
                close(position, table[position].expiryReason, &effects)
            } else {
                noteHit(now)
                return grant(position)
            }
        }
        return nil
    }

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

    private mutating func becameFree(_ position: Int, keepAliveTimeout: Duration?, _ now: MonotonicInstant) {
        var expiry = configuration.idleTimeout.map { now.advanced(by: $0) }
        var reason = CloseReason.idleTimeout
        // The server's clock started when it sent the response: a second for the way.
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

    /// Why a free connection must not be used again.
    private func retirementReason(_ position: Int, _ now: MonotonicInstant) -> CloseReason? {
        guard configuration.isEnabled else { return .poolingDisabled }
        if let retireAt = table[position].retireAt, retireAt <= now { return .lifetimeExceeded }
        if isUsedUp(position) { return .usesExceeded }
        guard table[position].expiryReason == .keepAliveTimeout else { return nil }
        return table[position].expiry.map { $0 <= now } == true ? .keepAliveTimeout : nil
    }

    /// Why a request that found no connection may not wait for one.
    private func refusal(of waiter: Waiter, _ now: MonotonicInstant) -> PoolError? {
        if let deadline = waiter.deadline, deadline <= now {
            return .deadlineExceeded(lastDialError: nil)
        }
        if let limit = waiter.limit, limit <= now {
            return .acquireTimeout(lastDialError: nil, waited: .zero, waiting: waiters.count)
        }
        guard let maximumWaiting = configuration.maximumWaiting else { return nil }
        // Those for which a dial is under way, or can be started, do not wait for others.
        let coverage = expectation == .unknown ? 1 : expectation.coverage
        let space = isHoldingDials ? 0 : room
        let free = space == .max ? Int.max : space + (waiter.requiresFresh ? table.idleCount : 0)
        let (product, isPlenty) = free.multipliedReportingOverflow(by: coverage)
        let dialable = isPlenty ? Int.max : product
        let ahead = waiters.count - table.diallingCount * coverage
        guard ahead >= dialable, ahead - dialable >= maximumWaiting else { return nil }
        return .saturated(waiting: waiters.count)
    }
}
