import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Connection reuse")
struct ConnectionReuseTests {
    @Test("Two sequential GETs whose bodies are read use one connection", .tags(.KA1), arguments: [false, true])
    func sequentialRequestsShareAConnection(chunked: Bool) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "hello", framing: chunked ? .chunked : .length) }
            try await withServiceClient(server.baseURL) { client in
                for expected in 1...3 {
                    let response = try await client.get("/")
                    #expect(response.status == .ok)
                    #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "hello"))
                    #expect(response.connection?.id == 1)
                    #expect(response.connection?.requests == expected)
                    #expect(response.connection?.isReused == (expected > 1))
                }
            }
            #expect(server.connections.count == 1)
        }
    }
}

/// How a response ends, and what happens to its connection then.
@Suite("When a connection is idle again", .timeLimit(.minutes(1)))
struct ConnectionReturnTests {
    enum Shape: String, CaseIterable, Sendable {
        case whole, length, chunked, trailers

        var bytes: [String] {
            switch self {
            case .whole: ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"]
            case .length: ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "cd"]
            case .chunked: ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "2\r\ncd\r\n0\r\n\r\n"]
            case .trailers:
                ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n", "0\r\nX: y\r\n\r\n"]
            }
        }
    }

    @Test(
        "The connection is in the pool before the caller sees the body's end, so a sequential caller always reuses it",
        .tags(.KA1),
        arguments: Shape.allCases
    )
    func freeBeforeTheEnd(shape: Shape) async throws {
        try await withLoopbackServer { server in
            let next = Gate()
            server.onConnection { connection in
                while try await connection.readRequest() != nil {
                    for (index, bytes) in shape.bytes.enumerated() {
                        if index > 0 {
                            try await next.wait()
                            next.close()
                        }
                        try await connection.send(bytes)
                    }
                }
            }
            try await withServiceClient(server.baseURL) { client in
                for _ in 1...200 {
                    let response = try await client.get("/")
                    // After a response in one piece the connection is idle already.
                    #expect(client.pool.snapshot().idle == (shape == .whole ? 1 : 0))
                    next.open()
                    var text = ""
                    for try await chunk in response.body { text += String(buffer: chunk) }
                    #expect(client.pool.snapshot().idle == 1)
                    #expect(text == "abcd")
                    #expect(response.connection?.id == 1)
                }
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("A snapshot counts a dial in progress and the request that waits for it")
    func diallingCounted() async throws {
        try await withLoopbackServer(.unreachable) { server in
            try await withServiceClient(server.baseURL) { client in
                let task = Task { try await client.fetch("/") }
                try await eventually("the dial") { client.pool.snapshot().dialling == 1 }
                let snapshot = client.pool.snapshot()
                #expect(snapshot.waiting == 1)
                #expect(snapshot.opened == 0)
                #expect(snapshot.active == 0)
                #expect(snapshot.origins.map(\.dialling) == [1])
                #expect(snapshot.origins.map(\.waiting) == [1])
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                #expect(client.pool.snapshot().waiting == 0)
            }
        }
    }

    @Test(
        "A stray response that answers a request is noticed at the next one, and the connection is closed",
        .tags(.KA13)
    )
    func desync() async throws {
        try await withLoopbackServer { server in
            let sent = Gate()
            server.onConnection { connection in
                guard connection.number == 1 else { return try await connection.serveRequests() }
                _ = try await connection.readRequest()
                try await connection.reply(200, body: "first")
                _ = try await connection.readRequest()
                // The client cannot know that this does not answer the second request. The request's own answer shows
                // it.
                try await connection.reply(200, body: "stray")
                try await connection.reply(200, body: "second")
                sent.open()
                try await connection.waitForClose()
            }
            server.respond { .reply(200, body: $0.path) }
            try await withServiceClient(server.baseURL) { client in
                #expect(try await client.fetch("/first").text == "first")
                #expect(try await client.fetch("/second").text == "stray")
                try await sent.wait()
                let third = try await client.fetch(.post("/third", body: .text("x")))
                #expect(third.text == "/third")
                #expect(third.connectionID == 2)
                try await server.waitForOpenConnections(count: 1)
                let closed = client.pool.snapshot().closed
                #expect(closed == ["unsolicitedBytes": 1] || closed == ["leftoverBytes": 1], "\(closed)")
            }
            #expect(server.executions(of: "/third") == 1)
        }
    }
}
