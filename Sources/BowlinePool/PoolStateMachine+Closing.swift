extension PoolStateMachine {
    /// A connection is gone, closed by the peer or by its user. Frees its place.
    mutating func connectionClosed(
        _ id: ConnectionID,
        reason: CloseReason,
        now: PoolInstant,
        random: Double
    ) -> PoolEffects {
        var effects = PoolEffects()
        // Unknown: the pool closed it and this is the echo.
        guard let position = table.position(of: id), table[position].phase != .dialling else { return effects }
        if table[position].uses == 0 {
            refill.recordFailure(now: now, random: random)
        }
        forget(position, reason, connection: nil, &effects)
        settle(now, &effects)
        return effects
    }

    /// A connection takes no more leases: the peer said so, or it is used up. Those it has go on.
    mutating func connectionRetired(_ id: ConnectionID, reason: CloseReason, now: PoolInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id), table[position].phase != .dialling else { return effects }
        if table[position].leases == 0 {
            close(position, reason, &effects)
        } else {
            table.retire(position, reason)
        }
        settle(now, &effects)
        return effects
    }

    /// A connection with streams may be dead: no leases until it is confirmed.
    mutating func connectionDoubted(_ id: ConnectionID, now: PoolInstant) -> PoolEffects {
        PoolEffects()
    }

    /// A doubted connection is well.
    mutating func connectionConfirmed(_ id: ConnectionID, now: PoolInstant) -> PoolEffects {
        PoolEffects()
    }

    /// Gives a connection no more leases, and tells it; closes it if it has none.
    mutating func retire(_ position: Int, _ reason: CloseReason, _ effects: inout PoolEffects) {
        guard table[position].retirement == nil, let connection = table[position].connection else { return }
        if table[position].leases == 0 {
            close(position, reason, &effects)
        } else {
            table.retire(position, reason)
            effects.retire(connection, reason, leases: table[position].grants)
        }
    }

    /// Nobody waits for the connections with streams any more: they end with what they carry.
    mutating func retireMultiplexed(_ effects: inout PoolEffects) {
        guard table.multiplexedCount > 0 else { return }
        for position in table.positions(in: .leased) where table[position].isMultiplexed {
            retire(position, .shutdown, &effects)
        }
    }

    /// A connection idle since then was found dead: closes those that have been idle as long.
    mutating func evictStale(idleSince: PoolInstant, now: PoolInstant) -> PoolEffects {
        var effects = PoolEffects()
        for position in table.idlePositions {
            guard let since = table[position].idleSince, since <= idleSince else { continue }
            close(position, .stale, &effects)
        }
        settle(now, &effects)
        return effects
    }

    /// Closes the connection idle longest, if one is idle.
    mutating func evictOldestIdle(
        _ reason: CloseReason,
        now: PoolInstant,
        random: Double
    ) -> (evicted: Bool, effects: PoolEffects) {
        var effects = PoolEffects()
        guard let oldest = table.oldestIdle else { return (false, effects) }
        // What is evicted to keep a limit must not be dialled anew at once.
        refill.recordFailure(now: now, random: random)
        close(oldest, reason, &effects)
        settle(now, &effects)
        return (true, effects)
    }

    var oldestIdleSince: PoolInstant? {
        table.oldestIdle.flatMap { table[$0].idleSince }
    }

    /// From now on nothing is kept: idle connections and dials nobody waits for go at once, leased ones when they are
    /// free. Requests still get connections, also new ones; refusing those is the client's part.
    mutating func beginDrain(now: PoolInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard phase == .running else { return effects }
        phase = .draining
        for position in table.idlePositions {
            close(position, .shutdown, &effects)
        }
        settle(now, &effects)
        failPrewarms(.draining, &effects)
        return effects
    }

    /// Ends everything now: fails who waits, cancels dials, closes connections, the leased ones too.
    mutating func closeAll(_ reason: CloseReason, now: PoolInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard phase != .closed else { return effects }
        phase = .closed
        for waiter in waiters.removeAll() {
            effects.resume(waiter.id, .failed(PoolError.closed))
        }
        for position in table.positions(in: .dialling) {
            cancelDial(position, &effects)
        }
        for position in table.idlePositions + table.positions(in: .leased) {
            close(position, reason, &effects)
        }
        failPrewarms(.closed, &effects)
        settle(now, &effects)
        return effects
    }

    /// The pool's last owner is gone. Leased connections are left to those who use them.
    mutating func poolReleased() -> PoolEffects {
        var effects = PoolEffects()
        phase = .closed
        for position in table.positions(in: .dialling) {
            cancelDial(position, &effects)
        }
        let unused = table.positions(in: .leased).filter { table[$0].leases == 0 }
        for position in table.idlePositions + unused {
            close(position, .poolReleased, &effects)
        }
        return effects
    }

    /// Closes the pool if there is nothing in it.
    mutating func closeIfCold(now: PoolInstant) -> (isClosed: Bool, effects: PoolEffects) {
        guard phase != .closed else { return (true, PoolEffects()) }
        guard isCold, dialsDue(now) == 0 else { return (false, PoolEffects()) }
        return (true, closeAll(.cold, now: now))
    }

    private mutating func failPrewarms(_ error: PoolError, _ effects: inout PoolEffects) {
        for prewarm in prewarms {
            effects.resume(prewarm.waiter, .failed(error))
        }
        prewarms = []
    }
}
