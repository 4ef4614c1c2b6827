internal import BowlineCore

extension PoolStateMachine {
    /// A connection is gone, closed by the peer or by its user. Frees its place.
    mutating func connectionClosed(
        _ id: ConnectionID,
        reason: CloseReason,
        now: MonotonicInstant,
        random: Double
    ) -> PoolEffects {
        var effects = PoolEffects()
        // Unknown: the pool closed it and this is the echo.
        guard let position = table.position(of: id), table[position].phase != .dialling else { return effects }
        if table[position].uses == 0 {
            refill.recordFailure(now: now, random: random)
        }
        forget(position, reason, connection: nil, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// A connection takes no more leases: the peer said so, or it is used up. Those it has go on.
    mutating func connectionRetired(
        _ id: ConnectionID,
        reason: CloseReason,
        now: MonotonicInstant,
        random: Double
    ) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id), table[position].phase != .dialling else { return effects }
        if table[position].uses == 0 {
            refill.recordFailure(now: now, random: random)
        }
        if table[position].leases == 0 {
            close(position, reason, &effects)
        } else {
            table.retire(position, reason)
        }
        finishEvent(now, &effects)
        return effects
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
        for position in table.multiplexed where table[position].phase == .leased {
            retire(position, .shutdown, &effects)
        }
    }

    /// A connection idle since then was found dead: closes those that have been idle as long.
    mutating func evictStale(idleSince: MonotonicInstant, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        for position in table.idlePositions {
            guard let since = table[position].idleSince, since <= idleSince else { continue }
            close(position, .stale, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// An attempt on a connection that was leased then got no byte: closes what has been silent as long and is idle, and
    /// asks what has streams in use for a sign of life.
    mutating func noByteReceived(
        on id: ConnectionID, since leased: MonotonicInstant, now: MonotonicInstant
    ) -> PoolEffects {
        var effects = PoolEffects()
        for position in table.idlePositions where isSilent(position, since: leased) {
            close(position, .stale, &effects)
        }
        for position in table.multiplexed where isSilent(position, since: leased) {
            let slot = table[position]
            guard slot.id != id, slot.leases > 0, slot.retirement == nil, !slot.isDoubted,
                let connection = slot.connection
            else { continue }
            table.doubt(position)
            effects.probe(connection)
        }
        finishEvent(now, &effects)
        return effects
    }

    private func isSilent(_ position: Int, since instant: MonotonicInstant) -> Bool {
        table[position].seenAt.map { $0 <= instant } ?? true
    }

    /// Closes the connection idle longest, if one is idle. No other is dialled for `minimumIdle` before this pool's
    /// connections are used again.
    mutating func evictOldestIdle(
        _ reason: CloseReason,
        now: MonotonicInstant,
        random: Double
    ) -> (evicted: Bool, effects: PoolEffects) {
        var effects = PoolEffects()
        guard let oldest = table.oldestIdle else { return (false, effects) }
        // What is evicted to keep a limit over all origins must not be dialled anew: it would evict another origin's.
        minimumSuspendedAt = now
        refill.recordFailure(now: now, random: random)
        close(oldest, reason, &effects)
        finishEvent(now, &effects)
        return (true, effects)
    }

    var oldestIdleSince: MonotonicInstant? {
        table.oldestIdle.flatMap { table[$0].idleSince }
    }

    /// From now on nothing is kept: idle connections and dials nobody waits for go at once, leased ones when they are
    /// free. Requests still get connections, also new ones; refusing those is the client's part.
    mutating func beginDrain(now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard phase == .running else { return effects }
        phase = .draining
        for position in table.idlePositions {
            close(position, .shutdown, &effects)
        }
        finishEvent(now, &effects)
        failPrewarms(.draining, &effects)
        return effects
    }

    /// Ends everything now: fails who waits, cancels dials, closes connections, the leased ones too.
    mutating func closeAll(_ reason: CloseReason, now: MonotonicInstant) -> PoolEffects {
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
        finishEvent(now, &effects)
        return effects
    }

    /// The pool's last owner is gone. Leased connections are left to those who use them.
    mutating func poolReleased() -> PoolEffects {
        var effects = PoolEffects()
        phase = .closed
        // Also the one that some thread has decided on and not set yet: it finds that it is not current.
        wakeUp = nil
        effects.changeWakeUp(.cancel)
        for position in table.positions(in: .dialling) {
            cancelDial(position, &effects)
        }
        let unused = table.positions(in: .leased).filter { table[$0].leases == 0 }
        for position in table.idlePositions + unused {
            close(position, .poolReleased, &effects)
        }
        return effects
    }

    /// Closes the pool if there is nothing in it and nothing is to be dialled.
    mutating func closeIfCold(
        includingHopeless: Bool,
        now: MonotonicInstant
    ) -> (isClosed: Bool, effects: PoolEffects) {
        guard phase != .closed else { return (true, PoolEffects()) }
        let isOwing = owesRefill && !(includingHopeless && refill.isHopeless)
        guard isCold, !isOwing, dialsDue(now) == 0 else { return (false, PoolEffects()) }
        return (true, closeAll(.cold, now: now))
    }

    private mutating func failPrewarms(_ error: PoolError, _ effects: inout PoolEffects) {
        for prewarm in prewarms {
            effects.resume(prewarm.waiter, .failed(error))
        }
        prewarms = []
    }
}
