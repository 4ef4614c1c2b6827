import Bowline
import BowlineTesting
import NIOCore
import Testing

/// What hedges do to connections, streams and shutdowns. The server records each request.
@Suite("Hedges over sockets", .timeLimit(.minutes(1)))
struct HedgingOverSocketTests {
    private static let delay = Duration.milliseconds(10)

    private func withClient(
        _ options: LoopbackServer.Options = .init(), clock: TestClock,
        configure: @escaping @Sendable (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer(options) { server in
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                var hedging = HedgingOptions()
                hedging.delay = .after(Self.delay)
                $0.resilience.hedging = hedging
                configure(&$0)
            }
            try await body(client, server)
            await client.shutdown(within: .zero)
        }
    }

    /// Waits until the first attempt is at the server, and moves the clock to its hedge.
    private func passDelay(_ clock: TestClock, _ server: LoopbackServer, after requests: Int = 1) async throws {
        let due = clock.now.advanced(by: Self.delay)
        try await server.waitForRequests(count: requests)
        try await eventually("the timer of the hedge") { clock.nextDeadline == due }
        clock.advance(by: Self.delay)
    }

    @Test("Over HTTP/1.1 a hedge has its own connection; the loser's closes, the winner's is used again", .tags(.HG9))
    func http1() async throws {
        let clock = TestClock()
        try await withClient(clock: clock) { client, server in
            server.route(.get, "/x", inOrder: [.stall, .reply(200, body: "second"), .reply(200, body: "third")])
            async let hedged = client.fetch("/x")
            try await passDelay(clock, server)
            let fetched = try await hedged
            #expect(fetched.text == "second")
            #expect(fetched.connectionID == 2)
            #expect(fetched.response.requestsSent == 2)
            #expect(server.requests.map(\.connection) == [1, 2])
            try await server.waitForOpenConnections(count: 1)
            let end = try #require(server.connections.first?.end)
            #expect(end == .clientFinished || end == .clientReset)
            let next = try await client.fetch("/x")
            #expect(next.text == "third")
            #expect(next.connectionID == 2)
            #expect(next.isReused)
            let pool = client.pool.snapshot()
            #expect(pool.active == 0)
            #expect(pool.idle == 1)
        }
    }

    @Test("A kept 503 with a long body loses its connection while the hedge is in flight", .tags(.HG9))
    func keptBody() async throws {
        let clock = TestClock()
        try await withClient(clock: clock) { client, server in
            let (first, second) = (Gate(), Gate())
            let busy = ScriptedReply.bytes("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000\r\n\r\nbusy")
            server.route(
                .get, "/x",
                inOrder: [busy.held(by: first).thenStall(), .reply(200, body: "second").held(by: second)])
            async let hedged = client.fetch("/x")
            try await passDelay(clock, server)
            try await server.waitForRequests(count: 2)
            first.open()
            // The body is announced as longer than what is kept, so it is discarded at once.
            try await server.waitForOpenConnections(count: 1)
            second.open()
            let fetched = try await hedged
            #expect(fetched.text == "second")
            #expect(fetched.connectionID == 2)
        }
    }

