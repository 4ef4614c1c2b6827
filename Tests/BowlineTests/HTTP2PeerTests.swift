import Bowline
import BowlineTesting
import NIOCore
import Testing

/// The server is the test's own, frame by frame. Its compression table differs from the client's.
@Suite("HTTP/2 with peers that use unusual but legal behaviour, over sockets", .timeLimit(.minutes(1)))
struct HTTP2PeerTests {
    private static let tenant = HTTPField.Name("x-tenant")

    private func withPeer(
        _ script: @escaping @Sendable (LoopbackConnection) async throws -> Void,
        configure: @escaping (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                do {
                    try await script(connection)
                } catch {
                    // The client has gone; the test looks at what it got.
                }
            }
            try await withComparedHTTP2Client(server) {
                $0.retry.maximumAttempts = 1
                configure(&$0)
            } _: { client, _ in
                try await body(client, server)
            }
        }
    }

    private func get(_ path: String, tenant: String) throws -> ServiceRequest {
        var request = ServiceRequest.get(path)
        request.fields[try #require(Self.tenant)] = tenant
        return request
    }

    @Test(
        "A request with 24 KB of fields fails alone, with both sizes, without a retry; its neighbours are answered"
    )
    func largeHead() async throws {
        let seen = Guarded<[String]>([])
        try await withPeer(
            { connection in
                var peer = try await RawHTTP2Connection(connection, settings: [(3, 200), (6, 16_384)])
                var open: [Int] = []
                while true {
                    let (frame, fields) = try await peer.nextSection()
                    seen.withLock { $0.append("\(fields[":path"] ?? "") \(fields["x-tenant"] ?? "")") }
                    open.append(frame.stream)
                    guard fields[":path"] == "/finish" else { continue }
                    for stream in open { try await peer.reply(on: stream) }
                    open = []
                }
            }, configure: { $0.retry.maximumAttempts = 3 }
        ) { client, server in
            try await withThrowingTaskGroup(of: HTTPResponse.Status.self) { group in
                for number in 0..<20 {
                    let request = try get("/held/\(number)", tenant: "tenant \(number)")
                    group.addTask { try await client.fetch(request).response.status }
                }
                try await eventually("twenty have come") { seen.withLock { $0.count } == 20 }
                var large = try get("/large", tenant: "large")
                large.fields[.cookie] = String(repeating: "c", count: 24_000)
                let error = try await serviceError { [large] in _ = try await client.fetch(large) }
                #expect(error.code == .invalidRequest)
                #expect(error.progress == .neverSent)
                #expect(error.attempts == 1)
                #expect(error.message.contains("16384"))
                #expect(error.message.contains("SETTINGS_MAX_HEADER_LIST_SIZE"))
                #expect(try await client.fetch(try get("/finish", tenant: "last")).response.status == .ok)
                for try await status in group { #expect(status == .ok) }
            }
            #expect(
                seen.withLock { Set($0) } == Set((0..<20).map { "/held/\($0) tenant \($0)" } + ["/finish last"]))
            #expect(server.connections.count == 1)
        }
    }

    @Test("A request with 200 KB of fields arrives whole, and so do its neighbours, each with its own fields")
    func manyFrames() async throws {
        let seen = Guarded<[String: Int]>([:])
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection, settings: [(3, 200)])
            while true {
                let (frame, fields) = try await peer.nextSection()
                let size = fields.reduce(0) { $0 + ($1.name == "cookie" ? $1.value.utf8.count : 0) }
                seen.withLock { $0["\(fields[":path"] ?? "") \(fields["x-tenant"] ?? "")"] = size }
                try await peer.reply(on: frame.stream)
            }
        }) { client, server in
            try await withThrowingTaskGroup(of: HTTPResponse.Status.self) { group in
                for number in 0..<40 {
                    var request = try get("/\(number)", tenant: "tenant \(number)")
                    // Every fourth takes thirteen frames.
                    if number % 4 == 0 { request.fields[.cookie] = String(repeating: "|", count: 200_000 + number) }
                    group.addTask { [request] in try await client.fetch(request).response.status }
                }
                for try await status in group { #expect(status == .ok) }
            }
            let expected = (0..<40).map { ("/\($0) tenant \($0)", $0 % 4 == 0 ? 200_000 + $0 : 0) }
            #expect(seen.withLock { $0 } == Dictionary(uniqueKeysWithValues: expected))
            #expect(server.connections.count == 1)
        }
    }

    @Test("Trailers that are too large, behind a window, do not put fields into another request")
    func largeTrailers() async throws {
        let seen = Guarded<[String]>([])
        try await withPeer({ connection in
            // No window: the body waits, and the trailers wait behind it.
            var peer = try await RawHTTP2Connection(connection, settings: [(4, 0), (6, 16_384)])
            while true {
                let (frame, fields) = try await peer.nextSection()
                seen.withLock { $0.append("\(fields[":path"] ?? "") \(fields["x-tenant"] ?? "")") }
                if fields[":path"] == "/upload" {
                    try await peer.send(.windowUpdate(on: frame.stream, by: 100_000))
                } else {
                    try await peer.reply(on: frame.stream)
                }
            }
        }) { client, _ in
            let tenant = try #require(Self.tenant)
            _ = try await client.fetch(try get("/first", tenant: "alice"))
            let filler = try #require(HTTPField.Name("x-filler"))
            let body = RequestBody.text("body").trailers {
                [filler: String(repeating: "~", count: 20_000), tenant: "mallory"]
            }
            let error = try await serviceError { _ = try await client.fetch(.post("/upload", body: body)) }
            #expect(error.code == .invalidRequest)
            #expect(error.message.contains("trailers"))
            for number in 0..<5 {
                let request = try get("/bob/\(number)", tenant: "bob \(number)")
                #expect(try await client.fetch(request).response.status == .ok)
            }
            #expect(seen.withLock { $0.suffix(5) } == (0..<5).map { "/bob/\($0) bob \($0)" })
        }
    }

    @Test(
        "A request behind an upload that fills the socket moves to another connection at GOAWAY, or is cancelled",
        .tags(.H2a),
        arguments: [false, true])
    func goAwayBehindUpload(isCancelled: Bool) async throws {
        let isHeld = Gate()
        let mayFinish = Gate()
        let wasReset = Guarded(false)
        try await withPeer({ connection in
            // Unlimited windows: the socket stops the client.
            var peer = try await RawHTTP2Connection(connection, settings: [(4, 0x7FFF_FFFF)])
            try await peer.send(.windowUpdate(on: 0, by: 0x7000_0000))
            if connection.number == 1 {
                _ = try await peer.nextSection()
                try await connection.pauseReading()
                try await isHeld.wait()
                try await peer.send(.goAway(last: 0x7FFF_FFFF))
                try await mayFinish.wait()
                try await connection.resumeReading()
            }
            while true {
                let frame = try await peer.next()
                if frame.kind == .headers { _ = try peer.fields(of: frame) }
                if frame.kind == .reset { wasReset.withLock { $0 = true } }
                if frame.endsStream { try await peer.reply(on: frame.stream) }
            }
        }) { client, _ in
            let sent = Guarded(0)
            let upload = Task {
                var request = ServiceRequest.post(
                    "/upload", body: .bytes(ByteBuffer(repeating: 0x61, count: 16 << 20)))
                request.options.onUploadProgress = { progress in sent.withLock { $0 = Int(progress.bytes) } }
                return try await client.fetch(request).response.status
            }
            try await eventually("the upload has begun") { sent.withLock { $0 } > 0 }
            _ = try await settled("the socket") { sent.withLock { $0 } }
            let small = Task { try await client.fetch(.post("/small", body: .text("x"))).response }
            try await eventually("the request is leased") { client.pool.snapshot().streams == 2 }
            if isCancelled {
                small.cancel()
                await #expect(throws: CancellationError.self) { try await small.value }
                isHeld.open()
            } else {
                isHeld.open()
                #expect(try await small.value.connection?.id == 2)
            }
            mayFinish.open()
            #expect(try await upload.value == .ok)
            #expect(!wasReset.withLock { $0 }, "the peer never heard of the stream")
        }
    }

    @Test(
        "A POST that a peer refused after a 103 is not sent again, nor after GOAWAY",
        .tags(.H2a, .H2e),
        arguments: ["RST_STREAM", "GOAWAY"])
    func refusedBehindInformational(frame: String) async throws {
        let posts = Guarded(0)
        try await withPeer(
            { connection in
                var peer = try await RawHTTP2Connection(connection)
                while true {
                    let (head, _) = try await peer.nextSection()
                    posts.withLock { $0 += 1 }
                    try await peer.reply("103", on: head.stream, ends: false)
                    if frame == "GOAWAY" {
                        try await peer.send(.goAway(last: 0))
                    } else {
                        // REFUSED_STREAM.
                        try await peer.send(HTTP2WireFrame(.reset, on: head.stream, ByteBuffer(integer: UInt32(7))))
                    }
                }
            },
            configure: {
                $0.retry.maximumAttempts = 3
                $0.retry.baseDelay = .zero
            }
        ) { client, _ in
            let error = try await serviceError { _ = try await client.fetch(.post("/once", body: .text("x"))) }
            #expect(error.progress == .responseStarted, "\(error)")
            #expect(error.attempts == 1)
            #expect(error.resends == 0)
            #expect(posts.withLock { $0 } == 1)
        }
    }

    @Test(
        "bodyIdle ends a response's body on time, even if no other limit moves the clock",
        .tags(.TO4))
    func bodyIdleOnTime() async throws {
        let clock = TestClock()
        try await withPeer(
            { connection in
                var peer = try await RawHTTP2Connection(connection)
                while true {
                    let (head, _) = try await peer.nextSection()
                    try await peer.reply(on: head.stream, ends: false)
                }
            },
            configure: {
                $0.useOnly(clock)
                $0.http2.keepAliveInterval = nil
                $0.timeouts.bodyIdle = .milliseconds(100)
            }
        ) { client, _ in
            let response = try await client.get("/")
            let error = try await clock.failure { try await response.body.collect(upTo: 10) }
            #expect(error.code == .bodyIdleTimeout)
            #expect(error.elapsed == .milliseconds(100))
        }
    }

    @Test("A POST that is refused without a byte of response is sent again, and arrives", .tags(.H2e))
    func refusedWithoutBytes() async throws {
        let posts = Guarded(0)
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection)
            while true {
                let (head, _) = try await peer.nextSection()
                let number = posts.withLock { count -> Int in
                    count += 1
                    return count
                }
                if number == 1 {
                    try await peer.send(HTTP2WireFrame(.reset, on: head.stream, ByteBuffer(integer: UInt32(7))))
                } else {
                    try await peer.reply(on: head.stream)
                }
            }
        }) { client, _ in
            let response = try await client.fetch(.post("/once", body: .text("x"))).response
            #expect(response.status == .ok)
            #expect(response.attempts == 1)
            #expect(response.resends == 1)
            #expect(posts.withLock { $0 } == 2)
        }
    }

    @Test(
        "A response's fields may come in as many CONTINUATION frames as their size allows", .tags(.H2p),
        arguments: [1, 16, 1000])
    func continuations(size: Int) async throws {
        let value = String(repeating: "v", count: 3500 * min(size, 16))
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection)
            while true {
                let (frame, _) = try await peer.nextSection()
                var section = HTTP2WireField.section([.init(":status", "200"), .init("x-long", value)])
                var bytes = HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endStream, on: frame.stream).bytes
                while let piece = section.readSlice(length: min(size, section.readableBytes)), piece.readableBytes > 0 {
                    let flags = section.readableBytes == 0 ? HTTP2WireFrame.endHeaders : 0
                    bytes.writeImmutableBuffer(
                        HTTP2WireFrame(.continuation, flags: flags, on: frame.stream, piece).bytes)
                }
                try await connection.send(bytes)
            }
        }) { client, _ in
            for _ in 0..<3 {
                let response = try await client.fetch("/").response
                #expect(response.fields[try #require(HTTPField.Name("x-long"))] == value)
            }
        }
    }

    @Test(
        "A peer that closes within its first frame has not broken a rule: the next connection gets the POST, once",
        arguments: [0, 5, 9])
    func cutSettings(count: Int) async throws {
        let settings = ByteBuffer(bytes: [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100])
        try await withPeer(
            { connection in
                guard connection.number > 1 else {
                    _ = try await connection.read()
                    try await connection.send(try #require(settings.getSlice(at: 0, length: count)))
                    return
                }
                var peer = try await RawHTTP2Connection(connection)
                while true {
                    let (frame, _) = try await peer.nextSection()
                    try await peer.reply(on: frame.stream)
                }
            }, configure: { $0.retry.maximumAttempts = 2 }
        ) { client, server in
            let response = try await client.fetch(.post("/", body: .none)).response
            #expect(response.status == .ok)
            #expect(response.attempts == 2)
            #expect(server.rawRequests.count == 1)
            #expect(server.connections.count == 2)
        }
    }

    @Test("CONTINUATION frames that are endless or empty end the connection", .tags(.H2p), arguments: [0, 1])
    func continuationFlood(size: Int) async throws {
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection)
            let (frame, _) = try await peer.nextSection()
            var bytes = HTTP2WireFrame(.headers, on: frame.stream).bytes
            let piece = HTTP2WireFrame(.continuation, on: frame.stream, ByteBuffer(repeating: 0, count: size)).bytes
            for _ in 0..<100_000 { bytes.writeImmutableBuffer(piece) }
            try await connection.send(bytes)
            try await connection.waitForClose()
        }) { client, _ in
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .protocolViolation, "\(error)")
        }
    }

    @Test("A request's field that is not UTF-8 arrives byte for byte, and so does a trailer", arguments: [true, false])
    func bytesThatAreNotUTF8(isTrailer: Bool) async throws {
        let value: [UInt8] = [0x63, 0x61, 0x66, 0xE9]
        let seen = Guarded<[[UInt8]]>([])
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection)
            while true {
                let frame = try await peer.next()
                if frame.kind == .headers {
                    // Raw, because the Huffman code would make it longer.
                    seen.withLock { $0.append(Array(frame.payload.readableBytesView)) }
                    _ = try peer.fields(of: frame)
                }
                if frame.endsStream { try await peer.reply(on: frame.stream) }
            }
        }) { client, _ in
            let field = HTTPField(name: try #require(HTTPField.Name("x-name")), value: value)
            var request = ServiceRequest.get("/")
            if isTrailer {
                var trailers: HTTPFields = [:]
                trailers.append(field)
                request = .post("/", body: .text("x").trailers { [trailers] in trailers })
            } else {
                request.fields.append(field)
            }
            #expect(try await client.fetch(request).response.status == .ok)
            let section = try #require(seen.withLock { $0.last })
            let places = section.indices.dropLast(3).filter { Array(section[$0..<($0 + 4)]) == value }
            #expect(places.count == 1)
        }
    }

    @Test("A redirect whose Location is not UTF-8 is followed with the same bytes, percent-encoded, as over HTTP/1.1")
    func locationThatIsNotUTF8() async throws {
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection)
            while true {
                let (frame, fields) = try await peer.nextSection()
                guard fields[":path"] == "/from" else {
                    try await peer.reply(fields[":path"] == "/caf%E9" ? "200" : "404", on: frame.stream)
                    continue
                }
                var section = HTTP2WireField.section([.init(":status", "302")])
                section.writeBytes([0, 8] + Array("location".utf8) + [5, 0x2F, 0x63, 0x61, 0x66, 0xE9])
                let flags = HTTP2WireFrame.endHeaders | HTTP2WireFrame.endStream
                try await peer.send(HTTP2WireFrame(.headers, flags: flags, on: frame.stream, section))
            }
        }) { client, _ in
            let answer = try await client.fetch("/from")
            #expect(answer.response.status == .ok)
        }
    }

    @Test("A response's field that is not UTF-8 keeps its bytes")
    func receivedBytesThatAreNotUTF8() async throws {
        try await withPeer({ connection in
            var peer = try await RawHTTP2Connection(connection)
            while true {
                let (frame, _) = try await peer.nextSection()
                var section = HTTP2WireField.section([.init(":status", "200")])
                section.writeBytes([0, 1] + Array("x".utf8) + [4, 0x63, 0x61, 0x66, 0xE9])
                let flags = HTTP2WireFrame.endHeaders | HTTP2WireFrame.endStream
                try await peer.send(HTTP2WireFrame(.headers, flags: flags, on: frame.stream, section))
            }
        }) { client, _ in
            let response = try await client.fetch("/").response
            let name = try #require(HTTPField.Name("x"))
            let field = try #require(response.fields.first { $0.name == name })
            let bytes = field.withUnsafeBytesOfValue { Array($0) }
            #expect(bytes == [0x63, 0x61, 0x66, 0xE9])
        }
    }

    @Test("At the limit of one connection a silent peer costs one timeout, too")
    func silentAtLimit() async throws {
        let connections = Guarded(0)
        try await withPeer(
            { connection in
                let number = connections.withLock { count -> Int in
                    count += 1
                    return count
                }
                var peer = try await RawHTTP2Connection(connection)
                while true {
                    let (frame, _) = try await peer.nextSection()
                    try await peer.reply(on: frame.stream)
                    if number == 1 { return try await connection.stall() }
                }
            },
            configure: {
                $0.pool.maximumPerOrigin = 1
                $0.retry.maximumAttempts = 2
                $0.retry.baseDelay = .zero
                $0.timeouts.responseHead = .milliseconds(300)
                // The PING that checks the connection has 15 s.
                $0.timeouts.poolAcquire = .seconds(2)
            }
        ) { client, server in
            #expect(try await client.fetch("/warm").response.status == .ok)
            let retried = try await client.fetch("/retried").response
            #expect(retried.status == .ok)
            #expect(retried.attempts == 2)
            #expect(try await client.fetch("/after").response.attempts == 1)
            #expect(server.connections.count == 2)
            #expect(client.pool.snapshot().closed["keepAliveFailed"] == nil)
        }
    }
}
