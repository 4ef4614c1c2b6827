import Bowline
import BowlineTesting
import NIOCore
import Synchronization
import Testing

@Suite("Response bodies", .timeLimit(.minutes(1)))
struct ResponseBodyTests {
    /// Where a body is when it is read: it came with its head, or it is still arriving.
    enum Arrival: String, CaseIterable, Sendable {
        case whole, streamed
    }

    /// Answers every request. A streamed body goes on when the gate is opened, after the head was delivered.
    private static func serve(_ arrival: Arrival, _ server: LoopbackServer) -> Gate {
        let rest = Gate()
        server.onConnection { connection in
            while try await connection.readRequest() != nil {
                try await connection.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello" + (arrival == .whole ? "world" : "")
                )
                guard arrival == .streamed else { continue }
                try await rest.wait()
                rest.close()
                try await connection.send("world")
            }
        }
        return rest
    }

    @Test("A second reading of a body fails with bodyAlreadyConsumed", arguments: Arrival.allCases)
    func readTwice(arrival: Arrival) async throws {
        try await withLoopbackServer { server in
            let rest = Self.serve(arrival, server)
            try await withServiceClient(server.baseURL) { client in
                let response = try await client.get("/")
                rest.open()
                #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "helloworld"))
                let collected = try await serviceError { _ = try await response.body.collect(upTo: 10) }
                #expect(collected.code == .bodyAlreadyConsumed)
                let iterated = try await serviceError { for try await _ in response.body {} }
                #expect(iterated.code == .bodyAlreadyConsumed)
                #expect(try await client.get("/").connection?.isReused == true)
                rest.open()
            }
        }
    }

    @Test(
        "The received part of a body that is cut off is read before the error, however late", arguments: [false, true])
    func cutOff(isReset: Bool) async throws {
        try await withLoopbackServer { server in
            let half = ScriptedReply.bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            server.respond { _ in isReset ? half.thenReset() : half.thenClose() }
            try await withServiceClient(server.baseURL) { client in
                let response: ServiceResponse
                do {
                    response = try await client.get("/")
                } catch let error as ServiceError where isReset {
                    // A reset may overtake bytes that were sent before it.
                    #expect(error.code == .connectionClosed)
                    return
                }
                try await eventually("the connection to be closed") { !client.pool.snapshot().closed.isEmpty }
                var chunks = response.body.makeAsyncIterator()
                let first = try await chunks.next()
                #expect(first == ByteBuffer(string: "hello"))
                let error = try await serviceError { _ = try await chunks.next() }
                #expect(error.code == .incompleteBody)
            }
        }
    }

    @Test(
        "One of several concurrent readers gets the body, and the others get bodyAlreadyConsumed",
        arguments: Arrival.allCases
    )
    func readConcurrently(arrival: Arrival) async throws {
        try await withLoopbackServer { server in
            let rest = Self.serve(arrival, server)
            try await withServiceClient(server.baseURL) { client in
                for _ in 1...5 {
                    let response = try await client.get("/")
                    rest.open()
                    let outcomes = await withTaskGroup(of: String.self) { group in
                        for _ in 0..<8 {
                            group.addTask {
                                do {
                                    return String(buffer: try await response.body.collect(upTo: 10))
                                } catch {
                                    return (error as? ServiceError)?.code.rawValue ?? "\(error)"
                                }
                            }
                        }
                        return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
                    }
                    #expect(outcomes == ["helloworld": 1, "bodyAlreadyConsumed": 7])
                }
            }
        }
    }

    @Test(
        "collect(upTo:) takes a body of exactly that size, and refuses one byte more with a complete error",
        arguments: [
            ScriptedResponse.Framing.length, .chunks(of: 1), .chunks(of: 400), .untilClose,
        ])
    func collectLimit(framing: ScriptedResponse.Framing) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: String(repeating: "a", count: 1000), framing: framing) }
            try await withServiceClient(server.baseURL) { client in
                let fits = try await client.get("/").body.collect(upTo: 1000)
                #expect(fits.readableBytes == 1000)
                for limit in [999, 1, 0] {
                    let error = try await serviceError { _ = try await client.get("/").body.collect(upTo: limit) }
                    #expect(error.code == .bodyTooLarge)
                    #expect(error.progress == .responseStarted)
                    #expect(error.phase == .receivingBody)
                    #expect(error.origin == server.baseURL)
                    #expect(error.attempts == 1)
                    #expect(try #require(error.elapsed) > .zero)
                    #expect(error.connectionWasReused != nil)
                }
                // Drained or closed, never half-read.
                try await eventually("no connection in use") { client.pool.snapshot().active == 0 }
                let again = try await client.get("/").body.collect(upTo: 1000)
                #expect(again.readableBytes == 1000)
            }
            #expect(server.problems.isEmpty)
        }
    }

    @Test("A body too large to collect that is still arriving closes the connection and is not read on")
    func tooLargeAndStillArriving() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: ByteBuffer(repeating: 0x61, count: 32 << 20), framing: .chunked) }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError { _ = try await client.get("/").body.collect(upTo: 100_000) }
                #expect(error.code == .bodyTooLarge)
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().closed == ["bodyAbandoned": 1])
            }
        }
    }

    @Test(
        "The rest of a small dropped body is drained, and the connection used again", .tags(.KA8),
        arguments: [
            "discard", "drop",
        ])
    func smallRest(how: String) async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let rest = Gate()
            server.onConnection { connection in
                while let request = try await connection.readRequest() {
                    try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nab")
                    try await rest.wait()
                    try await connection.send(ByteBuffer(repeating: 0x61, count: 199_998))
                    _ = request
                }
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.useOnly(clock) }
            func giveUp() async throws {
                let response = try await client.get("/")
                if how == "discard" { response.body.discard() }
                if how == "drop" { #expect(response.status == .ok) }
            }
            try await giveUp()
            rest.open()
            try await eventually("the connection to be free") { client.pool.snapshot().idle == 1 }
            let next = try await client.fetch("/")
            #expect(next.isReused)
            #expect(next.text.utf8.count == 200_000)
            await client.shutdown()
        }
    }

    @Test(
        "A rest that is large, or has no known end, closes the connection", .tags(.KA8),
        arguments: [
            "Content-Length: 262150", "Content-Length: 9000000000", "X: until-close",
        ])
    func largeRest(framing: String) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequest()
                try await connection.send("HTTP/1.1 200 OK\r\n\(framing)\r\n\r\nab")
                try await connection.waitForClose()
            }
            try await withServiceClient(server.baseURL) { client in
                try await client.get("/").body.discard()
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().idle == 0)
            }
        }
    }

    @Test("A small rest that does not come within discardTimeout closes the connection", .tags(.KA8))
    func slowRest() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequest()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.useOnly(clock) }
            try await client.get("/").body.discard()
            try await eventually("the limit of the drain") { clock.sleeperCount > 0 }
            #expect(server.openConnectionCount == 1)
            #expect(clock.nextDeadline == MonotonicInstant(nanoseconds: 50_000_000))
            clock.advance(by: .milliseconds(50))
            try await server.waitForOpenConnections(count: 0)
            #expect(client.pool.snapshot().closed == ["bodyAbandoned": 1])
            await client.shutdown()
        }
    }

    @Test("A discarded body reads as discarded, and its request is no longer in flight")
    func readingAfterDiscard() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequest()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            response.body.discard()
            response.body.discard()
            let error = try await serviceError { _ = try await response.body.collect(upTo: 10) }
            #expect(error.code == .bodyAlreadyConsumed)
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A discarded body cannot be read, even if it had arrived whole")
    func readingWholeAfterDiscard() async throws {
        let body = ResponseBody(ByteBuffer(string: "abc"))
        body.discard()
        let error = try await serviceError { _ = try await body.collect(upTo: 10) }
        #expect(error.code == .bodyAlreadyConsumed)
    }

    @Test("A body from a sequence cannot be read on after it was discarded")
    func readingSequenceAfterDiscard() async throws {
        let (chunks, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
        hand.yield(ByteBuffer(string: "half"))
        let body = ResponseBody(chunks)
        var iterator = body.makeAsyncIterator()
        let half = try await iterator.next()
        #expect(half == ByteBuffer(string: "half"))
        body.discard()
        let error = try await serviceError { _ = try await iterator.next() }
        #expect(error.code == .bodyAlreadyConsumed)
        hand.finish()

        let unread = ResponseBody(AsyncStream<ByteBuffer> { $0.finish() })
        unread.discard()
        let early = try await serviceError { _ = try await unread.collect(upTo: 10) }
        #expect(early.code == .bodyAlreadyConsumed)
    }

    @Test("A body from a sequence that ends because its reader is cancelled is not taken for a whole body")
    func cancelledSequence() async throws {
        let (chunks, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
        hand.yield(ByteBuffer(string: "half"))
        let body = ResponseBody(chunks)
        let reading = Task { try await body.collect(upTo: 10) }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        hand.finish()
    }

    // MARK: Slow and fast

    @Test(
        "A response that comes byte by byte is read whole", .tags(.H1h),
        arguments: [
            ScriptedResponse.Framing.length, .chunks(of: 2), .untilClose,
        ])
    func byteByByte(framing: ScriptedResponse.Framing) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                .trickle(
                    ScriptedResponse(200, fields: [.server: "slow"], body: "0123456789", framing: framing),
                    every: .milliseconds(2))
            }
            try await withServiceClient(server.baseURL) { client in
                let fetched = try await client.fetch("/")
                #expect(fetched.text == "0123456789")
                #expect(fetched.response.fields[.server] == "slow")
            }
        }
    }

    @Test(
        "A reader that does not read stops the server; reading on loses nothing", .tags(.H1i),
        arguments: [
            ScriptedResponse.Framing.length, .chunks(of: 1000), .chunks(of: 100_000), .untilClose,
        ])
    func backPressure(framing: ScriptedResponse.Framing) async throws {
        var options = LoopbackServer.Options.unixSocket
        options.sendBufferSize = 65_536
        let count = 64 << 20
        try await withLoopbackServer(options) { server in
            server.onConnection { connection in
                guard try await connection.readRequest() != nil else { return }
                switch framing {
                case .length: try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n")
                case .untilClose: try await connection.send("HTTP/1.1 200 OK\r\n\r\n")
                default: try await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                }
                let size = if case .chunks(let size) = framing { size } else { 65_536 }
                var sent = 0
                while sent < count {
                    let length = min(size, count - sent)
                    // Each piece contains its own position.
                    var piece = ByteBuffer(repeating: UInt8(truncatingIfNeeded: sent / size), count: length)
                    if case .chunks = framing {
                        var framed = ByteBuffer(string: String(length, radix: 16) + "\r\n")
                        framed.writeBuffer(&piece)
                        framed.writeString("\r\n")
                        piece = framed
                    }
                    try await connection.send(piece)
                    sent += length
                }
                if case .chunks = framing { try await connection.send("0\r\n\r\n") }
            }
            try await withServiceClient(server.baseURL) { client in
                let response = try await client.get("/")
                let size = if case .chunks(let size) = framing { size } else { 65_536 }
                var received = 0
                var isRight = true
                var pauses = 0
                for try await chunk in response.body {
                    // The reader pauses at the beginning and in the middle.
                    if received == 0 || (received > count / 2 && pauses == 1) {
                        pauses += 1
                        let sent = try await settled("the bytes sent") { server.connections[0].bytesSent }
                        let ahead = sent - received
                        print("H1i: \(framing): \(ahead) bytes ahead of the reader")
                        // The kernel's buffer, one read of up to four messages, `connection.readBufferLimit`.
                        #expect(ahead < 768 * 1024)
                    }
                    chunk.withUnsafeReadableBytes { bytes in
                        for index in stride(from: 0, to: bytes.count, by: 97)
                        where bytes[index] != UInt8(truncatingIfNeeded: (received + index) / size) {
                            isRight = false
                        }
                    }
                    received += chunk.readableBytes
                }
                #expect(received == count)
                #expect(isRight)
                #expect(pauses == 2)
            }
        }
    }

    @Test("Readers of any pace lose nothing and never hang", .tags(.H1i), arguments: 1...3)
    func randomPace(round: Int) async throws {
        var random = SeededRandom.fromEnvironment("H1i round \(round)")
        let paces = (0..<16).map { _ in random.next(in: 0..<40) }
        try await withLoopbackServer { server in
            let count = 2 << 20
            server.respond { _ in
                .reply(200, body: ByteBuffer(repeating: 0x61, count: count), framing: .chunks(of: 3001))
            }
            try await withServiceClient(server.baseURL) { client in
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for pace in paces {
                        group.addTask {
                            var received = 0
                            for try await chunk in try await client.get("/").body {
                                received += chunk.readableBytes
                                for _ in 0..<pace { await Task.yield() }
                            }
                            return received
                        }
                    }
                    for try await received in group { #expect(received == count) }
                }
            }
        }
    }
}
