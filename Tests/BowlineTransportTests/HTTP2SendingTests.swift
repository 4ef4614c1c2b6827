import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("What an HTTP/2 connection writes and in which order", .timeLimit(.minutes(1)))
struct HTTP2SendingTests {
    private func post(_ path: String, _ byte: UInt8, _ count: Int) -> ServiceRequest {
        ServiceRequest(
            method: .post, "http://a.example\(path)", body: .bytes(ByteBuffer(repeating: byte, count: count)))
    }

    /// The stream, size and end of each DATA frame.
    private func bodies(_ frames: [HTTP2WireFrame]) -> [String] {
        frames.filter { $0.kind == .data }.map {
            "\($0.stream): \($0.payload.readableBytes)\($0.endsStream ? " end" : "")"
        }
    }

    @Test("The frames of several requests in one turn of the loop are one write")
    func oneWrite() async throws {
        let harness = try await HTTP2Harness()
        let exchanges = try (0..<5).map { try harness.makeExchange(post("/\($0)", 0x61, 100)) }
        try await harness.onLoop { [harness] in
            for exchange in exchanges { harness.connection.open(exchange) }
        }
        let writes = try await harness.writes()
        #expect(writes.count == 1)
        var reader = HTTP2WireReader()
        reader.append(HTTP2WireFrame.clientPreface)
        for write in writes { reader.append(write) }
        var kinds: [HTTP2WireFrame.Kind] = []
        while let frame = reader.next() { kinds.append(frame.kind) }
        #expect(kinds.count { $0 == .headers } == 5)
        #expect(kinds.count { $0 == .data } == 5)
        #expect(kinds.count == 10)
        await harness.finish()
    }

    @Test(
        "One write has at most the channel's limit and one frame; the rest follows in later writes",
        arguments: [(writeBufferLimit: 1024, limit: 1024), (65_536, 65_536), (1 << 20, 131_072)])
    func boundedWrites(writeBufferLimit: Int, limit: Int) async throws {
        var options = ConnectionOptions()
        options.writeBufferLimit = writeBufferLimit
        let harness = try await HTTP2Harness(settings: [(4, 1 << 20)], connection: options)
        try await harness.receive(.windowUpdate(on: 0, by: 1 << 20))
        let exchanges = try (0..<6).map { try harness.makeExchange(post("/\($0)", UInt8($0), 50_000)) }
        try await harness.onLoop { [harness] in
            for exchange in exchanges { harness.connection.open(exchange) }
        }
        let sizes = try await harness.writes().map(\.readableBytes)
        #expect(sizes.allSatisfy { $0 < limit + 9 + 16_384 }, "\(sizes)")
        #expect(sizes.dropLast().allSatisfy { $0 >= limit }, "\(sizes)")
        // The harness compares the received bodies with the request bodies.
        #expect(sizes.reduce(0, +) > 6 * 50_000)
        await harness.finish()
    }

