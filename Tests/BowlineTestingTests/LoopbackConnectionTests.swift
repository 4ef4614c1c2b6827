import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@Suite("Loopback server: scripted connections", .timeLimit(.minutes(1)))
struct LoopbackConnectionTests {
    /// Runs a connection's script against a client. Fails with the errors of either side.
    private func scripted(
        _ options: LoopbackServer.Options = .init(),
        _ script: @escaping @Sendable (LoopbackConnection) async throws -> Void,
        client body: @escaping @Sendable (inout RawClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer(options) { server in
            server.onConnection(script)
            try await withRawClient(to: server) { client in
                try await body(&client, server)
            }
            try await server.waitForOpenConnections(count: 0)
            #expect(server.problems == [])
        }
    }

    @Test("reads a head, then its body, then raw bytes, and is closed in order when its script returns")
    func reading() async throws {
        try await scripted { connection in
            let head = try #require(try await connection.readRequestHead())
            #expect((head.isComplete, head.bodyText) == (false, ""))
            try await connection.sendContinue()
            let whole = try await connection.readBody(of: head)
            #expect((whole.isComplete, whole.bodyText) == (true, "abc"))
            #expect(String(buffer: try await connection.read(atLeast: 4)) == "rest")
            try await connection.reply(201, body: "made")
            #expect(try await connection.readRequest() == nil)
        } client: { client, _ in
            try await client.send("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
            _ = try await client.read(through: "\r\n\r\n")
            try await client.send("abcre")
            try await client.send("st")
            #expect(try await client.read(through: "made").hasPrefix("HTTP/1.1 201 Created\r\n"))
            client.finish()
            #expect(await client.readToEnd() == ("", .finished))
        }
    }

    @Test("sends bytes and cuts them")
    func cutting() async throws {
        try await scripted { connection in
            _ = try await connection.readRequest()
            try await connection.send("one")
            try await connection.trickle("two", every: .microseconds(10))
            try await connection.send(ByteBuffer(string: "three"), cutAfter: 2)
        } client: { client, _ in
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            #expect(await client.readToEnd() == ("onetwoth", .finished))
        }
    }

    @Test("The server resets a connection")
    func resetting() async throws {
        try await scripted { connection in
            _ = try await connection.readRequest()
            try await connection.reset()
        } client: { client, server in
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            #expect(await client.readToEnd() == ("", .reset))
            #expect(server.connections.first?.end == .serverClosed)
        }
    }

    @Test("sees the client finish after a half-close, and what it sent meanwhile")
    func halfClosing() async throws {
        let gate = Gate()
        try await scripted { connection in
            _ = try await connection.readRequest()
            try await connection.halfClose()
            let close = try await connection.waitForClose()
            #expect((close.end, close.byteCount) == (.clientFinished, 4))
            #expect(String(buffer: close.bytes) == "late")
            gate.open()
        } client: { client, _ in
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            #expect(await client.readToEnd() == ("", .finished))
            try await client.send("late")
            client.finish()
            try await gate.wait()
        }
    }

    @Test("sees the client reset")
    func clientReset() async throws {
        let gate = Gate()
        try await scripted { connection in
            _ = try await connection.readRequest()
            #expect(try await connection.waitForClose().end == .clientReset)
            gate.open()
        } client: { client, server in
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            try await server.waitForRequests(count: 1)
            try await client.reset()
            try await gate.wait()
            #expect(server.connections.first?.end == .clientReset)
        }
    }

    @Test("waiting for a close that does not come fails with a clear error")
    func waitForCloseTimesOut() async throws {
        let gate = Gate()
        try await scripted { connection in
            await #expect {
                try await connection.waitForClose(timeout: .milliseconds(20))
            } throws: { error in
                "\(error)".contains("waited 0.02 s for the client to end connection 1, found it open")
            }
            gate.open()
        } client: { _, _ in
            try await gate.wait()
        }
    }

    @Test("A paused connection does not read, and loses no byte")
    func pausing() async throws {
        var options = LoopbackServer.Options()
        options.receiveBufferSize = 8192
        let (gate, paused) = (Gate(), Gate())
        let total = 16 << 20
        try await scripted(options) { connection in
            try await connection.pauseReading()
            paused.open()
            try await gate.wait()
            #expect(connection.record.bytesReceived == 0)
            try await connection.resumeReading()
            var count = 0
            while count < total { count += try await connection.read().readableBytes }
            try await connection.send("all")
        } client: { client, _ in
            try await paused.wait()
            let (outbound, channel) = (client.outbound, client.channel)
            let writer = Task {
                for _ in 0..<(total >> 16) { try await outbound.write(ByteBuffer(repeating: 1, count: 65536)) }
            }
            try await eventually("the client's socket to be full") { !channel.isWritable }
            gate.open()
            #expect(try await client.read(count: 3) == "all")
            try await writer.value
        }
    }

    @Test("reads no more than about a mebibyte ahead of its script")
    func readingAhead() async throws {
        let gate = Gate()
        let total = 32 << 20
        try await scripted { connection in
            try await gate.wait()
            #expect(connection.record.bytesReceived < 3 << 20)
            var count = 0
            while count < total {
                count += try await connection.read(atLeast: min(5 << 20, total - count)).readableBytes
            }
            try await connection.send("all")
        } client: { client, _ in
            let (outbound, channel) = (client.outbound, client.channel)
            let writer = Task {
                for _ in 0..<(total >> 16) { try await outbound.write(ByteBuffer(repeating: 1, count: 65536)) }
            }
            try await eventually("the client's socket to be full") { !channel.isWritable }
            gate.open()
            #expect(try await client.read(count: 3) == "all")
            try await writer.value
        }
    }

    @Test("A script can leave its connection to the routes")
    func servingSome() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(204) }
            server.onConnection { connection in
                if connection.number == 1 {
                    // Do not reset at once: if the client receives the connect and the reset together, its connect
                    // fails.
                    _ = try await connection.read(atLeast: 1)
                    try await connection.reset()
                }
                try await connection.serveRequests()
            }
            try await withRawClient(to: server) { client in
                try await client.send("x")
                #expect(await client.readToEnd() == ("", .reset))
            }
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(try await client.read(through: "\r\n\r\n") == "HTTP/1.1 204 No Content\r\n\r\n")
            }
        }
    }
}
