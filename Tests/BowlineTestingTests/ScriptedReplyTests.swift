import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@Suite("Scripted replies", .timeLimit(.minutes(1)))
struct ScriptedReplyTests {
    static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    static let ends: [(name: String, reply: ScriptedReply, text: String, end: RawClient.End)] = [
        ("close", .close, "", .finished),
        ("reset", .reset, "", .reset),
        ("reply, close", .reply(200, body: "ok").thenClose(), ok, .finished),
        ("reply, close later", .reply(200, body: "ok").thenClose(after: .milliseconds(1)), ok, .finished),
        ("reply, half-close", .reply(200, body: "ok").thenHalfClose().thenStall(), ok, .finished),
        (
            "cut in the body", .cut(after: ok.utf8.count - 1, of: .init(200, body: "ok")), String(ok.dropLast()),
            .finished
        ),
        ("cut in the head", .cut(after: 5, of: .init(200, body: "ok")), "HTTP/", .finished),
        ("cut, then what is not done", .cut(after: 5, of: .init(200, body: "ok")).thenStall(), "HTTP/", .finished),
        ("a part, then the end", .part(5, of: .init(200, body: "ok")).thenClose(), "HTTP/", .finished),
        ("cut at nothing", .cut(after: 0, of: .init(200, body: "ok")), "", .finished),
        ("garbage", .bytes("garbage\r\n").then(.close), "garbage\r\n", .finished),
        ("trickle", .trickle(.init(200, body: "ok"), size: 7, every: .microseconds(100)).then(.close), ok, .finished),
        (
            "sequence", .sequence(.reply(103), .reply(200, body: "ok"), .close),
            "HTTP/1.1 103 Early Hints\r\n\r\n" + ok, .finished
        ),
        ("delayed", .reply(200, body: "ok").delayed(by: .milliseconds(1)).then(.close), ok, .finished),
        ("followed at once", .reply(200, body: "ok").followed(by: "HTTP").thenClose(), ok + "HTTP", .finished),
        (
            "followed later", .reply(200, body: "ok").followed(by: "x", after: .milliseconds(1)).thenClose(), ok + "x",
            .finished
        ),
        ("until close", .reply(200, body: "ok", framing: .untilClose), "HTTP/1.1 200 OK\r\n\r\nok", .finished),
        (
            "says close", .reply(204, fields: [.connection: "close"]),
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", .finished
        ),
    ]

    @Test("Each reply sends what it names", arguments: ends.indices)
    func reply(index: Int) async throws {
        let (name, reply, text, end) = Self.ends[index]
        try await withLoopbackServer { server in
            server.respond { _ in reply }
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                let (gotText, gotEnd) = await client.readToEnd()
                #expect(gotText == text, "\(name)")
                #expect(gotEnd == end, "\(name)")
            }
            try await server.waitForOpenConnections(count: 0)
            #expect(server.problems == [])
        }
    }

    @Test("Bytes that follow immediately are in the same write as the reply")
    func gluedBytes() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "ok").followed(by: Self.ok) }
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await client.readPiece() == Self.ok + Self.ok)
            }
        }
    }

    @Test("Bytes behind a gate are a write of their own, and the connection stays open")
    func laterBytes() async throws {
        let gate = Gate()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "ok").then(.bytes("x").held(by: gate)) }
            try await withRawClient(to: server) { client in
                for _ in 1...2 {
                    gate.close()
                    try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try await client.readPiece() == Self.ok)
                    gate.open()
                    #expect(try await client.readPiece() == "x")
                }
            }
        }
    }

    @Test("A reply behind a gate is sent when the gate opens")
    func heldReply() async throws {
        let gate = Gate()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "ok").held(by: gate) }
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                try await server.waitForRequests(count: 1)
                try await gate.waitForWaiters()
                #expect(server.connections.first?.bytesSent == 0)
                gate.open()
                #expect(try await client.read(count: Self.ok.utf8.count) == Self.ok)
            }
        }
    }

    @Test("a stalled request ends with its client")
    func stall() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                try await server.waitForRequests(count: 1)
                #expect(server.openConnectionCount == 1)
                client.finish()
                #expect(await client.readToEnd() == ("", .finished))
            }
            #expect(server.connections.first?.end == .clientFinished)
            #expect(server.connections.first?.bytesSent == 0)
        }
    }

    @Test("a stalled request ends when the server stops")
    func stallStopped() async throws {
        let server = try await LoopbackServer.start()
        server.respond { _ in .stall }
        try await withRawClient(to: server) { client in
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try await server.waitForRequests(count: 1)
            await server.stop()
            #expect(await client.readToEnd().text == "")
        }
        #expect(server.openConnectionCount == 0)
        #expect(server.connections.first?.end == .serverClosed)
        #expect(server.problems == [])
    }
}
