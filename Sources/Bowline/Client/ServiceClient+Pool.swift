public import BowlineCore
internal import BowlineTransport

extension ServiceClient {
    /// The client's connections.
    public var pool: ClientPool { ClientPool(transport: core.pooled) }

    /// A look at a client's connections.
    public struct ClientPool: Sendable {
        fileprivate let transport: PooledTransport?

        /// What the pool holds at this moment; empty for a client over a transport of your own.
        public func snapshot() -> PoolSnapshot {
            transport?.snapshot() ?? PoolSnapshot(origins: [], opened: 0, closed: [:])
        }

        /// Dials ahead of need, until `origin` has that many connections open and unused, within the pool's limits.
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
