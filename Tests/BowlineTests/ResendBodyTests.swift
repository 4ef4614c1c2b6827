import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Which bodies can be sent again, always from their first byte.
@Suite("Resends of bodies", .timeLimit(.minutes(1)))
struct ResendBodyTests {
    @Test("Bytes are sent again from the first byte", .tags(.RT5), arguments: [0, 7, 65_536, 300_000])
    func bytes(count: Int) async throws {
        let content = Self.content(count)
        try await expectResent(.bytes(content), content)
    }

    @Test("A factory's body is made anew, with the same bytes and length", .tags(.RT5), arguments: [true, false])
    func factory(hasLength: Bool) async throws {
        let content = Self.content(200_000)
        let made = Guarded(0)
        let body = RequestBody.replayable(length: hasLength ? content.readableBytes : nil) {
            made.withLock { $0 += 1 }
            return GatedChunks(first: Self.chunks(content), gate: Gate(isOpen: true), then: [])
        }
        try await expectResent(body, content)
        #expect(made.withLock { $0 } == 2)
    }

    @Test(
        "A one-shot stream's first 64 KiB are kept, and sent again", .tags(.RT5),
        arguments: [true, false])
    func keptStream(hasLength: Bool) async throws {
        let content = Self.content(65_536)
        let chunks = GatedChunks(first: Self.chunks(content), gate: Gate(isOpen: true), then: [])
        try await expectResent(.stream(chunks, length: hasLength ? content.readableBytes : nil), content)
    }

    @Test("A one-shot stream of more than 64 KiB is not sent again, although PUT is idempotent", .tags(.RT5))
    func longStream() async throws {
        let content = Self.content(65_537)
        let chunks = GatedChunks(first: Self.chunks(content), gate: Gate(isOpen: true), then: [])
        try await expectNotResent(.stream(chunks), method: "PUT")
    }

    @Test(
        "replayLimit is the number of a stream's bytes that are kept", .tags(.RT5),
        arguments: [(10, true), (11, false)])
    func replayLimit(count: Int, isResent: Bool) async throws {
        let content = Self.content(count)
        let body = RequestBody.stream(GatedChunks(first: [content], gate: Gate(isOpen: true), then: []))
        if isResent {
            try await expectResent(body, content) { $0.connection.replayLimit = 10 }
        } else {
            try await expectNotResent(body, method: "PUT") { $0.connection.replayLimit = 10 }
        }
    }

    @Test("The stream of a POST is not sent again, short or not", .tags(.RT5))
    func streamOfPOST() async throws {
        let chunks = GatedChunks(first: [ByteBuffer(string: "abc")], gate: Gate(isOpen: true), then: [])
        try await expectNotResent(.stream(chunks), method: "POST")
    }

    @Test("A one-shot stream that was not asked for a chunk moves with its request, POST or not", .tags(.RT5))
    func untouchedStream() async throws {
        let content = Self.content(100_000)
        try await withOneRequestServer(.close) { client, server, death in
            for number in 1...20 {
                let chunks = GatedChunks(first: Self.chunks(content), gate: Gate(isOpen: true), then: [])
                let fetched = try await client.fetch(.post("/\(number)", body: .stream(chunks)))
                #expect(fetched.text == String(buffer: content))
                #expect(server.executions(of: "/\(number)") == 1)
                try await death(number)
            }
        }
    }