    @Test(
        "Two bodies take turns; a used-up window stops both, and its update resumes both",
        .tags(.H2j))
    func turns() async throws {
        let harness = try await HTTP2Harness()
        try await harness.setWritable(false)
        let calls = [
            try await harness.send(post("/a", 0x61, 60_000)), try await harness.send(post("/b", 0x62, 60_000)),
        ]
        try await harness.setWritable(true)
        var frames = try await harness.frames()
        // The connection's window is 65,535 bytes.
        #expect(bodies(frames) == ["1: 16384", "3: 16384", "1: 16384", "3: 16383"])
        try await harness.receive(.windowUpdate(on: 0, by: 100_000))
        let rest = try await harness.frames()
        #expect(Set(bodies(rest)) == ["1: 16384", "3: 16384", "1: 10848 end", "3: 10849 end"])
        frames += rest
        for (stream, byte) in [(1, UInt8(0x61)), (3, 0x62)] {
            let bytes = frames.filter { $0.kind == .data && $0.stream == stream }
                .flatMap { Array($0.payload.readableBytesView) }
            #expect(bytes == [UInt8](repeating: byte, count: 60_000))
        }
        for stream in [1, 3] { try await harness.reply(on: stream) }
        for call in calls { #expect(try await call.task.value.status == .ok) }
        await harness.finish()
    }

    @Test(
        "Bodies that wait for the connection's window take turns, however small the updates are",
        .tags(.H2j))
    func smallConnectionUpdates() async throws {
        let harness = try await HTTP2Harness()
        try await harness.setWritable(false)
        var calls: [HTTP2HarnessCall] = []
        for path in ["/a", "/b", "/c"] { calls.append(try await harness.send(post(path, 0x61, 30_000))) }
        try await harness.setWritable(true)
        // The connection's window is 65,535 bytes.
        #expect(bodies(try await harness.frames()) == ["1: 16384", "3: 16384", "5: 16384", "1: 13616 end", "3: 2767"])
        var pieces: [String] = []
        for _ in 0..<4 {
            try await harness.receive(.windowUpdate(on: 0, by: 1_000))
            pieces += bodies(try await harness.frames())
        }
        #expect(pieces == ["5: 1000", "3: 1000", "5: 1000", "3: 1000"])
        try await harness.receive(.windowUpdate(on: 0, by: 100_000))
        #expect(Set(bodies(try await harness.frames())) == ["3: 8849 end", "5: 11616 end"])
        for stream in [1, 3, 5] { try await harness.reply(on: stream) }
        for call in calls { #expect(try await call.task.value.status == .ok) }
        await harness.finish()
    }

    @Test("A body whose own window is used up does not block another; each resumes with its own update", .tags(.H2j))
    func ownWindows() async throws {
        let harness = try await HTTP2Harness(settings: [(4, 10)])
        let first = try await harness.send(post("/a", 0x61, 25))
        let second = try await harness.send(post("/b", 0x62, 25))
        #expect(bodies(try await harness.frames()) == ["1: 10", "3: 10"])
        try await harness.receive(.windowUpdate(on: 3, by: 100))
        #expect(bodies(try await harness.frames()) == ["3: 15 end"])
        // Larger windows for all streams: 10 bytes more than before.
        try await harness.receive(.settings([(4, 20)]))
        #expect(bodies(try await harness.frames()) == ["1: 10"])
        // Smaller windows: below zero, so that an update of 5 opens no window.
        try await harness.receive(.settings([(4, 15)]), .windowUpdate(on: 1, by: 5))
        #expect(bodies(try await harness.frames()).isEmpty)
        try await harness.receive(.windowUpdate(on: 1, by: 1))
        #expect(bodies(try await harness.frames()) == ["1: 1"])
        try await harness.receive(.windowUpdate(on: 1, by: 1000))
        #expect(bodies(try await harness.frames()) == ["1: 4 end"])
        for stream in [1, 3] { try await harness.reply(on: stream) }
        #expect(try await first.task.value.status == .ok)
        #expect(try await second.task.value.status == .ok)
        await harness.finish()
    }

    @Test("While the channel accepts nothing, no body and no answer to a PING is written; then all follow in order")
    func blocked() async throws {
        let harness = try await HTTP2Harness(settings: [(4, 0)])
        let call = try await harness.send(post("/a", 0x61, 25))
        _ = try await harness.frames()
        try await harness.setWritable(false)
        try await harness.receive(
            HTTP2WireFrame(.ping, ByteBuffer(integer: UInt64(7))), .windowUpdate(on: 1, by: 100))
        #expect(try await harness.writes().isEmpty)
        try await harness.setWritable(true)
        let frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.ping, .data])
        #expect(frames.first?.isAcknowledgement == true)
        #expect(frames.last?.endsStream == true)
        try await harness.reply(on: 1)
        #expect(try await call.task.value.status == .ok)
        await harness.finish()
    }

