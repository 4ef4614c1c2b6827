internal import BowlineCore

extension ConnectionPool {
    /// Closes the connections that have been idle at least as long as one that was found dead: they probably are, too.
    ///
    /// - Parameter idleSince: The dead one's `Lease.idleSince`.
    func evictStale(idleSince: MonotonicInstant) {
        driver.perform { $0.evictStale(idleSince: idleSince, now: $1) }
    }

    /// An attempt timed out, and no byte had come since its connection was leased: the path to the peer may be gone.
    ///
    /// Closes the connections that are idle and have shown no sign of life since then, and probes those with streams in
    /// use, which get no lease until they are confirmed. The attempt's own connection decides about itself.
    func noByteReceived(on id: ConnectionID, since leased: MonotonicInstant) {
        driver.perform { $0.noByteReceived(on: id, since: leased, now: $1) }
    }

    /// Closes the connection that has been idle longest. Returns false when none is idle.
    @discardableResult
    func evictOldestIdle(reason: CloseReason = .totalIdleCapacity) -> Bool {
        let random = driver.random()
        var isEvicted = false
        driver.perform {
            let (evicted, effects) = $0.evictOldestIdle(reason, now: $1, random: random)
            isEvicted = evicted
            return effects
        }
        return isEvicted
    }

    /// Since when the connection idle longest has been idle, `nil` when none is.
    var oldestIdleSince: MonotonicInstant? {
        driver.inspect { $0.oldestIdleSince }
    }

    /// Stops keeping connections: closes the idle ones, cancels dials nobody waits for, and closes each leased one
    /// when it is released and nobody waits for it.
    ///
    /// Leases are still granted, by dialling if need be: the requests that ask were admitted before the drain.
    func beginDrain() {
        driver.perform { $0.beginDrain(now: $1) }
    }

    /// Closes all connections, leased ones included, cancels dials and fails waiting requests with
    /// `PoolError.closed`, as it does all later ones.
    func closeAll(_ reason: CloseReason = .forced) {
        driver.perform { $0.closeAll(reason, now: $1) }
    }

    /// Closes the pool if it has no connection, no dial and no waiting request, and is not to dial for `minimumIdle`;
    /// returns whether it is closed.
    ///
    /// One step, so that a request that finds this pool at the same instant is either in it, and it stays open, or
    /// fails with `PoolError.closed` and can be sent to the pool that takes its place.
    ///
    /// - Parameter includingHopeless: Closes it too if dials for `minimumIdle` have failed many times in a row.
    func closeIfCold(includingHopeless: Bool = false) -> Bool {
        var isClosed = false
        driver.perform {
            let (closed, effects) = $0.closeIfCold(includingHopeless: includingHopeless, now: $1)
            isClosed = closed
            return effects
        }
        return isClosed
    }

    /// Whether the pool has no connection, no dial and no waiting request.
    var isCold: Bool {
        driver.inspect { $0.isCold }
    }

    /// Connections in use and dials under way, as far as they count against the limit.
    var busyCount: Int {
        driver.inspect { $0.countedConnections - $0.table.idleCount }
    }

    /// Counts what the pool holds now and has closed so far.
    func snapshot() -> PoolCounts {
        driver.inspect { $0.snapshot }
    }
}
