public import BowlineCore
internal import BowlineTransport

extension ServiceClient {
    /// The client's connections: a snapshot of the pool, and dialling ahead.
    public var pool: ClientPool { ClientPool(transport: core.pooled) }

    /// A look at a client's connections.
    public struct ClientPool: Sendable {
        fileprivate let transport: PooledTransport?

        /// The pool's connections at this moment, and how many it has opened and closed so far, by reason. Empty for a client
        /// over a transport of your own. For the connection of one response see ``ServiceResponse/connection``.
        public func snapshot() -> PoolSnapshot {
            transport?.snapshot() ?? PoolSnapshot(origins: [], opened: 0, closed: [:])
        }

        /// Dials ahead of need, until `origin` has that many connections open and unused, within the pool's limits.
        ///
        /// Returns when the dials have ended, at once when pooling is off. To keep connections ready for good, set
        /// `pool.minimumIdlePerOrigin`. Cancelling the task ends the wait, not the dials.
        ///
        /// - Parameters:
        ///   - origin: An absolute URL; its path does not matter.
        ///   - connections: How many, from 0.
        /// - Throws: ``ServiceError`` of the first dial that failed.
        public func prewarm(origin: String, connections: Int) async throws {
            guard connections >= 0 else {
                throw ServiceError(.invalidRequest, "connections must not be negative, is \(connections)")
            }
            try await transport?.prewarm(ServiceURL(origin).origin, connections: connections)
        }
    }
}
