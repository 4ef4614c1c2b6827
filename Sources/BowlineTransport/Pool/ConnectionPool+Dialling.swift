extension ConnectionPool {
    /// A dial succeeded. The connection serves the first request in line or becomes idle; the pool may close it
    /// before this returns.
    func connectionEstablished(_ connection: any HTTPConnection) {
        let random = driver.random()
        driver.perform { $0.connectionEstablished(connection, now: $1, random: random) }
    }

    /// A dial failed, by itself or after `cancelDial`.
    ///
    /// The request that has waited longest fails with this error, unless another dial is under way for each that waits;
    /// the pool dials again for the others. See Docs/Decisions/failed-dials.md.
    ///
    /// - Parameter cause: With `.resources` no request fails as long as another connection of the origin is in use or
    ///   being dialled: the requests wait for that one.
    func connectionFailed(_ id: ConnectionID, error: any Error, cause: DialFailureCause = .peer) {
        let random = driver.random()
        driver.perform { $0.connectionFailed(id, error: error, cause: cause, now: $1, random: random) }
    }

    /// Whether the pool waits for the end of this dial: it has started it and not cancelled it since.
    func isDialling(_ id: ConnectionID) -> Bool {
        driver.inspect { $0.isDialling(id) }
    }

    /// A connection is gone, idle or leased: the peer closed it, or its user did. Frees its place for the next dial.
    ///
    /// To be called after `connectionEstablished` only. Without effect when the pool closed the connection itself.
    func connectionClosed(_ id: ConnectionID, reason: CloseReason) {
        let random = driver.random()
        driver.perform { $0.connectionClosed(id, reason: reason, now: $1, random: random) }
    }

    /// A connection with streams can carry more or fewer of them than before. Leases beyond that are not taken back.
    func connectionCapacityChanged(_ id: ConnectionID, to capacity: Int) {
        driver.perform { $0.capacityChanged(id, to: capacity, now: $1) }
    }

    /// A connection takes no more leases. It is closed, with this reason, when the last one has ended; at once if it has
    /// none.
    func connectionRetired(_ id: ConnectionID, reason: CloseReason) {
        let random = driver.random()
        driver.perform { $0.connectionRetired(id, reason: reason, now: $1, random: random) }
    }

    /// A connection with streams may be dead: it gets no lease until it is confirmed, and does not count against
    /// `maximumMultiplexed`, so that another can be dialled. The connection asks its peer for a sign of life.
    func connectionDoubted(_ id: ConnectionID) {
        driver.perform { $0.connectionDoubted(id, now: $1) }
    }

    /// The peer of a doubted connection has shown that it is there.
    func connectionConfirmed(_ id: ConnectionID) {
        driver.perform { $0.connectionConfirmed(id, now: $1) }
    }

    /// Opens connections in advance until `count` are idle, as far as `maximumIdle` and `maximumConnections` allow.
    /// Returns when the dials have ended; at once when pooling is disabled.
    ///
    /// - Throws: The first dial's error; `PoolError.draining` or `.closed`; `CancellationError` when the task is
    ///   cancelled. The other dials go on in each case, except when draining.
    func prewarm(_ count: Int) async throws {
        try await driver.prewarm(count)
    }
}
