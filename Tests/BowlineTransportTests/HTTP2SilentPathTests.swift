import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("An HTTP/2 peer that has gone silent", .timeLimit(.minutes(1)))
struct HTTP2SilentPathTests {
    private static let timeouts: Timeouts = {
        var timeouts = Timeouts()
        timeouts.responseHead = .seconds(2)
        timeouts.bodyIdle = .seconds(2)
        return timeouts
    }()

    private func get(_ path: String) -> ServiceRequest { .get("http://a.example\(path)") }

    private func makeHarness(_ settings: [(UInt16, UInt32)] = []) async throws -> HTTP2Harness {
        let harness = try await HTTP2Harness(settings: settings)
        harness.clock.advance(by: .seconds(1))
        return harness
    }

    @Test(
        "A timeout without a byte informs the pool before the request and sends a PING, whose answer ends the doubt")
    func doubt() async throws {
        let harness = try await makeHarness()
        let call = try await harness.send(get("/silent"), timeouts: Self.timeouts)
        _ = harness.entries()
        try await harness.advance(by: .seconds(2))
        #expect(await call.error?.code == .responseHeadTimeout)
        let entries = harness.entries()
        #expect(entries == ["doubted", "http://a.example/silent: failed"])
        let frames = try await harness.frames()
        let pings = frames.filter { $0.kind == .ping }
        #expect(pings.count == 1, "one PING for the doubt and the reset")
        try await harness.receive(try #require(pings.first).pong)
        #expect(harness.entries().contains("confirmed"))
        await harness.finish()
    }

    @Test(
        "The timer is set for the next PING when a PING has been answered, although its limit would be later",
        .tags(.H2n))
    func nextPing() async throws {
        let harness = try await HTTP2Harness {
            $0.keepAliveInterval = .seconds(1)
            $0.keepAliveTimeout = .seconds(15)
        }
        let call = try await harness.send(get("/long"))
        try await harness.receive(
            HTTP2WireFrame(
                .headers, flags: HTTP2WireFrame.endHeaders, on: 1, HTTP2WireField.section([.init(":status", "200")])))
        try await harness.advance(by: .seconds(1))
        let ping = try #require(try await harness.frames().first { $0.kind == .ping })
        try await harness.receive(ping.pong)
        let connection = harness.connection
        let (timer, deadline) = try await harness.onLoop { (connection.sweep.nextSweep, connection.deadline) }
        #expect(deadline == harness.clock.now.advanced(by: .seconds(1)))
        #expect(timer <= deadline)
        call.task.cancel()
        await harness.finish()
    }

    @Test("The timer is set for the first PING when the settings have come", .tags(.H2n))
    func firstPing() async throws {
        let harness = try await HTTP2Harness { $0.keepsAliveWhenIdle = true }
        let connection = harness.connection
        let (timer, deadline) = try await harness.onLoop { (connection.sweep.nextSweep, connection.deadline) }
        #expect(deadline == harness.clock.now.advanced(by: .seconds(30)))
        #expect(timer <= deadline)
        await harness.finish()
    }

    @Test("Bytes other than the answer do not end the doubt")
    func otherBytes() async throws {
        let harness = try await makeHarness()
        let call = try await harness.send(get("/silent"), timeouts: Self.timeouts)
        try await harness.advance(by: .seconds(2))
        _ = await call.error
        try await harness.receive(.settings([]))
        #expect(!harness.entries().contains("confirmed"))
        await harness.finish()
    }

    @Test(
        "Bytes after the request was written prevent a doubt, whatever stream they are for", arguments: [true, false])
    func noDoubt(forSameStream: Bool) async throws {
        let harness = try await makeHarness()
        let call = try await harness.send(get("/slow"), timeouts: Self.timeouts)
        try await harness.advance(by: .seconds(1))
        try await harness.receive(
            forSameStream ? .windowUpdate(on: 1, by: 5) : HTTP2WireFrame(.ping, ByteBuffer(integer: UInt64(7))))
        try await harness.advance(by: .seconds(1))
        #expect(await call.error?.code == .responseHeadTimeout)
        #expect(!harness.entries().contains("doubted"))
        await harness.finish()
    }

    @Test("New requests do not postpone the end of a PING; the connection ends when the answer is overdue")
    func requestsKeepComing() async throws {
        let harness = try await makeHarness()
        let first = try await harness.send(get("/0"), timeouts: Self.timeouts)
        try await harness.advance(by: .seconds(2))
        #expect(await first.error?.code == .responseHeadTimeout)
        // The PING is in flight and has 15 s. Each of these requests got its lease before the pool knew.
        var calls: [HTTP2HarnessCall] = []
        for number in 1...14 {
            calls.append(try await harness.send(get("/\(number)"), timeouts: Self.timeouts))
            try await harness.advance(by: .seconds(1))
        }
        #expect(!harness.entries().contains("closed keepAliveFailed"))
        try await harness.advance(by: .seconds(1))
        #expect(harness.entries().contains("closed keepAliveFailed"))
        for call in calls { #expect(await call.error?.progress == .ambiguous) }
        await harness.finish()
    }

    @Test("A deadline and an attempt's limit raise a doubt too, except within a response's body")
    func otherLimits() async throws {
        let harness = try await makeHarness()
        var timeouts = Timeouts()
        timeouts.attempt = .seconds(3)
        let attempt = try await harness.send(get("/a"), timeouts: timeouts)
        try await harness.advance(by: .seconds(3))
        #expect(await attempt.error?.code == .attemptTimeout)
        #expect(harness.entries().contains("doubted"))
        let ping = try #require(try await harness.frames().first { $0.kind == .ping })
        try await harness.receive(ping.pong)
        _ = harness.entries()

        let body = try await harness.send(get("/b"), timeouts: timeouts, deadline: .seconds(4))
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 3, head))
        let response = try await body.task.value
        // The attempt's limit, which has passed by now, ended with the head.
        try await harness.advance(by: .seconds(4))
        let error = try await #require(throws: ServiceError.self) { _ = try await response.body.collect(upTo: 10) }
        #expect(error.code == .deadlineExceeded)
        #expect(!harness.entries().contains("doubted"))
        await harness.finish()
    }

