import Bowline
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Bodies in chunks of one byte", .timeLimit(.minutes(2)), .serialized)
struct TinyChunkTests {
    /// The byte at an index of the bodies in these tests.
    private static func byte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 7 &+ index >> 8) }

    private static func isBody(_ bytes: ByteBuffer, of count: Int) -> Bool {
        bytes.readableBytes == count && bytes.readableBytesView.enumerated().allSatisfy { $1 == byte($0) }
    }

    @Test(
        "Over HTTP/2 a full window of one-byte DATA frames takes little more memory than the window, and is read unchanged"
    )
    func http2Download() async throws {
        // Thread sanitizer makes each frame cost about half a millisecond.
        #if THREAD_SANITIZER
            let count = 65_536
        #else
            let count = 131_072
        #endif
        try await withLoopbackServer { server in
            let isSent = Gate()
            server.onConnection { connection in
                var peer = try await FramePeer(connection)
                let head = try await peer.nextHead()
                try await peer.reply(200, on: head.stream, ends: false)
                for start in stride(from: 0, to: count, by: 1024) {
                    var frames = ByteBuffer()
                    for index in start..<(start + 1024) {
                        let byte = ByteBuffer(integer: Self.byte(index))
                        frames.writeImmutableBuffer(
                            FramePeer.frame(
                                FramePeer.data, flags: index == count - 1 ? 1 : 0, on: head.stream, payload: byte))
                    }
                    try await connection.send(frames)
                }
                isSent.open()
                try await connection.stall()
            }
            try await withComparedHTTP2Client(server) {
                $0.http2.streamWindow = count
            } _: { client, _ in
                var response: ServiceResponse?
                let growth = try await ProcessMemory.peakGrowth {
                    response = try await client.get("/")
                    try await isSent.wait()
                    // The last bytes have been received when the peer's window is used up and the body is whole.
                    try await eventually("the end of the stream", within: .seconds(60)) {
                        client.pool.snapshot().idle == 1
                    }
                }
                // Each byte in a buffer of its own would take a hundred times as much.
                if let growth { #expect(growth < 6 << 20, "\(growth >> 10) KiB") }
                let body = try await #require(response).body.collect(upTo: count)
                #expect(Self.isBody(body, of: count))
            }
            #expect(server.rawRequests.count == 1)
        }
    }

    @Test("Over HTTP/1.1 a slow reader gets a chunked body in chunks of one byte unchanged")
    func http1Download() async throws {
        let count = 40_000
        try await withLoopbackServer { server in
            let isWaiting = Gate()
            server.onConnection { connection in
                _ = try await connection.readRequest()
                try await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for start in stride(from: 0, to: count, by: 1000) {
                    var chunks = ByteBuffer()
                    for index in start..<(start + 1000) {
                        chunks.writeString("1\r\n")
                        chunks.writeInteger(Self.byte(index))
                        chunks.writeString("\r\n")
                    }
                    if start == 20_000 { isWaiting.open() }
                    try await connection.send(chunks)
                }
                try await connection.send("0\r\nX-End: yes\r\n\r\n")
                try await connection.stall()
            }
            try await withServiceClient(server.baseURL) { client in
                let response = try await client.get("/")
                try await isWaiting.wait()
                // The number of chunks that are joined depends on the reader's delay: the state machine's tests count
                // them.
                var body = ByteBuffer()
                for try await var chunk in response.body { body.writeBuffer(&chunk) }
                #expect(Self.isBody(body, of: count))
                let end = try #require(HTTPField.Name("X-End"))
                #expect(response.body.trailers?.httpFields[end] == "yes")
            }
        }
    }

    /// The ways in which a body of one-byte chunks is sent.
    enum Upload: String, CaseIterable, Sendable {
        case replayable, replayableOfKnownLength, stream, streamOfKnownLength

        func body(of count: Int) -> RequestBody {
            switch self {
            case .replayable: .replayable { Bytes(count: count) }
            case .replayableOfKnownLength: .replayable(length: count) { Bytes(count: count) }
            case .stream: .stream(Bytes(count: count))
            case .streamOfKnownLength: .stream(Bytes(count: count), length: count)
            }
        }
    }

    struct Bytes: AsyncSequence, Sendable {
        let count: Int

        func makeAsyncIterator() -> Iterator { Iterator(count: count) }

        struct Iterator: AsyncIteratorProtocol {
            let count: Int
            var index = 0

            mutating func next() async -> ByteBuffer? {
                guard index < count else { return nil }
                defer { index += 1 }
                return ByteBuffer(integer: TinyChunkTests.byte(index))
            }
        }
    }

    @Test(
        "A request body in chunks of one byte arrives unchanged, over both protocols", arguments: Upload.allCases,
        [false, true])
    func upload(upload: Upload, overHTTP2: Bool) async throws {
        let count = 2500
        try await withLoopbackServer(overHTTP2 ? .http2 : .init()) { server in
            server.respond { _ in .reply(200) }
            let sent = SentFields()
            let body = upload.body(of: count)
            if body.isStream { sent.note(body, yields: ByteBuffer(bytes: (0..<count).map(Self.byte))) }
            try await withServiceClient(server.baseURL) {
                if overHTTP2 { $0.http2.negotiation = .http2Only }
                $0.middleware.perAttempt = [sent]
            } _: { client in
                let response = try await client.put("up", body: body)
                #expect(response.status == .ok)
            }
            let request = try #require(server.requests.first)
            #expect(Self.isBody(request.body, of: count))
            await sent.compare(with: server.requests)
        }
    }

    @Test("A one-shot body in chunks of one byte is sent again unchanged after a dead connection took it")
    func resent() async throws {
        let count = 2000
        try await withLoopbackServer { server in
            server.route(.get, "/warm", always: .reply(200))
            server.respond { $0.number > 1 ? .close : .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.get("warm").text()
                let response = try await client.put("up", body: .stream(Bytes(count: count)))
                #expect(response.resends == 1)
            }
            let sent = server.requests.filter { $0.path == "/up" }
            #expect(sent.count == 2)
            for request in sent { #expect(Self.isBody(request.body, of: count)) }
        }
    }

    @Test("Over HTTP/2 the client does not read a body of one-byte chunks faster than the peer takes it")
    func http2UploadWaits() async throws {
        // Each chunk costs the loop a turn. On a loaded machine, under thread sanitizer, 64 KiB of chunks (the limit's
        // default) took longer than `settled` waits.
        let (window, limit) = (1000, 8192)
        try await withLoopbackServer { server in
            server.onConnection { connection in
                var peer = try await FramePeer(connection, window: UInt32(window))
                // Reads on and never gives more room than the window.
                while true { _ = try await peer.nextHead() }
            }
            try await withComparedHTTP2Client(server) {
                $0.connection.writeBufferLimit = limit
                $0.timeouts.bodyIdle = nil
            } _: { client, _ in
                let chunks = CountedChunks(of: 1)
                let task = Task { try await client.post("/", body: .replayable { chunks }) }
                // True on the slowest machine. Small chunks are joined: in buffers of their own, fewer than 100 would
                // wait.
                try await eventually("what fits is taken", within: .seconds(60)) {
                    chunks.bytesTaken >= window + limit / 2 && server.rawRequests.first?.bodyLength == window
                }
                let taken = try await settled("the chunks taken", within: .seconds(30)) { chunks.bytesTaken }
                #expect(taken <= window + limit + 1)
                task.cancel()
                _ = await task.result
            }
            #expect(server.rawRequests.map(\.bodyLength) == [window])
        }
    }

    @Test("Over HTTP/1.1 every 256th small write waits until the kernel accepts it; large ones are counted in bytes")
    func http1UploadWaits() {
        var body = HTTP1OutboundBody<Void>()
        let waits = (1...1000).filter { _ in body.beginWrite(1) == .needed }
        #expect(waits == [256, 512, 768])
        let largeWaits = (1...1000).filter { _ in body.beginWrite(1025) == .needed }
        #expect(largeWaits.isEmpty)
    }
}
