import BowlineCore
import BowlineTesting
import Foundation
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The pools of origins", .timeLimit(.minutes(1)))
struct OriginPoolTests {
    @Test("prewarm of an origin whose pool goes cold at that moment dials from the new pool")
    func prewarmOfColdOrigin() async throws {
        try await withLoopbackServer { server in
            let transport = try PooledTransport(options: TransportOptions())
            let origin = try ServiceURL(server.baseURL).origin
            let found = transport.pools.pool(for: Route(origin))
            transport.pools.removeIfCold(Route(origin))
            #expect(try await !transport.prewarm(found, 1), "this one is closed; the client is not shutting down")
            try await transport.prewarm(origin, connections: 2)
            #expect(transport.snapshot().idle == 2)
            transport.beginDrain()
            let error = await #expect(throws: ServiceError.self) {
                try await transport.prewarm(origin, connections: 1)
            }
            #expect(error?.code == .shuttingDown)
            await transport.close()
            await #expect(throws: ServiceError.self) { try await transport.prewarm(origin, connections: 1) }
        }
    }

    @Test(
        "A dial that fails for lack of descriptors, ports or memory is distinguished from a failure of the peer",
        arguments: [
            (EMFILE, DialFailureCause.resources), (ENFILE, .resources), (ENOBUFS, .resources), (ENOMEM, .resources),
            (EADDRNOTAVAIL, .resources), (ECONNREFUSED, .peer), (ECONNRESET, .peer), (ETIMEDOUT, .peer),
            (EHOSTUNREACH, .peer), (ENETUNREACH, .peer), (EACCES, .peer), (ENOENT, .peer),
        ])
    func causes(code: CInt, cause: DialFailureCause) {
        #expect(DialFailureCause(IOError(errnoCode: code, reason: "connect")) == cause)
        #expect(DialFailureCause(DialFailure.timedOut) == .peer)
    }
}