    @Test(
        "A response that refuses the request drops the unwritten body, and the stream ends with NO_ERROR",
        .tags(.H2v))
    func refusedUpload() async throws {
        let harness = try await HTTP2Harness(settings: [(4, 10)])
        let call = try await harness.send(post("/a", 0x61, 25))
        #expect(bodies(try await harness.frames()) == ["1: 10"])
        let head = HTTP2WireField.section([.init(":status", "413")])
        try await harness.receive(
            HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head), .windowUpdate(on: 1, by: 100))
        #expect(bodies(try await harness.frames()).isEmpty)
        try await harness.receive(
            HTTP2WireFrame(.data, flags: HTTP2WireFrame.endStream, on: 1, ByteBuffer(string: "large")))
        let response = try await call.task.value
        #expect(response.status == .contentTooLarge)
        #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "large"))
        let resets = try await harness.frames().filter { $0.kind == .reset }
        #expect(resets.map(\.stream) == [1])
        #expect(resets.map(\.payload) == [ByteBuffer(integer: UInt32(0))])
        await harness.finish()
    }

    @Test("A peer that sends PINGs and reads no answers loses the connection", .tags(.H2o))
    func pingsWithoutEnd() async throws {
        let harness = try await HTTP2Harness()
        let call = try await harness.send(.get("http://a.example/"))
        _ = try await harness.frames()
        try await harness.setWritable(false)
        let ping = HTTP2WireFrame(.ping, ByteBuffer(integer: UInt64(7))).bytes
        var pings = ByteBuffer()
        for _ in 0..<100 { pings.writeImmutableBuffer(ping) }
        var rounds = 0
        while rounds < 100, !harness.log.contains("closed protocolError") {
            try await harness.channel.writeInbound(pings)
            rounds += 1
        }
        #expect(rounds <= 12, "1,000 answers may wait")
        let error = try #require(await call.error)
        #expect(error.code == .protocolViolation, "\(error.message)")
        #expect(error.message.contains("ENHANCE_YOUR_CALM"), "\(error.message)")
        #expect(error.progress == .ambiguous)
        await harness.finish()
    }

    @Test("A violation on a stream ends only that stream; the message names the rule and its section", .tags(.H2l))
    func streamRule() async throws {
        let harness = try await HTTP2Harness()
        let broken = try await harness.send(.get("http://a.example/broken"))
        let other = try await harness.send(.get("http://a.example/other"))
        _ = try await harness.frames()
        try await harness.receive(.windowUpdate(on: 1, by: 0))
        let error = try #require(await broken.error)
        #expect(error.code == .protocolViolation)
        #expect(error.progress == .ambiguous)
        #expect(error.message.contains("RFC 9113 §6.9"), "\(error.message)")
        #expect(error.message.contains("PROTOCOL_ERROR"), "\(error.message)")
        #expect(error.underlying is HTTP2Violation)
        #expect(try await harness.frames().contains { $0.kind == .reset && $0.stream == 1 })
        try await harness.reply(on: 3)
        #expect(try await other.task.value.status == .ok)
        await harness.finish()
    }

    @Test("A violation of the connection ends it with GOAWAY, and each request fails with its own progress")
    func connectionRule() async throws {
        let harness = try await HTTP2Harness()
        let started = try await harness.send(.get("http://a.example/started"))
        let waiting = try await harness.send(.get("http://a.example/waiting"))
        _ = try await harness.frames()
        let head = HTTP2WireField.section([.init(":status", "103")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
        // DATA on the connection itself.
        try await harness.receive(HTTP2WireFrame(.data, on: 0, ByteBuffer(string: "x")))
        for (call, progress) in [(started, RequestProgress.responseStarted), (waiting, .ambiguous)] {
            let error = try #require(await call.error)
            #expect(error.code == .protocolViolation)
            #expect(error.progress == progress)
            #expect(error.message.hasPrefix("the peer broke HTTP/2's rules: "), "\(error.message)")
            #expect(error.message.contains("RFC 9113 §6.1"), "\(error.message)")
        }
        #expect(harness.entries().contains("closed protocolError"))
        let frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.goAway])
        #expect(
            frames.first?.payload.getInteger(at: 4 + (frames.first?.payload.readerIndex ?? 0), as: UInt32.self) == 1)
        await harness.finish()
    }

    @Test(
        "A body behind others in the channel is idle only when the kernel accepts no bytes"
    )
    func behindOthers() async throws {
        let harness = try await HTTP2Harness()
        var timeouts = Timeouts()
        timeouts.bodyIdle = .seconds(2)
        let exchange = try harness.makeExchange(post("/a", 0x61, 100), timeouts)
        try await harness.onLoop { [harness] in
            harness.connection.open(exchange)
            harness.channel.isWritable = false
            harness.channel.pipeline.fireChannelWritabilityChanged()
        }
        try await harness.advance(by: .seconds(1))
        try await harness.onLoop { [connection = harness.connection] in
            connection.kernelProgress.acceptedFlush(now: connection.sweep.now)
        }
        try await harness.advance(by: .seconds(2))
        #expect(!exchange.isOver)
        try await harness.advance(by: .seconds(1))
        let error = try await #require(throws: TransportOutcome.self) { _ = try await exchange.run() }
        #expect(error.code == .bodyIdleTimeout)
        await harness.finish()
    }

    /// How a stream with an upload ends.
    enum UploadEnd: CaseIterable {
        case timeout, violation, resetByPeer, refusedByPeer
    }

    @Test(
        "A body's sequence that cancels the request while it is stopped returns the stream's place once",
        arguments: UploadEnd.allCases)
    func cancelledFromWithin(end: UploadEnd) async throws {
        let harness = try await HTTP2Harness()
        let body = CancellingBody()
        var timeouts = Timeouts()
        timeouts.attempt = .seconds(3)
        let call = try await harness.send(
            ServiceRequest(method: .post, "http://a.example/up", body: .replayable { body }), timeouts: timeouts)
        body.whenCancelled { call.task.cancel() }
        try await eventually("the body is waited for") { body.isWaitedFor }
        _ = try await harness.frames()
        _ = harness.entries()
        switch end {
        case .timeout: try await harness.advance(by: .seconds(3))
        case .violation: try await harness.receive(.windowUpdate(on: 1, by: 0))
        case .resetByPeer: try await harness.receive(HTTP2WireFrame(.reset, on: 1, ByteBuffer(integer: UInt32(2))))
        case .refusedByPeer: try await harness.receive(HTTP2WireFrame(.reset, on: 1, ByteBuffer(integer: UInt32(7))))
        }
        _ = await call.task.result
        let frames = try await harness.frames()
        let isReset = end == .timeout || end == .violation
        #expect(frames.count { $0.kind == .reset } == (isReset ? 1 : 0))
        for ping in frames where ping.kind == .ping { try await harness.receive(ping.pong) }
        // The pool treats a second release as a bug of ours, and ends the process.
        #expect(harness.entries().count { $0 == "released" } == 1)
        #expect(try await harness.onLoop { harness.connection.table.isEmpty })
        #expect(try await harness.onLoop { harness.connection.session.occupied == 0 })
        await harness.finish()
    }
}

/// A body without a byte that runs a closure on the thread that cancels it.
private final class CancellingBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    private let action = Guarded<(@Sendable () -> Void)?>(nil)
    private let waiting = Guarded(false)

    var isWaitedFor: Bool { waiting.withLock { $0 } }

    func whenCancelled(_ action: @escaping @Sendable () -> Void) {
        self.action.withLock { $0 = action }
    }

    func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    struct Iterator: AsyncIteratorProtocol {
        let body: CancellingBody

        mutating func next() async throws -> ByteBuffer? {
            let body = body
            let (silence, end) = AsyncStream<ByteBuffer>.makeStream()
            return await withTaskCancellationHandler {
                body.waiting.withLock { $0 = true }
                var iterator = silence.makeAsyncIterator()
                return await iterator.next()
            } onCancel: {
                body.action.withLock { $0 }?()
                end.finish()
            }
        }
    }
}
