import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Causes, through the client, every reason for closing a connection that a pool's snapshot can count.
///
/// `PoolKnobTests` and `KeepAliveTests` cause `idleTimeout`, `idleCapacity`, `totalIdleCapacity`,
/// `lifetimeExceeded`, `usesExceeded`, `poolingDisabled`, `connectionCloseRequested`, `eofDelimitedBody`,
/// `leftoverBytes`, `keepAliveTimeout` and `bodyAbandoned`.
@Suite("Close reasons", .timeLimit(.minutes(1)))
struct CloseReasonTests {
    @Test("closedByPeer: the pool notices without a request that the server closed an unused connection", .tags(.PO7))
    func closedByPeer() async throws {
        try await expect("closedByPeer") { client, server in
            server.respond { _ in .reply(200, body: "x").thenClose() }
            _ = try await client.fetch("/")
        }
    }

    @Test(
        "transportError or closedByPeer: the pool notices without a request that an unused connection was reset",
        .tags(.PO7))
    func resetWhileIdle() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x").thenReset() }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.fetch("/")
                try await eventually("nothing idle") { client.pool.snapshot().idle == 0 }
                let closed = client.pool.snapshot().closed
                #expect(closed == ["closedByPeer": 1] || closed == ["transportError": 1])
            }
        }
    }

    @Test("unsolicitedBytes: any byte on an unused connection closes it")
    func unsolicitedBytes() async throws {
        try await expect("unsolicitedBytes") { client, server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").then(.bytes("!").held(by: gate)).thenStall() }
            _ = try await client.fetch("/")
            gate.open()
        }
    }

    @Test("upgraded: a tunnel's connection is not used for requests")
    func upgraded() async throws {
        try await expect("upgraded") { client, server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                try await connection.send("HTTP/1.1 200 OK\r\n\r\n")
                try await connection.closeNow()
            }
            let response = try await client.send(ServiceRequest(method: .connect, "/"))
            _ = try await response.body.collect(upTo: 100)
        }
    }

    @Test("protocolError: a response that breaks the rules ends its connection")
    func protocolError() async throws {
        try await expect("protocolError") { client, server in
            server.respond { _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx") }
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .protocolViolation)
            #expect(error.progress == .responseStarted)
        }
    }

    @Test("cancelled: a cancelled request ends its connection")
    func cancelled() async throws {
        try await expect("cancelled") { client, server in
            server.respond { _ in .stall }
            let task = Task { try await client.fetch("/") }
            try await server.waitForRequests(count: 1)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("timedOut: a request that ran out of time ends its connection")
    func timedOut() async throws {
        try await expect("timedOut") { client, server in
            server.respond { _ in .stall }
            var request = ServiceRequest.get("/")
            request.options.timeouts.responseHead = .milliseconds(20)
            let error = try await serviceError { _ = try await client.fetch(request) }
            #expect(error.code == .responseHeadTimeout)
        }
    }

    @Test("requestUnfinished: a response that refuses an upload ends its connection")
    func requestUnfinished() async throws {
        try await expect("requestUnfinished") { client, server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                try await connection.reply(413, body: "no")
                try await connection.waitForClose()
            }
            let gate = Gate()
            let chunks = GatedChunks(first: [ByteBuffer(string: "abc")], gate: gate, then: [])
            let fetched = try await client.fetch(.post("/", body: .stream(chunks)))
            #expect(fetched.text == "no")
        }
    }

    @Test("transportError: a reset ends a connection that waits for a response")
    func transportError() async throws {
        try await expect("transportError") { client, server in
            server.respond { _ in .reset }
            let error = try await serviceError { _ = try await client.fetch(.post("/", body: .text("x"))) }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .ambiguous)
        }
    }

    @Test("replaced: at the limit the pool closes a connection to make room for one that must be new")
    func replaced() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.onConnection { connection in
                while let request = try await connection.readRequest() {
                    if connection.number == 1, request.number == 2 {
                        try await gate.wait()
                        return try await connection.closeNow()
                    }
                    try await connection.reply(200, body: request.path)
                }
            }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 1
            } _: { client in
                _ = try await client.fetch("/0")
                async let resent = client.fetch("/resent")
                try await server.waitForRequests(count: 2)
                // This request waits in the queue, so it takes the dead connection's place when the resend needs one.
                async let queued = client.fetch("/queued")
                try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
                gate.open()
                #expect(try await queued.text == "/queued")
                let response = try await resent
                #expect(response.text == "/resent")
                #expect(response.response.resends == 1)
                // Either dial may finish first. If the queued request's dial did, its connection was closed.
                let replaced = client.pool.snapshot().closed["replaced", default: 0]
                #expect(replaced == (response.connectionID == 2 ? 0 : 1))
                #expect(response.response.connection?.requests == 1)
            }
        }
    }

    @Test("dialUnneeded: a dial that no request needs ends with the drain")
    func dialUnneeded() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            }
            let task = Task { try await client.fetch("/") }
            try await eventually("a dial") { client.pool.snapshot().dialling == 1 || server.requests.count == 1 }
            task.cancel()
            _ = try? await task.value
            await client.shutdown(within: .seconds(5))
            try await server.waitForOpenConnections(count: 0)
            let snapshot = client.pool.snapshot()
            #expect(snapshot.opened == snapshot.closed.values.reduce(0, +))
            #expect(snapshot.dialling == 0)
        }
    }

    @Test("shutdown and forced: unused connections end with the client, used ones at its deadline")
    func endOfClient() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/stall") { _ in .stall }
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: server.baseURL)
            try await client.pool.prewarm(origin: server.baseURL, connections: 2)
            let stalled = Task { try await client.fetch("/stall") }
            try await server.waitForRequests(count: 1)
            let report = await client.shutdown(within: .zero)
            #expect(!report.isClean)
            let error = try await serviceError { _ = try await stalled.value }
            #expect(error.code == .forciblyClosed)
            #expect(client.pool.snapshot().closed == ["shutdown": 1, "forced": 1])
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test("A client that goes away closes its unused connections")
    func poolReleased() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            do {
                let client = try ServiceClient(baseURL: server.baseURL)
                _ = try await client.fetch("/")
            }
            try await server.waitForOpenConnections(count: 0)
            #expect(server.connections.map(\.end) == [.clientFinished])
        }
    }

    /// `bring` closes one connection, for this reason, and no other connection.
    private func expect(
        _ reason: String, _ bring: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                try await bring(client, server)
                try await eventually("a close") { !client.pool.snapshot().closed.isEmpty }
                #expect(client.pool.snapshot().closed == [reason: 1])
                #expect(client.pool.snapshot().idle == 0)
                #expect(client.pool.snapshot().active == 0)
                try await server.waitForOpenConnections(count: 0)
            }
        }
    }
}

/// Chunks, some of which come only when a gate is open. Counts the iterators that were made.
struct GatedChunks: AsyncSequence, Sendable {
    let first: [ByteBuffer]
    let gate: Gate
    let then: [ByteBuffer]

    func makeAsyncIterator() -> Iterator { Iterator(chunks: self) }

    struct Iterator: AsyncIteratorProtocol {
        let chunks: GatedChunks
        private var index = 0

        init(chunks: GatedChunks) { self.chunks = chunks }

        mutating func next() async throws -> ByteBuffer? {
            defer { index += 1 }
            if index < chunks.first.count { return chunks.first[index] }
            try await chunks.gate.wait()
            let rest = index - chunks.first.count
            return rest < chunks.then.count ? chunks.then[rest] : nil
        }
    }
}
