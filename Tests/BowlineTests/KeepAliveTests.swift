import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

/// What makes a connection reusable for another request, and what does not.
@Suite("Keep-alive", .timeLimit(.minutes(1)))
struct KeepAliveTests {
    @Test(
        "After Connection: close, however spelled, the body is delivered, and the client closes and dials anew",
        .tags(.KA2),
        arguments: [
            "Connection: close\r\n", "connection: Close\r\n", "Connection: keep-alive, CLOSE\r\n",
            "Connection: keep-alive\r\nConnection: close\r\n", "Connection: x-foo , close\t\r\n",
        ]
    )
    func closeInResponse(lines: String) async throws {
        try await expectClosed(
            after: "HTTP/1.1 200 OK\r\n\(lines)Content-Length: 5\r\n\r\nhello", body: "hello",
            reason: "connectionCloseRequested"
        )
    }

    @Test("The connection of a request with Connection: close is never pooled, whatever the server says", .tags(.KA3))
    func closeInRequest() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                while let request = try await connection.readRequest() {
                    let response = ScriptedResponse(200, fields: [.connection: "keep-alive"], body: "x")
                    try await connection.reply(response, to: request)
                }
            }
            try await withServiceClient(server.baseURL) { client in
                for number in 1...2 {
                    let request = ServiceRequest("/", fields: [.connection: "close"])
                    #expect(try await client.fetch(request).connectionID == number)
                }
                try await server.waitForOpenConnections(count: 0)
                #expect(server.connections.map(\.end) == [.clientFinished, .clientFinished])
                #expect(client.pool.snapshot().closed == ["connectionCloseRequested": 2])
                #expect(server.requests.allSatisfy { $0[.connection] == "close" })
            }
        }
    }

    @Test("HTTP/1.0 without keep-alive is not pooled", .tags(.KA4))
    func oldVersion() async throws {
        try await expectClosed(
            after: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello",
            reason: "connectionCloseRequested"
        )
    }

    @Test("HTTP/1.0 with keep-alive and a length is pooled, each time", .tags(.KA4))
    func oldVersionKeptAlive() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                .bytes("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello")
            }
            try await withServiceClient(server.baseURL) { client in
                for _ in 1...3 {
                    let fetched = try await client.fetch("/")
                    #expect(fetched.connectionID == 1)
                    #expect(fetched.text == "hello")
                    #expect(fetched.response.connection?.protocolVersion == .http1_0)
                }
            }
        }
    }

    @Test(
        "A body that ends with the connection is delivered and not pooled, with or without keep-alive", .tags(.KA5),
        arguments: ["HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]
    )
    func closeDelimited(head: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .bytes(head + "hello").thenClose() }
            try await withServiceClient(server.baseURL) { client in
                for number in 1...2 {
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "hello")
                    #expect(fetched.connectionID == number)
                }
                #expect(client.pool.snapshot().closed == ["eofDelimitedBody": 2])
            }
        }
    }

    @Test(
        "A response without a body frees its connection at the end of its head, before a reader comes", .tags(.KA6),
        arguments: [
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ]
    )
    func withoutBody(method: String, response: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .bytes(response) }
            try await withServiceClient(server.baseURL) { client in
                let request = ServiceRequest(method: try #require(HTTPRequest.Method(method)), "/")
                let first = try await client.send(request)
                #expect(client.pool.snapshot().idle == 1)
                let second = try await client.send(request)
                #expect(second.connection?.id == 1)
                #expect(try await first.body.collect(upTo: 10).readableBytes == 0)
                #expect(try await second.body.collect(upTo: 10).readableBytes == 0)
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("A last chunk that comes late still frees the connection", .tags(.KA7), arguments: [true, false])
    func lateLastChunk(isReadToTheEnd: Bool) async throws {
        let gate = Gate()
        try await withLoopbackServer { server in
            server.route(.get, "/late") { _ in
                .bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                    .then(.bytes("0\r\n\r\n").held(by: gate))
            }
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) {
                $0.connection.discardTimeout = .seconds(10)
            } _: { client in
                do {
                    var iterator = try await client.get("/late").body.makeAsyncIterator()
                    #expect(try await iterator.next() == ByteBuffer(string: "hello"))
                    if isReadToTheEnd {
                        gate.open()
                        #expect(try await iterator.next() == nil)
                        #expect(client.pool.snapshot().idle == 1)
                    }
                }
                gate.open()
                try await eventually("the connection back") { client.pool.snapshot().idle == 1 }
                #expect(try await client.fetch("/").connectionID == 1)
            }
        }
    }

    @Test("An unread body is drained and its connection reused if it is small, otherwise closed", .tags(.KA8))
    func droppedBody() async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                let count = Int(request.path.dropFirst()) ?? 0
                let isChunked = request.target.hasSuffix("?chunked")
                let body = ByteBuffer(repeating: 0x61, count: count)
                return .reply(200, body: body, framing: isChunked ? .chunked : .length)
            }
            try await withServiceClient(server.baseURL) {
                $0.connection.discardTimeout = .seconds(10)
            } _: { client in
                for (target, isKept) in [
                    ("/100000", true), ("/262144", true), ("/8000000", false), ("/100000?chunked", true),
                    ("/8000000?chunked", false),
                ] {
                    let before = client.pool.snapshot()
                    _ = try await client.get(target)
                    try await eventually("the connection of \(target) settled") {
                        client.pool.snapshot().active == 0
                    }
                    let after = client.pool.snapshot()
                    #expect(after.idle == (isKept ? 1 : 0), "\(target)")
                    #expect(
                        after.closed["bodyAbandoned", default: 0] - before.closed["bodyAbandoned", default: 0]
                            == (isKept ? 0 : 1), "\(target)"
                    )
                }
            }
        }
    }

    @Test("Draining an unread body waits at most 50 ms for its bytes", .tags(.KA8))
    func slowDroppedBody() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").thenStall() }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.get("/")
                try await server.waitForOpenConnections(count: 0, timeout: .seconds(5))
                #expect(client.pool.snapshot().closed == ["bodyAbandoned": 1])
            }
        }
    }

    @Test(
        "Bytes after the message in the same segment: the response is delivered, the connection never reused",
        .tags(.KA11),
        arguments: ["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL", "HTTP/1.1 200 OK\r\nX: "]
    )
    func extraBytes(extra: String) async throws {
        try await expectClosed(
            after: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + extra, body: "hello", reason: "leftoverBytes"
        )
    }

    @Test("A second response in the same segment does not answer the request that waits in the queue", .tags(.KA12))
    func extraResponseForQueued() async throws {
        let gate = Gate()
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
        try await withLoopbackServer { server in
            server.respond { request in
                request.path == "/first"
                    ? .bytes(good + "goodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL").held(by: gate)
                    : .bytes(good + "next")
            }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 1
            } _: { client in
                async let first = client.fetch("/first")
                try await server.waitForRequests(count: 1)
                async let second = client.fetch(.post("/second", body: .text("x")))
                try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
                gate.open()
                #expect(try await first.text == "good")
                #expect(try await second.text == "next")
                #expect(server.connections.count == 2)
                #expect(server.executions(of: "/second") == 1)
            }
        }
    }

    @Test("A CONNECT tunnel is never pooled", .tags(.KA15))
    func tunnel() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                try await connection.send("HTTP/1.1 200 OK\r\n\r\n")
                try await connection.waitForClose()
            }
            try await withServiceClient(server.baseURL) { client in
                for number in 1...2 {
                    let response = try await client.send(ServiceRequest(method: .connect, "/"))
                    #expect(response.status == .ok)
                    #expect(response.connection?.id == number)
                    response.body.discard()
                }
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().idle == 0)
            }
        }
    }

    @Test("An unrequested 101 fails the request and closes the connection", .tags(.KA15))
    func unsolicitedUpgrade() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                .bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .protocolViolation)
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().idle == 0)
            }
        }
    }

    @Test("Another scheme, socket path or client means another connection", .tags(.KA16, .I10))
    func whatIsApart() async throws {
        let unix = try await LoopbackServer.start(.unixSocket)
        let other = try await LoopbackServer.start(.unixSocket)
        for server in [unix, other] { server.respond { _ in .reply(200, body: server.socketPath ?? "") } }
        let client = try ServiceClient()
        #expect(try await client.fetch(unix.url("/")).text == unix.socketPath)
        #expect(try await client.fetch(other.url("/")).text == other.socketPath)
        #expect(try await client.fetch(unix.url("/")).text == unix.socketPath)
        let second = try ServiceClient { $0.tls.verification = .disabled }
        #expect(try await second.fetch(unix.url("/")).isReused == false)
        #expect(unix.connections.count == 2)
        await client.shutdown()
        await second.shutdown()
        await unix.stop()
        await other.stop()
    }

    @Test("One host is one origin in any spelling; another name for it is another origin", .tags(.KA17))
    func hostKey() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient()
            for (host, number) in [("localhost", 1), ("LOCALHOST", 1), ("LocalHost", 1), ("127.0.0.1", 2)] {
                let fetched = try await client.fetch("http://\(host):\(server.port)/")
                #expect(fetched.connectionID == number, "\(host)")
            }
            try expectOrigins("http://a.example/", "HTTP://A.example:80", areSame: true)
            try expectOrigins("https://a.example/", "https://a.example:443", areSame: true)
            try expectOrigins("http://a.example:443/", "https://a.example", areSame: false)
            try expectOrigins("http://a.example/", "http://a.example:8080", areSame: false)
            try expectOrigins("http://[fe80::1%25eth0]/", "http://[fe80::1%25eth1]/", areSame: false)
            try expectOrigins("http://[::1]/", "http://[::1]:80/", areSame: true)
            await client.shutdown()
        }
    }

    @Test(
        "Keep-Alive: timeout=N shortens the idle time to N − 1 s", .tags(.KA19),
        arguments: [("timeout=5", 4), ("max=100, timeout=30", 29), ("Timeout=2", 1), ("timeout=1000", 90), ("x", 90)]
    )
    func keepAliveTimeout(value: String, seconds: Int) async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in
                .bytes("HTTP/1.1 200 OK\r\nKeep-Alive: \(value)\r\nContent-Length: 1\r\n\r\nx")
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.clock = clock }
            _ = try await client.fetch("/")
            clock.advance(by: .seconds(seconds) - .nanoseconds(1))
            // The time counts from the last response.
            #expect(try await client.fetch("/").isReused)
            try await clock.waitForSleepers(count: 1)
            clock.advance(by: .seconds(seconds) - .nanoseconds(1))
            #expect(client.pool.snapshot().idle == 1)
            clock.advance(by: .nanoseconds(1))
            // Whether the timer has fired or not, no request gets the connection.
            #expect(try await client.fetch("/").isReused == false)
            let reason = seconds == 90 ? "idleTimeout" : "keepAliveTimeout"
            #expect(client.pool.snapshot().closed == [reason: 1])
            try await end(client, clock)
        }
    }

    @Test("Keep-Alive: timeout=0 or 1 leaves no time to reuse a connection", .tags(.KA19), arguments: [0, 1])
    func noKeepAliveTime(seconds: Int) async throws {
        try await expectClosed(
            after: "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=\(seconds)\r\nContent-Length: 5\r\n\r\nhello", body: "hello",
            reason: "keepAliveTimeout"
        )
    }

    private func expectOrigins(_ one: String, _ other: String, areSame: Bool) throws {
        let origins = try (ServiceURL(one).origin, ServiceURL(other).origin)
        #expect((origins.0 == origins.1) == areSame, "\(one) and \(other)")
    }

    @Test("A request cancelled before its first byte leaves its connection as it was: age, uses and Keep-Alive")
    func cancelledBeforeWriting() async throws {
        let clock = TestClock()
        let listener = CancellingListener()
        try await withLoopbackServer { server in
            server.respond { _ in .bytes("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 1\r\n\r\nx") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.telemetry.events = [listener]
            }
            for number in 1...3 {
                let fetched = try await client.fetch("/")
                #expect(fetched.connectionID == 1)
                #expect(fetched.response.connection?.requests == number)
                listener.cancelsNext()
                let cancelled = Task { try await client.fetch("/cancelled") }
                await #expect(throws: CancellationError.self) { try await cancelled.value }
                try await eventually("the connection back") { client.pool.snapshot().idle == 1 }
            }
            clock.advance(by: .seconds(4))
            #expect(try await client.fetch("/").connectionID == 2)
            #expect(client.pool.snapshot().closed == ["keepAliveTimeout": 1])
            #expect(server.executions(of: "/cancelled") == 0)
            try await end(client, clock)
        }
    }

    /// Two requests with this response need two connections, and the client closes both.
    private func expectClosed(after bytes: String, body: String, reason: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .bytes(bytes) }
            try await withServiceClient(server.baseURL) { client in
                for number in 1...2 {
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == body)
                    #expect(fetched.connectionID == number)
                }
                try await server.waitForOpenConnections(count: 0)
                #expect(server.connections.map(\.end) == [.clientFinished, .clientFinished])
                #expect(client.pool.snapshot().closed == [reason: 2])
                #expect(client.pool.snapshot().idle == 0)
            }
        }
    }
}

/// Cancels the task of the next request that gets a connection, before the request is written.
private final class CancellingListener: ServiceEventListener {
    private let isArmed = Guarded(false)

    func cancelsNext() {
        isArmed.withLock { $0 = true }
    }

    func requestLeased(_ event: RequestEvent, isReused: Bool) {
        let cancels = isArmed.withLock { isArmed in
            defer { isArmed = false }
            return isArmed
        }
        if cancels { withUnsafeCurrentTask { $0?.cancel() } }
    }
}
