import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import Synchronization
import Testing

@Suite("Request bodies", .timeLimit(.minutes(1)))
struct RequestBodyTests {
    private struct Broken: Error {}

    /// Chunks, some of them empty, and then perhaps an error.
    private static func chunks(_ texts: [String], failing: Bool = false) -> AsyncThrowingStream<ByteBuffer, any Error> {
        AsyncThrowingStream { continuation in
            for text in texts { continuation.yield(ByteBuffer(string: text)) }
            continuation.finish(throwing: failing ? Broken() : nil)
        }
    }

    static let kinds = [
        "bytes", "buffer", "text", "stream", "stream with length", "replayable", "replayable with length",
    ]

    private static func body(_ kind: String) -> RequestBody {
        let texts = ["", "hel", "", "", "lo", ""]
        return switch kind {
        case "bytes": .bytes(Array("hello".utf8))
        case "buffer": .bytes(ByteBuffer(string: "hello"))
        case "text": .text("hello")
        case "stream": .stream(chunks(texts))
        case "stream with length": .stream(chunks(texts), length: 5)
        case "replayable": .replayable { chunks(texts) }
        default: .replayable(length: 5) { chunks(texts) }
        }
    }

    @Test("A body arrives unchanged, without empty chunks, and the connection is reused", arguments: kinds)
    func bodiesArrive(kind: String) async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            try await withServiceClient(server.baseURL) { client in
                for _ in 1...2 {
                    let fetched = try await client.fetch(.post("/", body: Self.body(kind)))
                    #expect(fetched.text == "hello")
                }
            }
            #expect(server.connections.count == 1)
            #expect(server.problems.isEmpty)
        }
    }

    @Test("Bytes beyond the first segment with the head arrive whole", arguments: [65_535, 65_536, 65_537, 1 << 20])
    func largeBytes(count: Int) async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: "\($0.bodyLength)") }
            try await withServiceClient(server.baseURL) { client in
                let bytes = ByteBuffer(repeating: 0x62, count: count)
                let bodies: [RequestBody] = [
                    .bytes(bytes), .stream(Self.single(bytes)), .stream(Self.single(bytes), length: count),
                ]
                for body in bodies {
                    let fetched = try await client.fetch(.put("/", body: body))
                    #expect(fetched.text == "\(count)")
                }
            }
            #expect(server.requests.allSatisfy { $0.body.readableBytesView.allSatisfy { $0 == 0x62 } })
        }
    }

    private static func single(_ buffer: ByteBuffer) -> AsyncThrowingStream<ByteBuffer, any Error> {
        AsyncThrowingStream { continuation in
            continuation.yield(buffer)
            continuation.finish()
        }
    }

    @Test("A chunked body's trailers are made after it was sent; a response's trailers are there at its end")
    func trailersBothWays() async throws {
        try await withLoopbackServer { server in
            let name = try #require(HTTPField.Name("X-Digest"))
            server.respond { _ in .reply(200, body: "ok", framing: .chunks(of: 1), trailers: [name: "def"]) }
            try await withServiceClient(server.baseURL) { client in
                let chunks = CountedChunks(of: 4, limit: 3)
                let body = RequestBody.stream(chunks).trailers { [name: "\(chunks.bytesTaken)"] }
                let fetched = try await client.fetch(.post("/", body: body))
                #expect(server.requests.first?.trailers == [name: "12"])
                #expect(fetched.response.body.trailers?.httpFields == [name: "def"])
                for body in [RequestBody.none, .text("x")] {
                    _ = try await client.fetch(.post("/", body: body.trailers { [name: "t"] }))
                }
                #expect(server.requests.map(\.trailers) == [[name: "12"], [name: "t"], [name: "t"]])
                #expect(server.requests.map(\.bodyLength) == [12, 0, 1])
            }
            #expect(server.connections.count == 1)
        }
    }

    /// Sends a body that cannot be completed. The server must not see a complete request.
    private func expectIncomplete(
        _ code: ServiceError.Code, _ body: RequestBody, isChunked: Bool,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                Issue.record("the server saw a complete request", sourceLocation: sourceLocation)
                return .reply(200)
            }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError(
                    { _ = try await client.fetch(.put("/", body: body)) }, sourceLocation: sourceLocation)
                #expect(error.code == code, sourceLocation: sourceLocation)
                #expect(error.phase == .sending, sourceLocation: sourceLocation)
                #expect(error.progress != .responseStarted, sourceLocation: sourceLocation)
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().active == 0, sourceLocation: sourceLocation)
            }
            #expect(server.requests.allSatisfy { !$0.isComplete }, sourceLocation: sourceLocation)
            #expect(server.executions(of: "/") <= 1, sourceLocation: sourceLocation)
        }
    }

    @Test(
        "A body that is not as long as declared fails and the server never sees a complete request", .tags(.H1e),
        arguments: [
            (["abc"], 4), (["abc"], 2), (["abc"], 0), (["ab", "c"], 2), (["abc", ""], 4), ([], 1),
            (["a", "b", "c"], 1),
            ([String(repeating: "x", count: 200_000)], 199_999),
            ([String(repeating: "x", count: 200_000), "y"], 200_000),
        ])
    func wrongLength(texts: [String], length: Int) async throws {
        try await expectIncomplete(
            .requestBodyLengthMismatch, .stream(Self.chunks(texts), length: length), isChunked: false
        )
        try await expectIncomplete(
            .requestBodyLengthMismatch, .replayable(length: length) { Self.chunks(texts) }, isChunked: false
        )
    }

    @Test(
        "A sequence that throws fails the request with its error and the server never sees a complete one",
        arguments: [
            [], ["abc"], ["abc", "def"],
        ])
    func throwingSequence(texts: [String]) async throws {
        let length = texts.joined().utf8.count
        try await expectIncomplete(.requestBodyFailed, .stream(Self.chunks(texts, failing: true)), isChunked: true)
        try await expectIncomplete(
            .requestBodyFailed, .stream(Self.chunks(texts, failing: true), length: length), isChunked: false
        )
        try await expectIncomplete(
            .requestBodyFailed, .replayable { Self.chunks(texts, failing: true) }, isChunked: true
        )
        try await expectIncomplete(
            .requestBodyFailed, .replayable { () -> CountedChunks in throw Broken() }, isChunked: true)
        try await expectIncomplete(
            .requestBodyFailed, .stream(Self.chunks(texts)).trailers { throw Broken() }, isChunked: true
        )
    }

    @Test("The error of a sequence that throws is the underlying error")
    func underlyingError() async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                let body = RequestBody.stream(Self.chunks(["a"], failing: true))
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: body)) }
                #expect(error.underlying is Broken)
            }
        }
    }

    @Test("A declared length below zero is refused before a connection is made")
    func negativeLength() async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                let body = RequestBody.stream(Self.chunks(["a"]), length: -1)
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: body)) }
                #expect(error.code == .invalidRequest)
                #expect(error.message.contains("body.length"))
            }
            #expect(server.connections.isEmpty)
        }
    }

    @Test("A stream that was sent cannot be sent by another request")
    func streamIsSentOnce() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            try await withServiceClient(server.baseURL) { client in
                let body = RequestBody.stream(Self.chunks(["once"]))
                #expect(try await client.fetch(.post("/", body: body)).text == "once")
                #expect(!body.isReplayable)
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: body)) }
                #expect(error.code == .requestBodyConsumed)
            }
            #expect(server.requests.filter(\.isComplete).count == 1)
        }
    }

    @Test("A stream of a request that was never sent can be sent by another request")
    func unsentStream() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            try await withServiceClient(server.baseURL) {
                $0.retry = .never
            } _: { client in
                let body = RequestBody.stream(Self.chunks(["once"]))
                let error = try await serviceError {
                    _ = try await client.fetch(.post("http://127.0.0.1:1/", body: body))
                }
                #expect(error.progress == .neverSent)
                #expect(body.isReplayable)
                #expect(try await client.fetch(.post("/", body: body)).text == "once")
                #expect(!body.isReplayable)
                let cancelled = RequestBody.stream(Self.chunks(["once"]))
                let task = Task { try await client.fetch(.post("/", body: cancelled)) }
                task.cancel()
                _ = await task.result
                let second = try await serviceError { _ = try await client.fetch(.post("/", body: cancelled)) }
                #expect(second.code == .requestBodyConsumed)
            }
            #expect(server.requests.first?.bodyText == "once")
        }
    }

    @Test(
        "Cancelling during an upload cancels the producer and closes the connection", .tags(.CA7),
        arguments: [true, false])
    func cancellingCancelsTheProducer(isStream: Bool) async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                let chunks = HandedOutChunks()
                let task = Task {
                    try await client.fetch(.post("/", body: isStream ? .stream(chunks) : .replayable { chunks }))
                }
                chunks.give("first")
                try await eventually("the first chunk") {
                    server.requests.first != nil
                        && server.connections[0].bytesReceived > server.requests[0].head.utf8.count
                }
                task.cancel()
                await #expect(throws: CancellationError.self) { _ = try await task.value }
                try await eventually("the producer to be cancelled") { chunks.cancelled.isOpen }
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().active == 0)
            }
            #expect(server.requests.allSatisfy { !$0.isComplete })
        }
    }

    @Test("An upload's producer is cancelled when the connection ends")
    func closeCancelsTheProducer() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                try await connection.reset()
            }
            try await withServiceClient(server.baseURL) { client in
                let chunks = HandedOutChunks()
                chunks.give("first")
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: .stream(chunks))) }
                #expect(error.code == .connectionClosed)
                #expect(error.progress == .ambiguous)
                try await eventually("the producer to be cancelled") { chunks.cancelled.isOpen }
            }
        }
    }

    @Test("The producer sees the task-local values of the caller")
    func taskLocals() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            try await withServiceClient(server.baseURL) { client in
                let body = RequestBody.replayable { Self.chunks([Self.name]) }
                let fetched = try await Self.$name.withValue("mine") { try await client.fetch(.post("/", body: body)) }
                #expect(fetched.text == "mine")
            }
        }
    }

    @TaskLocal static var name = "none"
}
