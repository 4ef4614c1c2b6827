public import BowlineCore
internal import BowlineTransport

extension ServiceClient {
    /// The client's connections: a snapshot of the pool, and dials in advance.
    public var pool: ClientPool {
        ClientPool(
            transport: core.pooled, lifecycle: core.lifecycle,
            balancesAddresses: configuration.resilience.balancing?.isOverAddresses ?? false)
    }

    /// Access to a client's connections.
    public struct ClientPool: Sendable {
        fileprivate let transport: PooledTransport?
        fileprivate let lifecycle: ClientLifecycle
        fileprivate let balancesAddresses: Bool

        /// Returns how many connections the pool has at this moment, and how many were opened and closed so far. Closed
        /// connections are counted by reason. Empty for a client with a transport of your own. For the connection of
        /// one response, see ``ServiceResponse/connection``.
        public func snapshot() -> PoolSnapshot {
            transport?.snapshot() ?? PoolSnapshot(origins: [], opened: 0, closed: [:])
        }

        /// Dials until `origin` has this many connections open and unused, within the pool's limits.
        ///
        /// Returns when the dials have ended. If pooling is off, returns at once. To keep connections ready
        /// permanently, set `pool.minimumIdlePerOrigin`. Cancelling the task ends the wait, not the dials.
        ///
        /// If requests are balanced over the addresses of the host, the connections are spread evenly over them.
        ///
        /// - Parameters:
        ///   - origin: An absolute URL. Its path is ignored.
        ///   - connections: The number of unused connections, 0 or more.
        /// - Throws: ``ServiceError``: `invalidRequest` for a negative number, `invalidURL`, `shuttingDown`, or the error of
        ///   the first dial that failed.
        public func prewarm(origin: String, connections: Int) async throws {
            guard connections >= 0 else {
                throw ServiceError(.invalidRequest, "connections must not be negative, is \(connections)")
            }
            // The pools learn of a drain a little later than the lifecycle.
            guard !lifecycle.isDraining else {
                throw ServiceError(.shuttingDown, "the client is shutting down or shut down and dials no more")
            }
            try await transport?.prewarm(
                ServiceURL(origin).origin, connections: connections, overAddresses: balancesAddresses)
        }
    }
}

extension BalancingOptions {
    fileprivate var isOverAddresses: Bool {
        if case .addresses = endpoints { true } else { false }
    }
}