    @Test("Over HTTP/2 both attempts share a connection, and the loser's stream is reset with CANCEL", .tags(.HG9))
    func http2() async throws {
        let clock = TestClock()
        let codes = Guarded<[Int: UInt32]>([:])
        try await withLoopbackServer { server in
            server.onConnection { connection in
                var peer = try await RawHTTP2Connection(connection)
                var streams: [Int] = []
                do {
                    while true {
                        let frame = try await peer.next()
                        if frame.kind == .headers {
                            _ = try peer.fields(of: frame)
                            streams.append(frame.stream)
                            if streams.count > 1 { try await peer.reply(on: frame.stream) }
                        } else if frame.kind == .reset {
                            let code = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self)
                            codes.withLock { $0[frame.stream] = code }
                        }
                    }
                } catch {
                    // The client has gone; the test looks at what it got.
                }
            }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.http2.negotiation = .http2Only
                var hedging = HedgingOptions()
                hedging.delay = .after(Self.delay)
                $0.resilience.hedging = hedging
            }
            async let hedged = client.fetch("/x")
            let due = clock.now.advanced(by: Self.delay)
            try await eventually("the first stream") { server.rawRequests.count == 1 }
            try await eventually("the timer of the hedge") { clock.nextDeadline == due }
            clock.advance(by: Self.delay)
            let fetched = try await hedged
            #expect(fetched.response.connection?.stream == 3)
            #expect(fetched.connectionID == 1)
            try await eventually("the reset") { codes.withLock { $0.count } == 1 }
            // RFC 9113 §7: CANCEL.
            #expect(codes.withLock { $0 } == [1: 8])
            let next = try await client.fetch("/x")
            #expect(next.response.connection?.stream == 5)
            #expect(next.connectionID == 1)
            await client.shutdown(within: .zero)
        }
    }

    @Test("With a pool of one connection, a kept 503 gives the connection to the hedge", .tags(.HG5, .HG9))
    func poolOfOne() async throws {
        try await withLoopbackServer { server in
            let reply = Gate()
            let busy = ScriptedReply.bytes("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\n\r\nbus")
            server.route(
                .get, "/x", inOrder: [busy.held(by: reply).thenStall(), .reply(200, body: "second")])
            let client = try ServiceClient(baseURL: server.baseURL) {
                var hedging = HedgingOptions()
                hedging.delay = .after(.milliseconds(1))
                $0.resilience.hedging = hedging
                $0.retry = .never
                $0.pool.maximumPerOrigin = 1
            }
            async let hedged = client.fetch("/x")
            try await server.waitForRequests(count: 1)
            try await eventually("the hedge to wait for the connection") { client.pool.snapshot().waiting == 1 }
            reply.open()
            #expect(try await hedged.text == "second")
            await client.shutdown()
        }
    }

    @Test("At a shutdown's deadline all attempts end, and the report names the furthest phase", .tags(.HG7))
    func forciblyClosed() async throws {
        let clock = TestClock()
        try await withClient(clock: clock) { client, server in
            server.route(.get, "/x", always: .stall)
            async let failure = Requests.failure { try await client.fetch("/x") }
            try await passDelay(clock, server)
            try await server.waitForRequests(count: 2)
            try await eventually("both to wait for the head") { client.pool.snapshot().active == 2 }
            let report = await client.shutdown(within: .zero)
            #expect(report.forced.map(\.phase) == [.awaitingHead])
            #expect(report.forced.map(\.attempt) == [1])
            let error = try #require(await failure as? ServiceError)
            #expect(error.code == .forciblyClosed)
            #expect(error.progress == .ambiguous)
            #expect(error.requestsSent == 2)
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test("A drain waits for a hedged call, and for the body of its winner", .tags(.HG6))
    func drain() async throws {
        let clock = TestClock()
        try await withClient(clock: clock) { client, server in
            let rest = Gate()
            server.route(
                .get, "/x",
                inOrder: [
                    .stall,
                    .bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
                        .then(.bytes("world").held(by: rest)),
                ])
            async let hedged = client.get("/x")
            try await passDelay(clock, server)
            let response = try await hedged
            async let shutdown = client.shutdown(within: .seconds(10))
            for await progress in client.shutdownProgress where progress.state == .draining {
                #expect(progress.inFlight == 1)
                break
            }
            rest.open()
            #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "helloworld"))
            let report = await shutdown
            #expect(report.isClean)
            #expect(report.drained == 1)
        }
    }

    @Test("Events of a hedge have its number, and each attempt has its own connection", .tags(.HG13))
    func events() async throws {
        let clock = TestClock()
        let events = RecordedEvents()
        try await withClient(clock: clock) {
            $0.telemetry.events = [events]
        } _: { client, server in
            server.route(.get, "/x", inOrder: [.stall, .reply(200, body: "second")])
            async let hedged = client.fetch("/x")
            try await passDelay(clock, server)
            _ = try await hedged
            let told = events.entries.compactMap(\.request)
            #expect(Set(told.map(\.request)) == [1])
            #expect(Set(told.map(\.attempt)) == [1])
            #expect(Set(told.filter { $0.hedge == 0 }.compactMap(\.connection)) == [1])
            #expect(Set(told.filter { $0.hedge == 1 }.compactMap(\.connection)) == [2])
            let first = events.entries.filter { $0.request?.hedge == 0 }.map(\.text)
            #expect(first.suffix(2) == ["body sent", "cancelled"])
            let hedge = events.entries.filter { $0.request?.hedge == 1 }.map(\.text)
            #expect(hedge.last == "body end")
        }
    }
}
