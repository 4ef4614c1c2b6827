import Testing

@testable import BowlineTransport

/// Opening, ending and resetting streams, and what the peer says of the whole connection.
@Suite struct SessionStreamTests {
    // MARK: Opening

    @Test("Streams are numbered 1, 3, 5 …, and HEADERS say whether the request ends with them")
    func numbers() throws {
        let harness = try SessionHarness.ready()
        #expect(harness.lastOpened == 0)
        #expect(try [harness.open(ends: true), harness.open(ends: false), harness.open(ends: true)] == [1, 3, 5])
        #expect(harness.lastOpened == 5)
        let ends = try harness.written().compactMap { frame -> Bool? in
            guard case .headers(_, _, let ends) = frame else { return nil }
            return ends
        }
        #expect(ends == [true, false, true])
    }

    @Test("A request, its trailers and the response's arrive as they were sent")
    func fields() throws {
        let harness = try SessionHarness.ready()
        let stream = try harness.open([":method: POST", ":path: /a", "x-one: 1"], ends: false)
        harness.send(3, on: stream)
        try harness.sendTrailers(["x-sum: 6"], on: stream)
        let sections = try harness.writtenSections()
        #expect(sections == [[":method: POST", ":path: /a", "x-one: 1"], ["x-sum: 6"]])
        #expect(
            harness.receiveHead([":status: 103", "link: </a>"], on: stream)
                == [.headers(stream, [":status: 103", "link: </a>"], ends: false)])
        #expect(harness.receiveHead(on: stream) == [.headers(stream, [":status: 200"], ends: false)])
        #expect(harness.receiveData(2, on: stream) == [.data(stream, "dd", ends: false)])
        #expect(
            harness.receiveHead(["x-end: yes"], on: stream, ends: true)
                == [.headers(stream, ["x-end: yes"], ends: true)])
        #expect(harness.state(of: stream) == .closed)
        #expect(harness.openCount == 0)
    }

    @Test("An empty DATA frame is an event only if it ends the stream")
    func emptyData() throws {
        let harness = try SessionHarness.ready()
        try harness.openAnswered()
        #expect(harness.receiveData(0, on: 1) == [])
        #expect(harness.receiveData(0, on: 1, ends: true) == [.data(1, "", ends: true)])
    }

    @Test("After the last number no stream is opened (RFC 9113 §5.1.1)", .tags(.H2z))
    func exhaustion() throws {
        let harness = try SessionHarness.ready(firstStreamID: 0x7FFF_FFFD)
        #expect(try harness.open() == 0x7FFF_FFFD)
        #expect(!harness.isExhausted)
        #expect(try harness.open() == 0x7FFF_FFFF)
        #expect(harness.isExhausted)
        #expect(!harness.hasRoom)
        #expect(!harness.isClosing)
        #expect(harness.receiveHead(on: 0x7FFF_FFFF, ends: true).count == 1)
    }

    @Test("Room ends at the limit and comes back as streams end", .tags(.H2g))
    func room() throws {
        let harness = try SessionHarness.ready([.maximumStreams(2)])
        try harness.open()
        #expect(harness.hasRoom)
        try harness.open()
        #expect(!harness.hasRoom)
        harness.receiveHead(on: 1, ends: true)
        #expect(harness.hasRoom)
        harness.receive { $0.reset(stream: 3, code: .refusedStream) }
        #expect(harness.occupied == 0)
    }

    // MARK: Resets

    @Test("A reset stream keeps its place until a PING that was sent after it is answered")
    func places() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<3 { try harness.open() }
        harness.reset(1)
        harness.ping(7)
        harness.reset(3)
        #expect(harness.occupied == 3)
        #expect(harness.resets == 1)
        #expect(harness.awaitedResets == 1)
        #expect(harness.receive { $0.pong(7) } == [.pong(7)])
        #expect(harness.pingAnswered() == 1)
        #expect(harness.occupied == 2)
        #expect(harness.pingAnswered() == 0, "nothing was asked since")
        harness.ping(8)
        #expect(harness.pingAnswered() == 1)
        #expect(harness.occupied == 1)
        let kinds = try harness.written().filter { $0 == .ping(7) || $0 == .ping(8) || $0.isReset }
        #expect(
            kinds == [.reset(stream: 1, code: .cancel), .ping(7), .reset(stream: 3, code: .cancel), .ping(8)])
    }

    @Test("If no stream will be opened, resets need no place")
    func forget() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<3 { try harness.open() }
        harness.reset(1)
        harness.ping(7)
        harness.reset(3)
        #expect(harness.forgetResets() == 2)
        #expect(harness.occupied == 1)
        #expect(harness.pingAnswered() == 0)
        #expect(harness.receiveHead(on: 1) == [], "the streams are remembered all the same")
    }

    @Test("A stream that violated a rule keeps its place, like one that we reset; one that the peer reset does not")
    func whoseReset() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<2 { try harness.open(ends: false) }
        harness.receive(raw: SessionHarness.frame(8, stream: 1, [0, 0, 0, 0]))
        #expect(harness.resets == 1)
        #expect(harness.receive { $0.reset(stream: 3, code: .refusedStream) } == [.reset(3, .refusedStream)])
        #expect(harness.occupied == 1)
    }

    @Test(
        "HEADERS for a stream that was reset are decoded, so that later sections are read as they were sent",
        .tags(.H2w))
    func decodedAllTheSame() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<2 { try harness.open() }
        harness.reset(1)
        #expect(harness.receiveHead([":status: 200", "x-first: a", "x-second: b"], on: 1) == [])
        // Both are indexes into the table now.
        #expect(
            harness.receiveHead([":status: 200", "x-second: b", "x-first: a"], on: 3)
                == [.headers(3, [":status: 200", "x-second: b", "x-first: a"], ends: false)])
    }

    @Test("The latest 64 streams that were reset are remembered after a PING's answer")
    func remembered() throws {
        let harness = try SessionHarness.ready { $0.maximumStreams = 2 }
        for number in 0..<65 {
            harness.reset(try harness.open())
            harness.ping(UInt64(number))
            #expect(harness.pingAnswered() == 1)
        }
        #expect(harness.state(of: 1) == .closed)
        #expect(harness.state(of: 3) == .reset)
        #expect(harness.receiveHead(on: 3) == [])
        #expect(harness.receiveHead(on: 1) == [.connectionFailed(.streamClosed)])
    }

    @Test(
        "DATA after the end of a half-closed stream resets the stream, wherever the frame is cut", arguments: 1...4)
    func behindTheEnd(pieces: Int) throws {
        let harness = try SessionHarness.ready()
        try harness.openAnswered(ends: false)
        harness.receiveData(1, on: 1, ends: true)
        let frame = SessionHarness.frame(0, stream: 1, [UInt8](repeating: 0, count: 100))
        #expect(harness.receive(raw: frame, pieces: pieces) == [.streamFailed(1, .streamClosed)])
        #expect(harness.receive { $0.ping(1) } == [.ping])
        #expect(harness.receive(raw: frame) == [.connectionFailed(.streamClosed)], "the next frame is another matter")
    }

    @Test("A field section that cannot be decoded ends the connection")
    func undecodable() throws {
        let harness = try SessionHarness.ready()
        try harness.open()
        _ = try harness.written()
        // Index 0.
        let seen = harness.receive(raw: SessionHarness.frame(1, flags: 4, stream: 1, [0x80]))
        #expect(seen == [.connectionFailed(.compressionError)])
        #expect(harness.violation?.description.contains("index") == true)
        #expect(try harness.written() == [.goAway(lastStream: 0, code: .compressionError)])
    }

    @Test("A field section above our limit is decoded and says so; the connection goes on", .tags(.H2p))
    func tooLarge() throws {
        let harness = try SessionHarness.ready { $0.fieldLimits.maximumListSize = 100 }
        for _ in 0..<2 { try harness.open() }
        // ":status" and "200" count 42.
        let fields = [":status: 200", "x-long: " + String(repeating: "v", count: 100)]
        #expect(harness.receiveHead(fields, on: 1) == [.headers(1, [":status: 200"], ends: false)])
        #expect(harness.receiveHead(on: 3) == [.headers(3, [":status: 200"], ends: false)])
    }

    @Test("A section of more than 64 times the limit ends the connection", .tags(.H2p))
    func bomb() throws {
        for (count, seen) in [
            (6_300, SessionHarness.Seen.headers(1, [":status: 200"], ends: false)),
            (6_500, .connectionFailed(.enhanceYourCalm)),
        ] {
            let harness = try SessionHarness.ready { $0.fieldLimits.maximumListSize = 100 }
            try harness.open()
            #expect(
                harness.receiveHead([":status: 200", "x-long: " + String(repeating: "v", count: count)], on: 1) == [
                    seen
                ])
        }
    }

    // MARK: The connection

    @Test("GOAWAY removes the streams above its last stream; the others continue, and no stream is opened", .tags(.H2a))
    func goAway() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<4 { try harness.open() }
        #expect(harness.receive { $0.goAway(lastStream: 3, code: .enhanceYourCalm) } == [.goAway(3, .enhanceYourCalm)])
        #expect([1, 3, 5, 7].map { harness.isOpen($0) } == [true, true, false, false])
        #expect(harness.openCount == 2)
        #expect(harness.isClosing)
        #expect(!harness.hasRoom)
        #expect(harness.receiveHead(on: 3, ends: true) == [.headers(3, [":status: 200"], ends: true)])
        #expect(harness.receiveHead(on: 5) == [], "what it had sent already is dropped")
    }

    @Test("A second GOAWAY may lower the last stream or repeat it, from 2³¹ − 1 on", .tags(.H2c))
    func goAwayTwice() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<3 { try harness.open() }
        #expect(
            harness.receive { $0.goAway(lastStream: 0x7FFF_FFFF, code: .noError) } == [.goAway(0x7FFF_FFFF, .noError)])
        #expect(harness.openCount == 3)
        #expect(harness.receive { $0.goAway(lastStream: 3, code: .noError) } == [.goAway(3, .noError)])
        #expect(harness.receive { $0.goAway(lastStream: 3, code: .noError) } == [.goAway(3, .noError)])
        #expect(harness.openCount == 2)
        #expect(harness.receive { $0.goAway(lastStream: 0, code: .noError) } == [.goAway(0, .noError)])
        #expect(harness.openCount == 0)
    }

    @Test(
        "A GOAWAY with a higher last stream than the previous GOAWAY ends the connection (RFC 9113 §6.8)", .tags(.H2c))
    func goAwayRaised() throws {
        let harness = try SessionHarness.ready()
        harness.receive { $0.goAway(lastStream: 3, code: .noError) }
        #expect(
            harness.receive { $0.goAway(lastStream: 5, code: .noError) } == [.connectionFailed(.protocolError)])
    }

    @Test("Our GOAWAY leaves no room for new streams, and open streams continue")
    func ourGoAway() throws {
        let harness = try SessionHarness.ready()
        try harness.openAnswered()
        harness.goAway()
        #expect(try harness.written() == [.goAway(lastStream: 0, code: .noError)])
        #expect(!harness.hasRoom)
        #expect(!harness.isClosing)
        #expect(harness.receiveData(1, on: 1, ends: true) == [.data(1, "d", ends: true)])
    }

    @Test("A PING is answered with its value; an answer to our PING is reported")
    func pings() throws {
        let harness = try SessionHarness.ready()
        #expect(harness.receive { $0.ping(0x0102_0304_0506_0708) } == [.ping])
        #expect(try harness.written() == [.pong(0x0102_0304_0506_0708)])
        #expect(harness.receive { $0.pong(9) } == [.pong(9)])
    }

    @Test("PUSH_PROMISE ends the connection: it was not allowed", .tags(.H2t))
    func push() throws {
        let harness = try SessionHarness.ready()
        try harness.open()
        let seen = harness.receive(raw: SessionHarness.frame(5, flags: 4, stream: 1, [0, 0, 0, 2, 0x88]))
        #expect(seen == [.connectionFailed(.protocolError)])
    }

    @Test("Frames of unknown types are ignored, on any stream (RFC 9113 §5.5)", arguments: [0, 1, 2, 99])
    func unknown(stream: Int) throws {
        let harness = try SessionHarness.ready()
        #expect(harness.receive(raw: SessionHarness.frame(0xBB, flags: 0xFF, stream: stream, [1, 2, 3])) == [])
        #expect(!harness.isWithinFrame)
        #expect(harness.receive { $0.ping(1) } == [.ping])
    }

    @Test("A failed session has no streams, writes nothing more, and reads nothing more")
    func failed() throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<2 { try harness.open(ends: false) }
        harness.reset(3)
        _ = try harness.written()
        // An increment of 0 on the connection, and more behind it.
        let bytes = SessionHarness.frame(8, [0, 0, 0, 0]) + SessionHarness.frame(6, [UInt8](repeating: 0, count: 8))
        #expect(harness.receive(raw: bytes) == [.connectionFailed(.protocolError)])
        #expect(try harness.written() == [.goAway(lastStream: 0, code: .protocolError)])
        #expect(harness.isClosing)
        #expect(!harness.hasRoom)
        #expect(harness.openCount == 0)
        #expect(harness.occupied == 0)
        #expect(harness.sendable(on: 1) == 0)
        harness.send(0, ends: true, on: 1)
        harness.reset(1)
        harness.ping(1)
        harness.goAway()
        harness.consumed(1, on: 1)
        #expect(harness.pingAnswered() == 0)
        #expect(harness.receive { $0.ping(2) } == [])
        #expect(harness.writtenBytes() == [])
        #expect(!harness.isWithinFrame)
    }
}
