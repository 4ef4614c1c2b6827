internal import Bowline
internal import BowlineTesting
internal import NIOCore
internal import Testing

@testable import BowlineTrust

@Suite("Streams: what is drawn")
struct StreamsDrawingTests {
    @Test("The same seed and number draw the same call, and a target's numbers are parsed back")
    func same() {
        let call = StreamsCall(seed: 7, number: 12)
        #expect(StreamsCall(seed: 7, number: 12) == call)
        #expect(StreamsCall.number(ofTarget: call.target) == 12)
        #expect(StreamsCall.number(ofTarget: "/calls/") == nil)
        #expect((0..<50).map { StreamsCall(seed: 7, number: $0) } != (0..<50).map { StreamsCall(seed: 8, number: $0) })
    }

    @Test("Half of the calls are POSTs; bodies have the drawn length, and a piece has the bytes of its place")
    func content() {
        let calls = (0..<2_000).map { StreamsCall(seed: 1, number: $0) }
        #expect((900...1_100).contains(calls.count { $0.method == .post }))
        #expect(calls.allSatisfy { ($0.method == .post) == ($0.bodyCount > 0) })
        #expect(calls.allSatisfy { $0.body.readableBytes == $0.bodyCount && $0.answer.readableBytes == $0.answerCount })
        let whole = StreamsCall.piece(of: 9, at: 0, count: 1_000)
        #expect(
            StreamsCall.piece(of: 9, at: 300, count: 200) == whole.getSlice(at: whole.readerIndex + 300, length: 200))
        #expect(StreamsCall.piece(of: 10, at: 0, count: 1_000) != whole)
    }

    @Test("every end of a connection is drawn, in the range of its streams")
    func ends() {
        var random = SeededRandom(seed: 3)
        let ends = (0..<1_000).map { _ in StreamsEnd(&random, streams: 100) }
        #expect((500...700).contains(ends.count { $0 == .exhausted }))
        #expect(
            ends.allSatisfy { end in
                switch end {
                case .exhausted: true
                case .goAway(let count, _), .cut(let count): (1..<100).contains(count)
                }
            })
        #expect(ends.contains { if case .goAway(_, isAnnounced: true) = $0 { true } else { false } })
        #expect(ends.contains { if case .cut = $0 { true } else { false } })
    }
}

/// A client of one ``StreamsPeer``, frame by frame.
private struct PeerHarness {
    static let seed: UInt64 = 11
    var peer: StreamsPeer
    var nextStream = 1

    /// The first connection that ends so.
    init(where isWanted: (StreamsEnd) -> Bool, streams: Int = 50) throws {
        let number = try #require(
            (1..<1_000).first { number in
                var mixed = SeededRandom(seed: Self.seed ^ UInt64(number) &* 0xD1B5_4A32_D192_ED03)
                var random = SeededRandom(seed: mixed.next())
                return isWanted(StreamsEnd(&random, streams: streams))
            })
        peer = StreamsPeer(seed: Self.seed, connection: number, requests: 10_000, streams: streams)
        _ = peer.begin()
        _ = peer.received(.settingsAcknowledgement, [])
    }

    /// The number of the first request of that method, from `start` on.
    static func number(_ method: HTTPRequest.Method, from start: Int = 0) -> Int {
        (start..<10_000).first { StreamsCall(seed: seed, number: $0).method == method } ?? 0
    }

    static func fields(_ number: Int, as method: HTTPRequest.Method? = nil) -> [HTTP2WireField] {
        let call = StreamsCall(seed: seed, number: number)
        return [
            HTTP2WireField(":method", "\(method ?? call.method)"), HTTP2WireField(":path", call.target),
            HTTP2WireField(StreamsCall.numberField, "\(number)"),
        ]
    }

    /// Sends the head of a request on the next stream.
    mutating func head(_ number: Int, ends: Bool) -> Int {
        let id = nextStream
        nextStream += 2
        let flags = HTTP2WireFrame.endHeaders | (ends ? HTTP2WireFrame.endStream : 0)
        _ = peer.received(HTTP2WireFrame(.headers, flags: flags, on: id), Self.fields(number))
        return id
    }

    /// Sends GETs, one in each turn, until the turn meets the condition.
    mutating func turn(where isWanted: (StreamsPeer.Turn) -> Bool) throws -> StreamsPeer.Turn {
        var number = 0
        for _ in 0..<4_000 {
            number = Self.number(.get, from: number + 1)
            _ = head(number, ends: true)
            let turn = peer.endTurn()
            if isWanted(turn) { return turn }
            let frames = turn.frames + (turn.pause > 0 ? peer.pauseEnded().frames : [])
            for frame in frames where frame.kind == .settings { _ = peer.received(.settingsAcknowledgement, []) }
        }
        return try #require(nil)
    }
}

@Suite("Streams: the peer")
struct StreamsPeerTests {
    private static func never(_ end: StreamsEnd) -> Bool { end == .exhausted }

