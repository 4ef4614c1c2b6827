internal import BowlineCore

extension PoolStateMachine {
    /// Records that a connection is closed: the peer closed it, or the connection closed itself. Frees its place.
    mutating func connectionClosed(
        _ id: ConnectionID,
        reason: CloseReason,
        now: MonotonicInstant,
        random: Double
    ) -> PoolEffects {
        var effects = PoolEffects()
        // The pool does not know the connection, because the pool has closed it. This event only confirms that.
        guard let position = table.position(of: id), table[position].phase != .dialling else { return effects }
        if table[position].uses == 0 {
            refill.recordFailure(now: now, random: random)
        }
        forget(position, reason, connection: nil, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// Stops the leases of a connection: the peer asked for that, or the connection is used up. Its current leases go
    /// on.
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

    /// Stops the leases of a connection and has the driver announce that to it. Closes it if it has no lease.
    mutating func retire(_ position: Int, _ reason: CloseReason, _ effects: inout PoolEffects) {
        guard table[position].retirement == nil, let connection = table[position].connection else { return }
        if table[position].leases == 0 {
            close(position, reason, &effects)
        } else {
            table.retire(position, reason)
            effects.retire(connection, reason, leases: table[position].grants)
        }
    }

    /// Retires the multiplexed connections in use. No waiter needs them any more; each closes when its last lease ends.
    mutating func retireMultiplexed(_ effects: inout PoolEffects) {
        for position in table.multiplexed where table[position].phase == .leased {
            retire(position, drainReason, &effects)
        }
    }

    /// Closes the connections that have been idle since `idleSince` or longer: one of that age was found dead.
    mutating func evictStale(idleSince: MonotonicInstant, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        for position in table.idlePositions {
            guard let since = table[position].idleSince, since <= idleSince else { continue }
            close(position, .stale, &effects)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Reacts to an attempt that received no byte on a connection leased at `leased`. Of the connections that have been
    /// silent since then, closes the idle ones and probes the multiplexed ones in use.
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

    /// Closes the connection that has been idle longest, if one is idle. Afterwards the pool does not dial for
    /// `minimumIdle` until requests use its connections again.
    mutating func evictOldestIdle(
        _ reason: CloseReason,
        now: MonotonicInstant,
        random: Double
    ) -> (evicted: Bool, effects: PoolEffects) {
        var effects = PoolEffects()
        guard let oldest = table.oldestIdle else { return (false, effects) }
        // A connection dialled to replace the evicted one would make another origin lose a connection.
        minimumSuspendedAt = now
        refill.recordFailure(now: now, random: random)
        close(oldest, reason, &effects)
        finishEvent(now, &effects)
        return (true, effects)
    }

    var oldestIdleSince: MonotonicInstant? {
        table.oldestIdle.flatMap { table[$0].idleSince }
    }

    /// Stops keeping connections. At once, closes the idle connections and cancels the dials that no waiter needs.
    /// Closes each leased connection when it becomes free. Requests still get connections, and the pool dials for them.
    ///
    /// - Parameter reason: Why the connections close: `.shutdown`, or `.addressGone`. A shutdown replaces the other
    ///   reason.
    mutating func beginDrain(_ reason: CloseReason = .shutdown, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        if phase == .running || reason == .shutdown { drainReason = reason }
        guard phase == .running else { return effects }
        phase = .draining
        for position in table.idlePositions {
            close(position, reason, &effects)
        }
        finishEvent(now, &effects)
        failPrewarms(.draining, &effects)
        return effects
    }

    /// Ends the drain of a pool whose address has come back. Connections that have been retired stay so. Does nothing if
    /// the pool drains for a shutdown.
    mutating func endDrain(now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard phase == .draining, drainReason == .addressGone else { return effects }
        phase = .running
        finishEvent(now, &effects)
        return effects
    }

    /// Ends everything now: fails the waiters, cancels the dials and closes all connections, leased ones included.
    mutating func closeAll(_ reason: CloseReason, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard phase != .closed else { return effects }
        phase = .closed
        for waiter in waiters.removeAll() {
            effects.resume(waiter.id, .failed(PoolError.closed))
        }
        for position in table.positions(in: .dialling) {
            cancelDial(position, .closed, &effects)
        }
        for position in table.idlePositions + table.positions(in: .leased) {
            close(position, reason, &effects)
        }
        failPrewarms(.closed, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// Ends the pool after its last owner has released it. A leased connection closes when its exchange ends.
    mutating func poolReleased() -> PoolEffects {
        var effects = PoolEffects()
        phase = .closed
        // Another thread may have decided on a wake-up that it has not set yet. It will find that this wake-up is not
        // current any more.
        wakeUp = nil
        effects.changeWakeUp(.cancel)
        for position in table.positions(in: .dialling) {
            cancelDial(position, .closed, &effects)
        }
        let unused = table.positions(in: .leased).filter { table[$0].leases == 0 }
        for position in table.idlePositions + unused {
            close(position, .poolReleased, &effects)
        }
        return effects
    }

    /// Closes the pool if it has no connection, no dial and no waiting request, and no dial to start, now or later.
    /// Returns whether the pool is closed.
    ///
    /// - Parameter includingHopeless: Whether to ignore dials for `minimumIdle` that have failed many times in a row.
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
