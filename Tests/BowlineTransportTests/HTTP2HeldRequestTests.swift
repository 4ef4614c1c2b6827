import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("Requests that have not been written when their HTTP/2 connection changes", .timeLimit(.minutes(1)))
struct HTTP2HeldRequestTests {
    private func get(_ path: String) -> ServiceRequest { .get("http://a.example\(path)") }
    private func post(_ path: String) -> ServiceRequest {
        ServiceRequest(method: .post, "http://a.example\(path)", body: .text("x"))
    }

    @Test("While the channel accepts nothing, no HEADERS is written; then all go out in order with their fields")
    func heldInOrder() async throws {
        // Exactly as many streams as the peer allows.
        let harness = try await HTTP2Harness(settings: [(3, 6)])
        let first = try await harness.send(get("/first"))
        #expect(try await harness.sections().map { $0[":path"] } == ["/first"])
        try await harness.setWritable(false)
        var calls: [HTTP2HarnessCall] = []
        for number in 0..<5 { calls.append(try await harness.send(post("/held/\(number)"))) }
        #expect(try await harness.frames().isEmpty)
        for call in calls { #expect(call.exchange.call.phase == .sending) }
        // Becomes writable and not again before a turn of the loop has flushed: none may go out in between.
        try await harness.onLoop { [channel = harness.channel] in
            channel.isWritable = true
            channel.pipeline.fireChannelWritabilityChanged()
            channel.isWritable = false
            channel.pipeline.fireChannelWritabilityChanged()
        }
        #expect(try await harness.frames().isEmpty)
        try await harness.setWritable(true)
        let frames = try await harness.frames()
        let heads = try frames.filter { $0.kind == .headers }.map { ($0.stream, try harness.fields(of: $0)[":path"]) }
        #expect(heads.map(\.0) == [3, 5, 7, 9, 11])
        #expect(heads.map(\.1) == (0..<5).map { "/held/\($0)" })
        for stream in [1, 3, 5, 7, 9, 11] { try await harness.reply(on: stream) }
        for call in [first] + calls { #expect(try await call.task.value.status == .ok) }
        await harness.finish()
    }

    @Test(
        "GOAWAY declines unwritten requests at once; written requests continue", .tags(.H2a),
        arguments: [UInt32(1), 0x7FFF_FFFF])
    func goAway(lastID: UInt32) async throws {
        let harness = try await HTTP2Harness()
        let written = try await harness.send(post("/written"))
        _ = try await harness.sections()
        try await harness.setWritable(false)
        let held = [try await harness.send(post("/a")), try await harness.send(get("/b"))]
        _ = harness.entries()
        try await harness.receive(.goAway(last: lastID))
        for call in held {
            let error = try #require(await call.error)
            #expect(error.progress == .neverSent)
            #expect(error.code == .connectionClosed)
            #expect(error.connection == .declined(hasCarriedOthers: true))
        }
        let entries = harness.entries()
        #expect(entries.first == "retired goAway", "the pool first")
        #expect(entries.count { $0 == "returned unused" } == 2)
        try await harness.setWritable(true)
        #expect(try await harness.frames().isEmpty, "nothing of them is ever written")
        try await harness.reply(on: 1)
        #expect(try await written.task.value.status == .ok)
        await harness.finish()
    }

    @Test(
        "The connection's end declines unwritten requests", arguments: [CloseReason.keepAliveFailed, .transportError])
    func connectionEnds(reason: CloseReason) async throws {
        let harness = try await HTTP2Harness()
        let written = try await harness.send(post("/written"))
        _ = try await harness.sections()
        try await harness.setWritable(false)
        let held = try await harness.send(post("/held"))
        try await harness.onLoop { [connection = harness.connection] in connection.closeNow(reason) }
        #expect(await held.error?.isDeclined == true)
        #expect(await written.error?.progress == .ambiguous)
        try await harness.setWritable(true)
        #expect(try await harness.frames().allSatisfy { $0.stream <= 1 && $0.kind != .headers })
        await harness.finish()
    }

    @Test(
        "An unwritten request that is cancelled or times out sends no RST_STREAM",
        arguments: [true, false])
    func cancelled(isCancelled: Bool) async throws {
        let harness = try await HTTP2Harness()
        let written = try await harness.send(get("/written"))
        _ = try await harness.sections()
        try await harness.setWritable(false)
        var timeouts = Timeouts()
        timeouts.responseHead = .seconds(3)
        let held = try await harness.send(get("/held"), timeouts: timeouts)
        _ = harness.entries()
        if isCancelled {
            held.task.cancel()
            await #expect(throws: CancellationError.self) { try await held.task.value }
        } else {
            try await harness.advance(by: .seconds(3))
            let error = try #require(await held.error)
            #expect(error.code == .responseHeadTimeout)
            #expect(error.progress == .neverSent)
        }
        try await eventually("its lease went back") { harness.log.contains("returned unused") }
        try await harness.setWritable(true)
        let frames = try await harness.frames()
        #expect(!frames.contains { $0.kind == .reset || $0.kind == .headers })
        // The request never had a stream number.
        let next = try await harness.send(get("/next"))
        let head = try #require(try await harness.frames().first { $0.kind == .headers })
        #expect(head.stream == 3)
        #expect(try harness.fields(of: head)[":path"] == "/next")
        try await harness.reply(on: 1)
        try await harness.reply(on: 3)
        #expect(try await written.task.value.status == .ok)
        #expect(try await next.task.value.status == .ok)
        await harness.finish()
    }

    @Test(
        "A peer that lowers its stream limit declines the unwritten requests above it", .tags(.H2g)
    )
    func fewerStreams() async throws {
        let harness = try await HTTP2Harness(settings: [(3, 10)])
        let open = [try await harness.send(get("/a")), try await harness.send(get("/b"))]
        _ = try await harness.sections()
        try await harness.setWritable(false)
        let held = [try await harness.send(get("/c")), try await harness.send(get("/d"))]
        try await harness.receive(.settings([(3, 3)]))
        #expect(await held[1].error?.isDeclined == true, "the last one that came")
        try await harness.receive(.settings([(3, 1)]))
        #expect(await held[0].error?.isDeclined == true)
        // A lease that the pool granted before it knew.
        let late = try await harness.send(get("/e"))
        #expect(await late.error?.isDeclined == true)
        try await harness.setWritable(true)
        #expect(try await harness.sections().isEmpty)
        for stream in [1, 3] { try await harness.reply(on: stream) }
        for call in open { #expect(try await call.task.value.status == .ok) }
        let next = try await harness.send(get("/f"))
        let head = try #require(try await harness.frames().first { $0.kind == .headers })
        #expect(try harness.fields(of: head)[":path"] == "/f")
        try await harness.reply(on: head.stream)
        #expect(try await next.task.value.status == .ok)
        await harness.finish()
    }

    @Test("control frames that waited for the channel go out before the next request's HEADERS")
    func controlFramesWait() async throws {
        let harness = try await HTTP2Harness()
        let first = try await harness.send(get("/first"))
        _ = try await harness.sections()
        try await harness.setWritable(false)
        // Its RST_STREAM and its PING wait for the channel.
        first.task.cancel()
        _ = await first.task.result
        try await eventually("it was reset") { try await harness.onLoop { harness.connection.table.isEmpty } }
        try await harness.onLoop { [channel = harness.channel] in
            channel.isWritable = true
            channel.pipeline.fireChannelWritabilityChanged()
        }
        let second = try await harness.send(get("/second"))
        let frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.reset, .ping, .headers])
        let head = try #require(frames.last)
        #expect(try harness.fields(of: head)[":path"] == "/second")
        try await harness.reply(on: head.stream)
        #expect(try await second.task.value.status == .ok)
        await harness.finish()
    }

    @Test("an error of the channel ends the connection for the pool in the same turn, before the channel has closed")
    func errorIsTheEnd() async throws {
        let harness = try await HTTP2Harness()
        let call = try await harness.send(post("/held"))
        _ = harness.entries()
        let entries = try await harness.onLoop { [harness] in
            harness.channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
            return harness.entries()
        }
        #expect(entries.first == "closed transportError")
        #expect(await call.error?.progress == .ambiguous)
        let late = try await harness.send(post("/late"))
        #expect(await late.error?.isDeclined == true)
        await harness.finish()
    }

    @Test("A request whose HEADERS has not reached the channel is declined when the connection is lost")
    func lostBeforeTheWrite() async throws {
        let harness = try await HTTP2Harness()
        let exchange = try harness.makeExchange(post("/unwritten"))
        try await harness.onLoop { [harness] in
            harness.connection.open(exchange)
            #expect(exchange.streamID == 1)
            harness.channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
        }
        let error = try await #require(throws: TransportOutcome.self) { _ = try await exchange.run() }
        #expect(error.progress == .neverSent)
        #expect(error.isDeclined)
        #expect(try await harness.frames().isEmpty)
        await harness.finish()
    }

    @Test(
        "the pool learns that a connection has no stream numbers left; the last stream goes on (RFC 9113 §5.1.1)",
        .tags(.H2z))
    func lastStream() async throws {
        let harness = try await HTTP2Harness()
        let last = 0x7FFF_FFFF
        try await harness.onLoop { [connection = harness.connection] in
            connection.session = HTTP2ClientSession(options: HTTP2SessionOptions(), firstStreamID: last)
            connection.session.start()
            connection.session.receive(HTTP2WireFrame.settings([]).bytes)
            while connection.session.nextEvent(now: connection.sweep.now) != nil {}
            _ = connection.session.takeOutput()
        }
        _ = harness.entries()
        let call = try await harness.send(get("/last"))
        #expect(harness.entries() == ["retired streamsExhausted"])
        try await harness.reply(on: last)
        #expect(try await call.task.value.status == .ok)
        await harness.finish()
    }

    @Test(
        "A drain's GOAWAY waits for unwritten requests, and for leases that were never used", .tags(.LC14)
    )
    func drain() async throws {
        let harness = try await HTTP2Harness()
        try await harness.setWritable(false)
        let held = try await harness.send(get("/held"))
        harness.connection.retire(.shutdown, leases: 3)
        harness.connection.leaseUnused()
        try await harness.setWritable(true)
        var frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.headers])
        harness.connection.leaseUnused()
        frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.goAway])
        try await harness.reply(on: 1)
        #expect(try await held.task.value.status == .ok)
        await harness.finish()
    }
}