    @Test("A complete request is executed once, and answered with its own number and body")
    func answer() throws {
        var harness = try PeerHarness(where: Self.never)
        let turn = try harness.turn { !$0.executed.isEmpty }
        let number = try #require(turn.executed.first)
        let data = try #require(turn.frames.first { $0.kind == .data })
        #expect(turn.executed.count == 1)
        #expect(data.endsStream)
        #expect(data.payload == StreamsCall(seed: PeerHarness.seed, number: number).answer)
        #expect(harness.peer.endTurn().executed == [])
        #expect(harness.peer.problems == [])
    }

    @Test("A body in pieces is executed when it is complete; a wrong body is noted")
    func body() throws {
        for isRight in [true, false] {
            var harness = try PeerHarness(where: Self.never)
            let number = PeerHarness.number(.post)
            let call = StreamsCall(seed: PeerHarness.seed, number: number)
            let id = harness.head(number, ends: false)
            #expect(harness.peer.endTurn().executed == [])
            let bytes = isRight ? call.body : ByteBuffer(repeating: 1, count: call.bodyCount)
            _ = harness.peer.received(HTTP2WireFrame(.data, flags: HTTP2WireFrame.endStream, on: id, bytes), [])
            // It may have been refused, or its window be smaller than its body: neither is looked at here.
            let problems = harness.peer.problems.filter { $0.hasSuffix("other bytes") }
            #expect(problems == (isRight ? [] : ["request \(number) came with a body of other bytes"]))
        }
    }

    @Test("Another request's fields and a stream number that does not rise are noted")
    func fields() throws {
        var harness = try PeerHarness(where: Self.never)
        let number = PeerHarness.number(.get)
        _ = harness.peer.received(
            HTTP2WireFrame(.headers, flags: 5, on: 9), PeerHarness.fields(number, as: .post))
        #expect(harness.peer.problems == ["request \(number) came with the fields of another"])
        _ = harness.peer.received(HTTP2WireFrame(.headers, flags: 5, on: 9), PeerHarness.fields(number))
        #expect(harness.peer.problems.last == "stream 9 was opened after stream 9")
    }

    @Test("The last stream number counts as the connection's exhaustion")
    func exhausted() throws {
        var harness = try PeerHarness(where: Self.never)
        _ = harness.peer.received(
            HTTP2WireFrame(.headers, flags: 5, on: 0x7FFF_FFFF), PeerHarness.fields(PeerHarness.number(.get)))
        #expect(harness.peer.figures.exhausted == 1)
    }

    @Test("After a GOAWAY no stream above the last is executed, and the connection ends with the remaining streams")
    func goesAway() throws {
        var harness = try PeerHarness { end in
            if case .goAway(_, isAnnounced: false) = end { true } else { false }
        }
        let turn = try harness.turn { $0.frames.contains { $0.kind == .goAway } }
        let goAway = try #require(turn.frames.first { $0.kind == .goAway })
        let last = try #require(goAway.payload.getInteger(at: goAway.payload.readerIndex, as: UInt32.self))
        #expect(turn.end == .finished)
        #expect(harness.peer.figures.goAways == 1)
        let before = harness.peer.figures
        let id = harness.head(PeerHarness.number(.get), ends: true)
        #expect(id > last)
        #expect(harness.peer.endTurn().executed == [])
        #expect(harness.peer.figures.executed == before.executed)
        #expect(harness.peer.figures.ignored == before.ignored + 1)
    }

    @Test("An announced GOAWAY names all streams first, and the last stream after a pause")
    func announced() throws {
        var harness = try PeerHarness { end in
            if case .goAway(_, isAnnounced: true) = end { true } else { false }
        }
        let turn = try harness.turn { $0.frames.contains { $0.kind == .goAway } }
        #expect(turn.frames.contains(.goAway(last: 0x7FFF_FFFF)))
        #expect(turn.pause > 0)
        #expect(turn.end == nil)
        let after = harness.peer.pauseEnded()
        #expect(after.frames.count { $0.kind == .goAway } == 1)
        #expect(after.end == .finished)
    }

    @Test("A connection that is cut sends nothing more")
    func cut() throws {
        var harness = try PeerHarness { if case .cut = $0 { true } else { false } }
        let turn = try harness.turn { $0.end != nil }
        #expect(turn.end == .cut)
        #expect(!turn.frames.contains { $0.kind == .goAway })
        #expect(harness.peer.figures.cuts == 1)
    }

    @Test("a limit of no streams is raised when the pause ends")
    func noStreams() throws {
        var harness = try PeerHarness(where: Self.never, streams: 10_000)
        let turn = try harness.turn { $0.frames.contains(.settings([(3, 0)])) }
        #expect(turn.pause > 0)
        let raised = try #require(harness.peer.pauseEnded().frames.first { $0.kind == .settings })
        #expect(raised != .settings([(3, 0)]))
    }

    @Test("A used-up window is updated in the same turn")
    func window() throws {
        var harness = try PeerHarness(where: Self.never)
        let id = harness.head(PeerHarness.number(.post), ends: false)
        try #require(harness.peer.figures.refused == 0)
        // More than any window, so that each window is used up; the excess is noted.
        _ = harness.peer.received(HTTP2WireFrame(.data, on: id, ByteBuffer(repeating: 0, count: 1_100_000)), [])
        let updated = harness.peer.endTurn().frames.filter { $0.kind == .windowUpdate }.map(\.stream)
        #expect(updated.sorted() == [0, id])
    }
}
