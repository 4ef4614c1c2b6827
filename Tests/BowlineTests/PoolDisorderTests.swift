import Bowline
import BowlineTesting
import NIOCore
import Testing

/// The pool with dials that fail or hang, useless connections, and many origins at once.
@Suite("The pool in disorder", .timeLimit(.minutes(1)))
struct PoolDisorderTests {
    @Test(
        "In a cold burst to an https origin, a failed dial costs one request, and the others are served", .tags(.PO12))
    func coldBurst() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { .reply(200, body: $0.path) }
            try await EndingRelay.with(port: server.port, ending: 1) { port in
                try await withServiceClient("https://localhost:\(port)") {
                    $0.tls.trustRoots = .pem(TestCertificates.authority)
                    $0.retry = .never
                } _: { client in
                    let failures = try await withThrowingTaskGroup(of: ServiceError?.self) { group in
                        for number in 0..<50 {
                            group.addTask {
                                do {
                                    let fetched = try await client.fetch("/\(number)")
                                    #expect(fetched.text == "/\(number)")
                                    return nil
                                } catch let error as ServiceError {
                                    return error
                                }
                            }
                        }
                        return try await group.reduce(into: []) { $0 += [$1].compactMap { $0 } }
                    }
                    #expect(failures.count == 1)
                    #expect(failures.allSatisfy { $0.progress == .neverSent })
                    #expect(client.pool.snapshot().waiting == 0)
                }
            }
        }
    }

    @Test(
        "timeouts.connect ends a dial that hangs, also if timeouts.poolAcquire is as long, or shorter",
        .tags(.TO5))
    func hangingDial() async throws {
        try await withLoopbackServer(.unreachable) { server in
            for acquire in [Duration.seconds(10), .seconds(4)] {
                for _ in 0..<5 {
                    let clock = TestClock()
                    let client = try ServiceClient(baseURL: server.baseURL) {
                        $0.useOnly(clock)
                        $0.timeouts.connect = .seconds(10)
                        $0.timeouts.poolAcquire = acquire
                    }
                    let error = try await clock.failure {
                        try await client.fetch("/")
                    } once: {
                        // The pool's timer and the dial's own timer.
                        try await clock.waitForSleepers(count: 2)
                    }
                    #expect(error.code == .connectTimeout)
                    #expect(error.elapsed == .seconds(10))
                    await client.shutdown(within: .zero)
                }
            }
        }
    }

    @Test("idleTimeout closes a connection that allows no stream, and its origin's pool goes away", .tags(.H2g))
    func noStreams() async throws {
        var options = LoopbackServer.Options.http2
        options.http2?.maximumStreams = 0
        try await withLoopbackServer(options) { server in
            let clock = TestClock()
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.http2.negotiation = .http2Only
                $0.http2.maximumConnectionsPerOrigin = 1
                $0.timeouts.poolAcquire = .seconds(1)
                $0.pool.idleTimeout = .seconds(5)
            }
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await eventually("a connection") { client.pool.snapshot().active == 1 }
            }
            #expect(error.code == .poolAcquireTimeout)
            try await eventually("the origin to go cold") {
                clock.advanceToNextDeadline()
                return client.pool.snapshot().origins.isEmpty
            }
            #expect(client.pool.snapshot().closed == ["idleTimeout": 1])
            try await server.waitForOpenConnections(count: 0)
            await client.shutdown(within: .zero)
        }
    }

    @Test("maximumIdle holds when connections of many origins become idle at once")
    func maximumIdleUnderConcurrency() async throws {
        try await withLoopbackServers(12) { servers in
            for server in servers { server.respond { _ in .reply(200, body: "x") } }
            let client = try ServiceClient { $0.pool.maximumIdle = 5 }
            for _ in 0..<3 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for task in 0..<64 {
                        group.addTask {
                            for round in 0..<15 {
                                let server = servers[(task * 7 + round * 5) % servers.count]
                                let fetched = try await client.fetch(server.url("/"))
                                #expect(fetched.text == "x")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                // A dial that no request needs any more may still be in progress.
                try await eventually("no dials, and no surplus") {
                    let snapshot = client.pool.snapshot()
                    return snapshot.dialling == 0 && snapshot.active == 0 && snapshot.idle <= 5
                }
            }
            await client.shutdown()
        }
    }

    @Test(
        "With more minimumIdlePerOrigin than maximumIdle allows, the pool does not dial the surplus repeatedly")
    func minimumAboveMaximum() async throws {
        try await withLoopbackServers(4) { servers in
            for server in servers { server.respond { _ in .reply(200, body: "x") } }
            let clock = TestClock()
            let client = try ServiceClient {
                $0.useOnly(clock)
                $0.pool.minimumIdlePerOrigin = 2
                $0.pool.maximumIdle = 4
            }
            for server in servers { _ = try await client.fetch(server.url("/")) }
            try await eventually("four unused connections, no dial and no timer") {
                clock.advanceToNextDeadline()
                let snapshot = client.pool.snapshot()
                return snapshot.idle == 4 && snapshot.dialling == 0 && clock.nextDeadline == nil
            }
            let opened = client.pool.snapshot().opened
            #expect(opened <= 12)
            clock.advance(by: .seconds(3600))
            #expect(client.pool.snapshot().opened == opened)
            #expect(client.pool.snapshot().dialling == 0)
            await client.shutdown(within: .zero)
        }
    }

    @Test("minimumIdlePerOrigin is kept when the peer closes connections that were never used", .tags(.PO9))
    func minimumAfterClose() async throws {
        let close = Gate()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard connection.number <= 2 else { return try await connection.stall() }
                try await close.wait()
                try await connection.closeNow()
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.minimumIdlePerOrigin = 2 }
            try await client.pool.prewarm(origin: server.baseURL, connections: 2)
            close.open()
            try await server.waitForConnections(count: 4)
            try await eventually("two unused connections again") { client.pool.snapshot().idle == 2 }
            #expect(client.pool.snapshot().closed == ["closedByPeer": 2])
            await client.shutdown(within: .zero)
        }
    }
}
