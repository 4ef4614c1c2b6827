import BowlineTesting
import NIOCore
import NIOPosix
import Testing

@Suite("Loopback server: addresses, waiting and stopping", .timeLimit(.minutes(1)))
struct LoopbackWaitingTests {
    @Test(
        "listens on IPv4, IPv6 and a Unix domain socket",
        arguments: [
            (LoopbackServer.Options(), "http://127.0.0.1:"), (.ipv6, "http://[::1]:"), (.unixSocket, "http+unix://%2F"),
            (.tls(), "https://localhost:"),
        ])
    func addresses(options: LoopbackServer.Options, prefix: String) async throws {
        try await withLoopbackServer(options) { server in
            #expect(server.baseURL.hasPrefix(prefix))
            #expect(server.url("a/b") == server.baseURL + "/a/b")
            #expect(server.url("/a") == server.baseURL + "/a")
            guard options.tls == nil else { return }
            server.respond { _ in .reply(204) }
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(try await client.read(through: "\r\n\r\n") == "HTTP/1.1 204 No Content\r\n\r\n")
            }
        }
    }

    @Test("waits for connections, open ones and requests without polling")
    func waiting() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(204) }
            let two = Task { try await server.waitForConnections(count: 2) }
            let request = Task { try await server.waitForRequests(count: 1) }
            try await withRawClient(to: server) { client in
                try await server.waitForOpenConnections(count: 1)
                try await withRawClient(to: server) { other in
                    try await server.waitForOpenConnections(count: 2)
                    try await other.send("GET / HTTP/1.1\r\n\r\n")
                    try await request.value
                    _ = try await other.read(through: "\r\n\r\n")
                }
                try await server.waitForOpenConnections(count: 1)
                client.finish()
            }
            try await two.value
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test("A wait that times out says what was awaited, what was found and where")
    func timeout() async throws {
        try await withLoopbackServer { server in
            await #expect {
                try await server.waitForRequests(count: 3, timeout: .milliseconds(10))
            } throws: { error in
                let text = "\(error)"
                return text.hasPrefix("waited 0.01 s for 3 whole requests, found 0, and 0 begun (")
                    && text.contains("LoopbackWaitingTests.swift:")
            }
        }
    }

    @Test("a task that waits is cancelled promptly")
    func cancelledWait() async throws {
        try await withLoopbackServer { server in
            let task = Task { try await server.waitForConnections(count: 1, timeout: .seconds(1000)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("stopping closes connections, refuses dials and ends scripts that wait")
    func stopping() async throws {
        let gate = Gate()
        let server = try await LoopbackServer.start()
        server.onConnection { connection in
            #expect(try await connection.readRequest() != nil)
            try await gate.wait()
        }
        try await withRawClient(to: server) { client in
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            try await gate.waitForWaiters()
            await server.stop()
            #expect(await client.readToEnd().text == "")
        }
        #expect(gate.waitingCount == 0)
        #expect(server.openConnectionCount == 0)
        await #expect(throws: (any Error).self) { try await withRawClient(to: server) { _ in } }
        await server.stop()
    }

    @Test("a server that has stopped keeps its records, and goes away with its connections")
    func released() async throws {
        weak var server: LoopbackServer?
        weak var connection: LoopbackConnection?
        do {
            let started = try await LoopbackServer.start()
            server = started
            // A responder that keeps a reference to its server.
            started.respond { _ in .reply(200, body: "port \(started.port)") }
            for _ in 1...2 {
                try await withRawClient(to: started) { client in
                    try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    let response = try await client.read(through: "port \(started.port)")
                    #expect(response.hasPrefix("HTTP/1.1 200 OK\r\n"))
                }
                try await started.waitForOpenConnections(count: 0)
            }
            connection = started.connection(1)
            #expect(connection != nil)
            await started.stop()
            #expect(started.connection(1) == nil)
            #expect(started.connections.map(\.number) == [1, 2])
            #expect(started.connections.map(\.requests) == [1, 1])
            #expect(started.connections.allSatisfy { $0.end == .clientFinished })
            #expect(started.requests.map(\.connection) == [1, 2])
        }
        while server != nil || connection != nil, !Task.isCancelled { await Task.yield() }
        #expect(server == nil)
        #expect(connection == nil)
    }

    @Test("A server that does not accept leaves its connections in the kernel's queue")
    func notAccepting() async throws {
        var options = LoopbackServer.Options()
        options.acceptsConnections = false
        try await withLoopbackServer(options) { server in
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(server.connections.isEmpty)
            }
        }
    }

    @Test("dials to an unreachable server neither succeed nor fail")
    func unreachable() async throws {
        try await withLoopbackServer(.unreachable) { server in
            let dial = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.milliseconds(150))
                .connect(host: "127.0.0.1", port: server.port)
            await #expect(throws: ChannelError.connectTimeout(.milliseconds(150))) { try await dial.get() }
        }
    }

    @Test("a test can drive, close and reset connections that are served")
    func drivenByTest() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(204) }
            for end in [RawClient.End.finished, .reset] {
                try await withRawClient(to: server) { client in
                    try await client.send("GET / HTTP/1.1\r\n\r\n")
                    _ = try await client.read(through: "\r\n\r\n")
                    let number = server.connections.count
                    try await server.connection(number)?.send("unasked")
                    #expect(try await client.read(count: 7) == "unasked")
                    if end == .reset { await server.resetConnections() } else { await server.closeConnections() }
                    #expect(await client.readToEnd() == ("", end))
                    #expect(server.openConnectionCount == 0)
                    #expect(server.connections.last?.end == .serverClosed)
                }
            }
            #expect(server.connection(0) == nil)
            #expect(server.connection(3) == nil)
            #expect(server.problems == [])
        }
    }

    @Test("An open gate lets tasks pass, and can be closed again")
    func gates() async throws {
        let gate = Gate()
        let task = Task { try await gate.wait() }
        try await gate.waitForWaiters()
        #expect(gate.waitingCount == 1)
        gate.open()
        try await task.value
        try await gate.wait()
        #expect(gate.isOpen)
        gate.close()
        let second = Task { try await gate.wait() }
        try await gate.waitForWaiters()
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(gate.waitingCount == 0)
    }

    @Test("eventually returns when its condition is true, and fails with a clear error when it stays false")
    func eventuallyPolls() async throws {
        var count = 0
        try await eventually("three looks") {
            count += 1
            return count == 3
        }
        await #expect {
            try await eventually("the impossible", within: .milliseconds(5)) { false }
        } throws: { error in
            "\(error)".hasPrefix("waited 0.005 s for the impossible, found otherwise")
        }
    }
}
