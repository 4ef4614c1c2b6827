internal import BowlineCore

extension ConnectionPool {
    /// Closes the connections that have been idle at least as long as one that was found dead: they are probably dead
    /// too.
    ///
    /// - Parameter idleSince: The `Lease.idleSince` of the dead connection.
    func evictStale(idleSince: MonotonicInstant) {
        driver.perform { $0.evictStale(idleSince: idleSince, now: $1) }
    }

    /// Reacts to an attempt that timed out and received no byte after its connection was leased: the path to the peer
    /// may be gone.
    ///
    /// Closes the idle connections that have shown no sign of life since `leased`. Probes the multiplexed connections
    /// in use that have shown no sign of life either: they get no lease until their peers have answered. The attempt's
    /// own connection decides itself whether to probe its peer.
    func noByteReceived(on id: ConnectionID, since leased: MonotonicInstant) {
        driver.perform { $0.noByteReceived(on: id, since: leased, now: $1) }
    }

    /// Closes the longest idle connection. Returns false if none is idle.
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

    /// The instant since which the longest idle connection has been idle. `nil`: no connection is idle.
    var oldestIdleSince: MonotonicInstant? {
        driver.inspect { $0.oldestIdleSince }
    }

    /// Stops keeping connections. Closes the idle ones, cancels dials that no waiter needs, and closes each leased
    /// connection when it is released and no waiter needs it.
    ///
    /// Leases are still granted, with new dials if necessary: their requests were admitted before the drain.
    func beginDrain() {
        driver.perform { $0.beginDrain(now: $1) }
    }

    /// Closes all connections, leased ones included, and cancels the dials. Waiting requests and all later ones fail
    /// with `PoolError.closed`.
    func closeAll(_ reason: CloseReason = .forced) {
        driver.perform { $0.closeAll(reason, now: $1) }
    }

    /// Closes the pool if it has no connection, no dial and no waiting request, and does not have to dial for
    /// `minimumIdle`. Returns whether the pool is closed.
    ///
    /// The check and the closing are one step under the lock. If a request finds this pool at the same instant and
    /// arrives before this step, the pool stays open. If it arrives after this step, it fails with `PoolError.closed`,
    /// and can use the pool that replaces this one.
    ///
    /// - Parameter includingHopeless: Whether to ignore dials for `minimumIdle` that have failed many times in a row.
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

    /// How many connections are in use or being dialled, as far as they count against the limit.
    var busyCount: Int {
        driver.inspect { $0.countedConnections - $0.table.idleCount }
    }

    /// Returns the numbers of the pool's current connections, and of those opened and closed so far.
    func snapshot() -> PoolCounts {
        driver.inspect { $0.snapshot }
    }
}