    @Test("When the connection dies in the middle of an upload, bytes go again from the first", .tags(.RT5))
    func deathDuringUpload() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                while let head = try await connection.readRequestHead() {
                    if head.path == "/victim", connection.number == 1 { return try await connection.reset() }
                    let request = try await connection.readBody(of: head)
                    try await connection.reply(200, body: "\(request.bodyLength)")
                }
            }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.fetch("/first")
                let content = Self.content(2_000_000)
                let fetched = try await client.fetch(
                    ServiceRequest(method: .put, "/victim", body: .bytes(content))
                )
                #expect(fetched.text == "2000000")
                #expect(fetched.response.resends == 1)
            }
        }
    }

    @Test(
        "A short stream whose connection dies in the middle is sent again, with the chunks that come only then",
        .tags(.RT5))
    func deathDuringShortStream() async throws {
        try await withDeathInBody(after: 30_000) { client, server, isDead in
            let chunks = HandedOutChunks()
            chunks.give(String(repeating: "a", count: 30_000))
            async let fetched = client.fetch(.put("/victim", body: .stream(chunks)))
            try await isDead.wait()
            chunks.give(String(repeating: "b", count: 30_000))
            chunks.hand.finish()
            let response = try await fetched
            #expect(response.text == "60000")
            #expect(response.response.resends == 1)
            let resent = try #require(server.requests.last { $0.path == "/victim" })
            #expect(resent.bodyText.hasPrefix("aaa"))
            #expect(resent.bodyText.hasSuffix("bbb"))
        }
    }

    @Test("A long stream whose connection dies in the middle is committed: PUT fails, and is sent once", .tags(.RT5))
    func deathDuringLongStream() async throws {
        try await withDeathInBody(after: 70_000) { client, server, _ in
            let chunks = HandedOutChunks()
            for _ in 0..<7 { chunks.give(String(repeating: "a", count: 10_000)) }
            let error = try await serviceError { _ = try await client.fetch(.put("/victim", body: .stream(chunks))) }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .ambiguous)
            #expect(server.executions(of: "/victim") == 1)
            try await eventually("the producer to be cancelled") { chunks.cancelled.isOpen }
        }
    }

    @Test("A body says whether it can be sent again: bytes and factories always, a stream up to 64 KiB")
    func isReplayable() async throws {
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: "\(request.bodyLength)") }
            try await withServiceClient(server.baseURL) { client in
                let bytes = RequestBody.text("x")
                let factory = RequestBody.replayable { CountedChunks(of: 1000, limit: 100) }
                for body in [bytes, factory] {
                    for _ in 1...2 {
                        #expect(body.isReplayable)
                        _ = try await client.fetch(.put("/", body: body))
                    }
                    #expect(body.isReplayable)
                }
                for (count, isKept) in [(65_536, true), (65_537, false)] {
                    let chunks = HandedOutChunks()
                    let body = RequestBody.stream(chunks)
                    #expect(body.isReplayable)
                    let path = "/\(count)"
                    let received = server.connections[0].bytesReceived
                    async let fetched = client.fetch(.put(path, body: body))
                    chunks.give(String(repeating: "a", count: count))
                    try await eventually("the chunk") {
                        // Its last chunk follows the head: the whole stream has been read.
                        server.connections.contains { $0.end == nil && $0.bytesReceived > received + count }
                    }
                    #expect(body.isReplayable == isKept)
                    chunks.hand.finish()
                    #expect(try await fetched.text == "\(count)")
                    #expect(!body.isReplayable)
                }
            }
        }
    }

    @Test("A response commits a stream, however short, and does not fail the request")
    func committedByResponse() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard let head = try await connection.readRequestHead() else { return }
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
                let request = try await connection.readBody(of: head)
                try await connection.send(request.bodyText == "late" ? "k" : "!")
            }
            try await withServiceClient(server.baseURL) { client in
                let chunks = HandedOutChunks()
                let body = RequestBody.stream(chunks)
                let response = try await client.send(.put("/", body: body))
                #expect(!body.isReplayable)
                chunks.give("late")
                chunks.hand.finish()
                #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "ok"))
                let error = try await serviceError { _ = try await client.send(.put("/", body: body)) }
                #expect(error.code == .requestBodyConsumed)
                #expect(error.progress == .neverSent)
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("A committed body does not fail its request: a long stream on a healthy connection arrives whole")
    func committed() async throws {
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: "\(request.bodyLength)") }
            try await withServiceClient(server.baseURL) { client in
                let content = Self.content(1_000_000)
                let chunks = GatedChunks(first: Self.chunks(content), gate: Gate(isOpen: true), then: [])
                let fetched = try await client.fetch(.post("/", body: .stream(chunks)))
                #expect(fetched.text == "1000000")
            }
        }
    }

    /// A client whose only connection was used once, and is reset after a number of bytes of `/victim`'s body.
    private func withDeathInBody(
        after count: Int, _ body: (ServiceClient, LoopbackServer, Gate) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            let isDead = Gate()
            server.onConnection { connection in
                while let head = try await connection.readRequestHead() {
                    if head.path == "/victim", connection.number == 1 {
                        _ = try await connection.read(atLeast: count)
                        try await connection.reset()
                        isDead.open()
                        return
                    }
                    let request = try await connection.readBody(of: head)
                    try await connection.reply(200, body: "\(request.bodyLength)")
                }
            }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.fetch("/first")
                try await body(client, server, isDead)
            }
        }
    }

    private func expectResent(
        _ body: RequestBody, _ content: ByteBuffer,
        configure: (inout ClientConfiguration) throws -> Void = { _ in }
    ) async throws {
        try await withDyingServer(.close, configure: configure) { client, server in
            let request = ServiceRequest(method: .put, "/victim", body: body)
            let response = try await client.send(request)
            #expect(response.status == .ok)
            #expect(response.resends == 1)
            let received = server.requests.filter { $0.path == "/victim" }
            #expect(received.count == 2)
            for request in received {
                #expect(request.isComplete)
                #expect(request.body == content)
            }
            #expect(Set(received.map { $0[.contentLength] }).count == 1)
        }
    }

    private func expectNotResent(
        _ body: RequestBody, method: String, configure: (inout ClientConfiguration) throws -> Void = { _ in }
    ) async throws {
        try await withDyingServer(.close, configure: configure) { client, server in
            var request = ResendTests.request(method, "/victim")
            request.body = body
            let sent = request
            let error = try await serviceError { _ = try await client.send(sent) }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .ambiguous)
            #expect(server.executions(of: "/victim") == 1)
        }
    }

    /// A text of so many bytes, different at each place.
    private static func content(_ count: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        var number = 0
        while buffer.readableBytes < count {
            buffer.writeString("\(number) ")
            number += 1
        }
        return buffer.getSlice(at: 0, length: count) ?? buffer
    }

    private static func chunks(_ content: ByteBuffer) -> [ByteBuffer] {
        var rest = content
        var chunks: [ByteBuffer] = []
        while rest.readableBytes > 0, let chunk = rest.readSlice(length: min(10_000, rest.readableBytes)) {
            chunks.append(chunk)
        }
        return chunks
    }
}