    @Test("Stalled bodies on a connection without a byte raise a doubt", arguments: [true, false])
    func bodies(isUpload: Bool) async throws {
        let harness = try await makeHarness(isUpload ? [(4, 0)] : [])
        if isUpload {
            let body = RequestBody.bytes(ByteBuffer(repeating: 1, count: 100_000))
            let request = ServiceRequest(method: .put, "http://a.example/up", body: body)
            let call = try await harness.send(request, timeouts: Self.timeouts)
            try await eventually("the body waits for its window") {
                try await harness.onLoop {
                    harness.connection.table.streams.contains { $0.deadlines.phase == .bodyWrite }
                }
            }
            try await harness.advance(by: .seconds(3))
            #expect(await call.error?.code == .bodyIdleTimeout)
        } else {
            let call = try await harness.send(get("/down"), timeouts: Self.timeouts)
            let head = HTTP2WireField.section([.init(":status", "200")])
            try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
            let response = try await call.task.value
            try await harness.advance(by: .seconds(3))
            let error = try await #require(throws: ServiceError.self) { _ = try await response.body.collect(upTo: 10) }
            #expect(error.code == .bodyIdleTimeout)
        }
        #expect(harness.entries().contains("doubted"))
        await harness.finish()
    }

    @Test("A probe sends one PING and reports the answer to the pool; without an answer the connection ends")
    func probe() async throws {
        let harness = try await makeHarness()
        harness.connection.probe()
        harness.connection.probe()
        let pings = try await harness.frames()
        #expect(pings.map(\.kind) == [.ping])
        try await harness.receive(try #require(pings.first).pong)
        // The pool learns of the doubt each time, because it may have got other news since its question.
        #expect(harness.entries() == ["doubted", "doubted", "confirmed"])
        harness.connection.probe()
        _ = try await harness.frames()
        try await harness.advance(by: .seconds(15))
        #expect(harness.entries() == ["doubted", "closed keepAliveFailed"])
        harness.connection.probe()
        #expect(try await harness.frames().allSatisfy { $0.kind != .ping })
        await harness.finish()
    }

    /// No limit but the connection's own.
    private static let unlimited: Timeouts = {
        var timeouts = Timeouts()
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        timeouts.attempt = nil
        return timeouts
    }()

    /// A request whose response has begun: its head, and `part` of its body.
    private func beginDownload(_ harness: HTTP2Harness) async throws -> ServiceResponse {
        let call = try await harness.send(get("/download"), timeouts: Self.unlimited)
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(
            HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head),
            HTTP2WireFrame(.data, on: 1, ByteBuffer(string: "part")))
        return try await call.task.value
    }

