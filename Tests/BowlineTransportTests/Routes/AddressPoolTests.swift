import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("The pools of an origin's addresses", .timeLimit(.minutes(1)))
struct AddressPoolTests {
    private let here: IPAddress
    private let other: IPAddress

    init() throws {
        here = try #require(IPAddress("127.0.0.1"))
        other = try #require(IPAddress("127.0.0.2"))
    }

    private func withTransport(
        _ body: (PooledTransport, Origin) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            var options = TransportOptions()
            options.proxy = .none
            options.resolver = FixedAddresses([:], otherwise: nil)
            let transport = try PooledTransport(options: options)
            do {
                try await body(transport, ServiceURL("http://a.test:\(server.port)").origin)
            } catch {
                await transport.close()
                throw error
            }
            await transport.close()
        }
    }

    /// Dials; the pool must not have been closed.
    private func prewarm(_ pool: ConnectionPool, _ count: Int, _ transport: PooledTransport) async throws {
        let isOpen = try await transport.prewarm(pool, count)
        #expect(isOpen)
    }

    @Test("Each address has its own pool, and the origin without an address has one, too")
    func separate() async throws {
        try await withTransport { transport, origin in
            let pools = transport.pools
            let pool = pools.pool(for: Route(origin, address: here))
            #expect(pools.pool(for: Route(origin, placement: AttemptPlacement(address: here, isHedge: true))) === pool)
            #expect(pools.pool(for: Route(origin, address: other)) !== pool)
            #expect(pools.pool(for: Route(origin)) !== pool)
            #expect(transport.snapshot().origins.map(\.address) == [nil, here, other])
        }
    }

    @Test("An address that is gone loses its idle connections and its pool; one that stays keeps both")
    func gone() async throws {
        try await withTransport { transport, origin in
            let route = Route(origin, address: here)
            let pool = transport.pools.pool(for: route)
            try await prewarm(pool, 2, transport)
            transport.keepOnly([other, here], of: origin)
            #expect(transport.snapshot().idle == 2)
            #expect(transport.pools.pool(for: route) === pool)

            transport.keepOnly([other], of: origin)
            #expect(transport.snapshot().closed == ["addressGone": 2])
            #expect(transport.snapshot().origins.isEmpty)
            #expect(transport.pools.pool(for: route) !== pool)
        }
    }

    @Test("The pool of an address that is gone accepts requests until the last connection has closed")
    func draining() async throws {
        try await withTransport { transport, origin in
            let route = Route(origin, address: here)
            let pool = transport.pools.pool(for: route)
            try await prewarm(pool, 1, transport)
            let lease = try #require(pool.tryLease())
            transport.keepOnly([], of: origin)
            #expect(transport.pools.pool(for: route) === pool)
            let late = try await pool.lease()
            #expect(late.connection.id != lease.connection.id)
            pool.returnUnused(late.connection)
            #expect(transport.snapshot().closed == ["addressGone": 1])
            pool.returnUnused(lease.connection)
            #expect(transport.snapshot().closed == ["addressGone": 2])
            #expect(transport.snapshot().origins.isEmpty)
        }
    }

    @Test("A connection of an address that is gone may close for any reason: the pool goes with it")
    func otherReason() async throws {
        try await withTransport { transport, origin in
            let pool = transport.pools.pool(for: Route(origin, address: here))
            try await prewarm(pool, 1, transport)
            let lease = try #require(pool.tryLease())
            transport.keepOnly([], of: origin)
            pool.connectionClosed(lease.connection.id, reason: .connectionCloseRequested)
            #expect(transport.snapshot().origins.isEmpty)
            #expect(transport.snapshot().closed == ["connectionCloseRequested": 1])
            lease.connection.close(.forced)
        }
    }

    @Test("If the address comes back before its last connection has closed, the pool keeps connections again")
    func back() async throws {
        try await withTransport { transport, origin in
            let pool = transport.pools.pool(for: Route(origin, address: here))
            try await prewarm(pool, 1, transport)
            let lease = try #require(pool.tryLease())
            transport.keepOnly([], of: origin)
            #expect(pool.isDraining)
            transport.keepOnly([here], of: origin)
            #expect(!pool.isDraining)
            pool.returnUnused(lease.connection)
            #expect(transport.snapshot().idle == 1)
            #expect(transport.snapshot().closed.isEmpty)
        }
    }

    @Test("A shutdown goes on when an address comes back")
    func shutdown() async throws {
        try await withTransport { transport, origin in
            let pool = transport.pools.pool(for: Route(origin, address: here))
            transport.beginDrain()
            transport.keepOnly([here], of: origin)
            #expect(pool.isDraining)
            transport.keepOnly([], of: origin)
            transport.keepOnly([here], of: origin)
            #expect(transport.pools.pool(for: Route(origin, address: here)).isDraining)
        }
    }

    @Test("Prewarming an address that is gone dials nothing, and is no error")
    func prewarmed() async throws {
        try await withTransport { transport, origin in
            let pool = transport.pools.pool(for: Route(origin, address: here))
            try await prewarm(pool, 1, transport)
            let lease = try #require(pool.tryLease())
            transport.keepOnly([], of: origin)
            try await prewarm(pool, 3, transport)
            #expect(transport.snapshot().opened == 1)
            pool.returnUnused(lease.connection)
        }
    }
}
