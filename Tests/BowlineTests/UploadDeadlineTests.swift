import Bowline
import BowlineTesting
import NIOCore
import Testing

/// bodyIdle counts "between reads or writes": if the response began before the request ended, either one resets it.
@Suite("Deadlines of an upload that outlasts the beginning of its response", .timeLimit(.minutes(1)))
struct UploadDeadlineTests {
    private static let limit = Duration.seconds(30)

    private static func client(_ server: LoopbackServer, _ clock: TestClock) throws -> ServiceClient {
        try ServiceClient(baseURL: server.baseURL) {
            $0.useOnly(clock)
            $0.timeouts.bodyIdle = limit
        }
    }

    /// Answers before it has read the body, and ends the answer after the body's end.
    private static func answerEarly(_ server: LoopbackServer) {
        server.onConnection { connection in
            guard let head = try await connection.readRequestHead() else { return }
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nea")
            _ = try await connection.readBody(of: head)
            try await connection.send("rly")
            try await connection.serveRequests()
        }
    }

    /// Moves the clock and waits until every due timer has run.
    private static func advance(_ clock: TestClock, by duration: Duration) async throws {
        clock.advance(by: duration)
        try await eventually("no timer that is due") { (clock.nextDeadline ?? .distantFuture) > clock.now }
    }

    @Test("An upload that makes progress past bodyIdle keeps an early response alive", .tags(.TO4, .KA9))
    func uploadMoves() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            Self.answerEarly(server)
            let client = try Self.client(server, clock)
            let chunks = HandedOutChunks()
            let response = try await client.send(.post("/", body: .stream(chunks)))
            async let body = response.body.collect(upTo: 10)
            for round in 1...6 {
                try await Self.advance(clock, by: .seconds(20))
                chunks.give("x")
                // The chunk reaches the server after the client moved the deadline for it.
                try await eventually("a chunk") {
                    server.connections[0].bytesReceived >= server.requests[0].head.utf8.count + 6 * round
                }
            }
            try await Self.advance(clock, by: .seconds(20))
            chunks.hand.finish()
            #expect(try await body == ByteBuffer(string: "early"))
            #expect(server.requests[0].bodyText == "xxxxxx")
            try await eventually("the connection to be free") { client.pool.snapshot().idle == 1 }
            await client.shutdown()
        }
    }

    @Test("After the upload's end, bodyIdle counts from its last byte", .tags(.TO4))
    func countsFromTheUploadsEnd() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard let head = try await connection.readRequestHead() else { return }
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nea")
                _ = try await connection.readBody(of: head)
                try await connection.stall()
            }
            let client = try Self.client(server, clock)
            let chunks = HandedOutChunks()
            let response = try await client.send(.post("/", body: .stream(chunks)))
            let error = try await clock.failure {
                try await response.body.collect(upTo: 10)
            } once: {
                try await Self.advance(clock, by: .seconds(20))
                chunks.hand.finish()
                try await server.waitForRequests(count: 1)
            }
            #expect(error.code == .bodyIdleTimeout)
            #expect(error.phase == .receivingBody)
            #expect(error.progress == .responseStarted)
            #expect(try #require(error.elapsed) >= .seconds(50))
            // The client's loop notes the last byte in its own time, perhaps one clock step later.
            #expect(try #require(error.elapsed) <= .seconds(81))
            await client.shutdown()
        }
    }

    @Test(
        "If neither response nor upload moves, bodyIdle ends the request, counted from the last byte of either",
        .tags(.TO4))
    func nothingMoves() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            Self.answerEarly(server)
            let client = try Self.client(server, clock)
            let chunks = HandedOutChunks()
            let response = try await client.send(.post("/", body: .stream(chunks)))
            let error = try await clock.failure {
                try await response.body.collect(upTo: 10)
            } once: {
                try await Self.advance(clock, by: .seconds(20))
                chunks.give("x")
                try await eventually("the chunk") {
                    server.connections[0].bytesReceived >= server.requests[0].head.utf8.count + 6
                }
            }
            #expect(error.code == .bodyIdleTimeout)
            #expect(try #require(error.elapsed) >= .seconds(50))
            // The client's loop notes the last byte in its own time, perhaps one clock step later.
            #expect(try #require(error.elapsed) <= .seconds(81))
            try await eventually("the producer to be cancelled") { chunks.cancelled.isOpen }
            await client.shutdown()
        }
    }

    @Test("A large chunk that the peer takes bit by bit counts as an upload in progress", .tags(.TO4, .KA9))
    func largeChunkMoves() async throws {
        let clock = TestClock()
        let count = 8 << 20
        var options = LoopbackServer.Options.unixSocket
        options.receiveBufferSize = 16_384
        try await withLoopbackServer(options) { server in
            let mayRead = Gate()
            let taken = Guarded(0)
            server.onConnection { connection in
                guard try await connection.readRequestHead() != nil else { return }
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nea")
                var read = 0
                while read < count {
                    try await mayRead.wait()
                    mayRead.close()
                    // The last time, all the remaining bytes.
                    let wanted = min(1 << 20, count - read)
                    read += try await connection.read(atLeast: wanted).readableBytes
                    taken.withLock { $0 = read }
                }
                try await connection.send("rly")
                try await connection.stall()
            }
            let client = try Self.client(server, clock)
            let response = try await client.send(.post("/", body: .bytes(ByteBuffer(repeating: 0x61, count: count))))
            async let body = response.body.collect(upTo: 10)
            var before = 0
            while before < count {
                // The server reads ahead: the bytes of one round, or of two, may have left the client long before.
                try await Self.advance(clock, by: .seconds(10))
                mayRead.open()
                try await eventually("the server to read") { taken.withLock { $0 } > before }
                before = taken.withLock { $0 }
            }
            #expect(try await body == ByteBuffer(string: "early"))
            #expect(clock.now > MonotonicInstant(nanoseconds: 0).advanced(by: .seconds(60)))
            await client.shutdown()
        }
    }
}