    /// The PING that is sent after the peer was silent for 30 s.
    private func pingAfterSilence(_ harness: HTTP2Harness) async throws -> HTTP2WireFrame {
        try await harness.advance(by: .milliseconds(29_999))
        #expect(try await harness.frames().isEmpty)
        try await harness.advance(by: .milliseconds(1))
        let frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.ping])
        return try #require(frames.first)
    }

    @Test(
        "An unanswered PING within a response's body ends the connection; the received bytes are read first",
        .tags(.H2n))
    func unansweredWithinBody() async throws {
        let harness = try await makeHarness()
        let response = try await beginDownload(harness)
        let waiting = try await harness.send(get("/waiting"), timeouts: Self.unlimited)
        _ = try await harness.frames()
        _ = harness.entries()
        _ = try await pingAfterSilence(harness)
        try await harness.advance(by: .milliseconds(14_999))
        #expect(harness.entries().isEmpty)
        try await harness.advance(by: .milliseconds(1))

        let error = try #require(await waiting.error)
        #expect(error.code == .connectionClosed)
        #expect(error.progress == .ambiguous)
        #expect(harness.entries() == ["closed keepAliveFailed", "http://a.example/waiting: failed"])
        #expect(try await harness.frames().map(\.kind) == [.reset, .reset, .goAway])
        var reader = response.body.makeAsyncIterator()
        #expect(try await reader.next() == ByteBuffer(string: "part"))
        let cut = try await #require(throws: ServiceError.self) { _ = try await reader.next() }
        #expect(cut.code == .connectionClosed)
        #expect(cut.progress == .responseStarted)
        #expect(cut.message.contains("http2.keepAliveTimeout"), "\(cut.message)")
        #expect(cut.elapsed == .seconds(45))
        await harness.finish()
    }

    @Test(
        "A response's body continues while the peer answers each PING, however long no byte of it arrives", .tags(.H2n)
    )
    func answeredWithinBody() async throws {
        let harness = try await makeHarness()
        let response = try await beginDownload(harness)
        _ = try await harness.frames()
        _ = harness.entries()
        for _ in 0..<3 {
            let ping = try await pingAfterSilence(harness)
            try await harness.advance(by: .milliseconds(14_999))
            try await harness.receive(ping.pong)
        }
        try await harness.receive(
            HTTP2WireFrame(.data, flags: HTTP2WireFrame.endStream, on: 1, ByteBuffer(string: "end")))
        #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "partend"))
        #expect(harness.entries() == ["released"])
        await harness.finish()
    }

    @Test(
        "An unanswered PING within a request's body ends the connection, although no limit of the body passes",
        .tags(.H2n)
    )
    func unansweredWithinUpload() async throws {
        let harness = try await makeHarness([(4, 10)])
        let body = RequestBody.bytes((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let upload = try await harness.send(
            ServiceRequest(method: .put, "http://a.example/up", body: body), timeouts: Self.unlimited)
        try await eventually("the body waits for its window") {
            try await harness.onLoop {
                harness.connection.table.streams.contains { $0.deadlines.phase == .bodyWrite }
            }
        }
        let frames = try await harness.frames()
        #expect(frames.map(\.kind) == [.headers, .data])
        #expect(frames.last?.payload.readableBytes == 10)
        _ = harness.entries()
        _ = try await pingAfterSilence(harness)
        try await harness.advance(by: .milliseconds(14_999))
        #expect(harness.entries().isEmpty)
        try await harness.advance(by: .milliseconds(1))
        let error = try #require(await upload.error)
        #expect(error.code == .connectionClosed)
        #expect(error.progress == .ambiguous)
        #expect(error.message.contains("http2.keepAliveTimeout"), "\(error.message)")
        #expect(harness.entries() == ["closed keepAliveFailed", "http://a.example/up: failed"])
        await harness.finish()
    }

    @Test("A PING behind an upload fails after the kernel has accepted nothing for keepAliveTimeout")
    func pingBehindUpload() async throws {
        let harness = try await makeHarness()
        try await harness.setWritable(false)
        harness.connection.probe()
        #expect(try await harness.frames().isEmpty)
        // The kernel accepts some bytes from time to time: the peer acknowledges.
        for _ in 0..<5 {
            try await harness.advance(by: .seconds(10))
            try await harness.onLoop { [connection = harness.connection] in connection.kernelAcceptedBytes() }
        }
        #expect(harness.entries() == ["doubted"])
        try await harness.setWritable(true)
        #expect(try await harness.frames().map(\.kind) == [.ping])
        // From here the answer is due.
        try await harness.advance(by: .seconds(14))
        #expect(harness.entries().isEmpty)
        try await harness.advance(by: .seconds(1))
        #expect(harness.entries() == ["closed keepAliveFailed"])
        await harness.finish()
    }

    @Test(
        "A doubted peer that sends bytes but answers no PING gets no new requests after 45 s; the others continue"
    )
    func trickling() async throws {
        let harness = try await makeHarness()
        let download = try await harness.send(get("/download"))
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
        let response = try await download.task.value
        let silent = try await harness.send(get("/silent"), timeouts: Self.timeouts)
        try await harness.advance(by: .seconds(2))
        #expect(await silent.error?.code == .responseHeadTimeout)
        #expect(harness.entries().contains("doubted"))
        _ = try await harness.frames()
        for _ in 0..<4 {
            try await harness.advance(by: .seconds(10))
            try await harness.receive(HTTP2WireFrame(.data, on: 1, ByteBuffer(string: "x")))
        }
        #expect(harness.entries().isEmpty)
        try await harness.advance(by: .seconds(5))
        var entries = harness.entries()
        #expect(entries.first == "retired keepAliveFailed")
        #expect(!entries.contains { $0.hasPrefix("closed") })
        // A request whose lease was granted before the pool knew goes to another connection.
        let late = try await harness.send(get("/late"))
        #expect(await late.error?.isDeclined == true)
        try await harness.receive(
            HTTP2WireFrame(.data, flags: HTTP2WireFrame.endStream, on: 1, ByteBuffer(string: "end")))
        #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "xxxxend"))
        entries = harness.entries()
        #expect(!entries.contains { $0.hasPrefix("closed") })
        // When no more bytes arrive, the peer is dead.
        try await harness.advance(by: .seconds(15))
        #expect(harness.entries().contains("closed keepAliveFailed"))
        await harness.finish()
    }

    @Test("A peer that answers requests but no PING gets no new requests 45 s after one was cancelled")
    func resetsWithoutAnswer() async throws {
        let harness = try await makeHarness()
        let cancelled = try await harness.send(get("/cancelled"))
        cancelled.task.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.task.value }
        try await eventually("the reset") { try await harness.onLoop { harness.connection.table.isEmpty } }
        for number in 1...4 {
            try await harness.advance(by: .seconds(10))
            let call = try await harness.send(get("/\(number)"))
            try await harness.reply(on: 2 * number + 1)
            #expect(try await call.task.value.status == .ok)
        }
        #expect(!harness.entries().contains { $0.hasPrefix("retired") })
        try await harness.advance(by: .seconds(5))
        #expect(harness.entries().first == "retired keepAliveFailed")
        await harness.finish()
    }

    @Test("a PING that the kernel never accepts ends the connection after keepAliveTimeout")
    func pingNeverLeaves() async throws {
        let harness = try await makeHarness()
        try await harness.setWritable(false)
        harness.connection.probe()
        _ = try await harness.frames()
        try await harness.advance(by: .seconds(15))
        #expect(harness.entries() == ["doubted", "closed keepAliveFailed"])
        await harness.finish()
    }

    @Test("A limit of less than 100 ms for a request raises no doubt: a healthy peer may need that long")
    func shortLimits() async throws {
        let harness = try await makeHarness()
        var timeouts = Timeouts()
        timeouts.attempt = .milliseconds(50)
        let attempt = try await harness.send(get("/a"), timeouts: timeouts)
        try await harness.advance(by: .milliseconds(50))
        #expect(await attempt.error?.code == .attemptTimeout)
        #expect(!harness.entries().contains("doubted"))
        await harness.finish()
    }

    @Test("a stream's window at its largest survives a late acknowledgement of the settings", arguments: [true, false])
    func lateAcknowledgement(readsBefore: Bool) async throws {
        let harness = try await HTTP2Harness(acknowledges: false) { $0.streamWindow = 2_147_483_647 }
        let call = try await harness.send(get("/"))
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
        let response = try await call.task.value
        var granted = 65_535
        var sent = 0
        func send(_ count: Int) async throws {
            try await harness.receive(HTTP2WireFrame(.data, on: 1, ByteBuffer(repeating: 0x61, count: count)))
            sent += count
            for frame in try await harness.frames() where frame.kind == .windowUpdate && frame.stream == 1 {
                granted += Int(frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self) ?? 0)
            }
        }
        var reader = response.body.makeAsyncIterator()
        var read = 0
        for _ in 0..<4 {
            try await send(15_000)
            if readsBefore { read += try await reader.next()?.readableBytes ?? 0 }
        }
        try await harness.receive(.settingsAcknowledgement)
        // The window as the peer counts it, from the settings that the peer has acknowledged.
        granted += 2_147_483_647 - 65_535
        for _ in 0..<20 { try await send(15_000) }
        #expect(granted - sent <= 2_147_483_647)
        try await harness.receive(HTTP2WireFrame(.data, flags: HTTP2WireFrame.endStream, on: 1))
        while let bytes = try await reader.next() { read += bytes.readableBytes }
        #expect(read == sent)
        #expect(sent == 360_000)
        #expect(harness.entries().allSatisfy { !$0.hasPrefix("closed") })
        await harness.finish()
    }
}
