extension ConnectionPool {
    /// Records that a dial succeeded. The connection serves the first waiting request or becomes idle. The pool may
    /// close it before this function returns.
    func connectionEstablished(_ connection: any HTTPConnection) {
        let random = driver.random()
        driver.perform { $0.connectionEstablished(connection, now: $1, random: random) }
    }

    /// Records that a dial failed, with or without a `cancelDial`.
    ///
    /// The request that has waited longest fails with this error, unless other dials are under way for all waiting
    /// requests. The pool dials again for the other requests. See Docs/Decisions/failed-dials.md.
    ///
    /// - Parameter cause: If it is `.resources` and another connection of the origin is in use or being dialled, no
    ///   request fails: the requests wait for that connection.
    func connectionFailed(_ id: ConnectionID, error: any Error, cause: DialFailureCause = .peer) {
        let random = driver.random()
        driver.perform { $0.connectionFailed(id, error: error, cause: cause, now: $1, random: random) }
    }

    /// Whether the pool waits for the end of this dial: the dial has been started and not cancelled.
    func isDialling(_ id: ConnectionID) -> Bool {
        driver.inspect { $0.isDialling(id) }
    }

    /// Records that a connection is gone, idle or leased: the peer closed it, or the connection closed itself. Frees
    /// its place for the next dial.
    ///
    /// Call this only after `connectionEstablished`. Does nothing if the pool itself closed the connection.
    func connectionClosed(_ id: ConnectionID, reason: CloseReason) {
        let random = driver.random()
        driver.perform { $0.connectionClosed(id, reason: reason, now: $1, random: random) }
    }

    /// Records that a multiplexed connection can carry more or fewer streams than before. Leases that exceed the new
    /// capacity go on.
    func connectionCapacityChanged(_ id: ConnectionID, to capacity: Int) {
        driver.perform { $0.capacityChanged(id, to: capacity, now: $1) }
    }

    /// Stops the leases of a connection. The connection closes with this reason when its last lease ends, or at once if
    /// it has none.
    func connectionRetired(_ id: ConnectionID, reason: CloseReason) {
        let random = driver.random()
        driver.perform { $0.connectionRetired(id, reason: reason, now: $1, random: random) }
    }

    /// Records that a multiplexed connection may be dead. The connection probes its peer, and gets no lease until the
    /// peer has answered. Meanwhile it does not count against `maximumMultiplexed`, so that another connection can be
    /// dialled.
    func connectionDoubted(_ id: ConnectionID) {
        driver.perform { $0.connectionDoubted(id, now: $1) }
    }

    /// Records that the peer of a doubted connection is alive.
    func connectionConfirmed(_ id: ConnectionID) {
        driver.perform { $0.connectionConfirmed(id, now: $1) }
    }

    /// Opens connections in advance until `count` are idle, as far as `maximumIdle` and `maximumConnections` allow.
    /// Returns when the dials have ended, or at once if pooling is disabled.
    ///
    /// - Throws: The first dial's error; `PoolError.draining` or `.closed`; `CancellationError` when the task is
    ///   cancelled. In each case the other dials go on, except when the pool drains.
    func prewarm(_ count: Int) async throws {
        try await driver.prewarm(count)
    }
}
