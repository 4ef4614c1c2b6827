import NIOCore
import Testing

@testable import BowlineTransport

/// Flow control of the session in both directions (RFC 9113 §6.9).
@Suite struct SessionWindowTests {
    // MARK: What the peer may send

    @Test("A stream's window is 65,535 until our settings are acknowledged, then ours, also for open streams")
    func acknowledgement() throws {
        let harness = try SessionHarness.ready { $0.streamWindow = 100_000 }
        try harness.openAnswered(2)
        #expect(!harness.receiveData(65_535, on: 1).contains(.streamFailed(1, .flowControlError)))
        #expect(harness.receive { $0.settingsAcknowledgement() } == [.settingsAcknowledged])
        #expect(harness.receiveData(34_465, on: 1).last == .data(1, String(repeating: "d", count: 1_697), ends: false))
        #expect(harness.receiveData(1, on: 1) == [.streamFailed(1, .flowControlError)])
        // A stream that had received nothing has the whole window.
        #expect(!harness.receiveData(100_000, on: 3).contains(.streamFailed(3, .flowControlError)))
        #expect(harness.receiveData(1, on: 3) == [.streamFailed(3, .flowControlError)])
    }

    @Test("A stream that is opened after the acknowledgement begins with our window")
    func openedLater() throws {
        let harness = try SessionHarness.acknowledged { $0.streamWindow = 70_000 }
        try harness.openAnswered()
        #expect(!harness.receiveData(70_000, on: 1).contains(.streamFailed(1, .flowControlError)))
        #expect(harness.receiveData(1, on: 1) == [.streamFailed(1, .flowControlError)])
    }

    @Test("DATA beyond the stream's window resets the stream, and the connection goes on")
    func beyondStream() throws {
        let harness = try SessionHarness.ready()
        try harness.openAnswered(2)
        harness.receiveData(65_535, on: 1)
        #expect(harness.receiveData(1, on: 1) == [.streamFailed(1, .flowControlError)])
        #expect(try harness.written() == [.reset(stream: 1, code: .flowControlError)])
        #expect(harness.violation?.rule.description == "RFC 9113 §6.9")
        #expect(harness.receiveData(1, on: 3) == [.data(3, "d", ends: false)])
    }

    @Test(
        "DATA beyond the connection's window ends the connection, wherever the frames are cut, and padding counts",
        arguments: [1, 2, 7, 1_000], [false, true])
    func beyondConnection(pieces: Int, isBeyond: Bool) throws {
        let harness = try SessionHarness.ready { $0.connectionWindow = 65_535 }
        try harness.openAnswered(4)
        var bytes: [UInt8] = []
        for stream in [1, 3, 5] { bytes += SessionHarness.paddedData(16_128, padding: 255, stream: stream) }
        // Three frames of 16,384, and one of that or of a byte less.
        bytes += SessionHarness.paddedData(isBeyond ? 16_128 : 16_127, padding: 255, stream: 7)
        let seen = harness.receive(raw: bytes, pieces: pieces)
        if isBeyond {
            #expect(seen.last == .connectionFailed(.flowControlError))
            #expect(try harness.written() == [.goAway(lastStream: 0, code: .flowControlError)])
        } else {
            #expect(!harness.isClosing)
            #expect(try harness.written().contains(.windowUpdate(stream: 0, increment: 65_535)))
        }
    }

    @Test("A stream's window gives the same verdict however a frame is cut, even if bytes are consumed meanwhile")
    func cutFrames() throws {
        let harness = try SessionHarness.acknowledged { $0.streamWindow = 10_000 }
        try harness.openAnswered()
        let frame = SessionHarness.frame(0, stream: 1, [UInt8](repeating: UInt8(ascii: "d"), count: 10_001))
        let first = harness.receive(raw: Array(frame.prefix(9_009)))
        #expect(first == [.data(1, String(repeating: "d", count: 9_000), ends: false)])
        harness.consumed(9_000, on: 1)
        #expect(try harness.written() == [], "the update waits for the frame's end")
        #expect(harness.receive(raw: Array(frame.dropFirst(9_009))) == [.streamFailed(1, .flowControlError)])
    }

    @Test("A frame must fit the connection's window before the frame, even if an update is written within the frame")
    func updateWithinFrame() throws {
        for isBeyond in [false, true] {
            let harness = try SessionHarness.ready { $0.connectionWindow = 65_535 }
            try harness.openAnswered(4)
            for stream in [1, 3, 5] { harness.receiveData(16_384, on: stream) }
            let payload = [UInt8](repeating: UInt8(ascii: "d"), count: isBeyond ? 16_384 : 16_383)
            let frame = SessionHarness.frame(0, stream: 7, payload)
            harness.receive(raw: Array(frame.prefix(9_009)))
            #expect(try harness.written() == [.windowUpdate(stream: 0, increment: 58_152)])
            let seen = harness.receive(raw: Array(frame.dropFirst(9_009)))
            guard !isBeyond else {
                #expect(seen == [.connectionFailed(.flowControlError)])
                continue
            }
            // The update counts from the frame's end.
            for (index, count) in [16_384, 16_384, 16_384, 9_000].enumerated() {
                harness.receiveData(count, on: 2 * index + 1)
            }
            #expect(!harness.isClosing)
            #expect(harness.receiveData(1, on: 1) == [.connectionFailed(.flowControlError)])
        }
    }

    @Test(
        "Bytes consumed within a frame are returned to the stream at its end, and to the connection at once"
    )
    func givenBackAtFrameEnd() throws {
        let harness = try SessionHarness.acknowledged {
            $0.streamWindow = 16_000
            $0.connectionWindow = 65_535
        }
        try harness.openAnswered(3)
        for stream in [3, 5] { harness.receiveData(15_000, on: stream) }
        let frame = SessionHarness.frame(0, stream: 1, [UInt8](repeating: UInt8(ascii: "d"), count: 10_000))
        harness.receive(raw: Array(frame.prefix(9_009)))
        harness.consumed(9_000, on: 1)
        #expect(harness.outputByteCount == 13)
        #expect(try harness.written() == [.windowUpdate(stream: 0, increment: 39_000)])
        harness.receive(raw: Array(frame.dropFirst(9_009)))
        #expect(harness.outputByteCount == 13)
        #expect(try harness.written() == [.windowUpdate(stream: 1, increment: 9_000)])
    }

    @Test("A stream's window is returned as its reader takes bytes, in steps of half the window")
    func consumed() throws {
        let harness = try SessionHarness.acknowledged { $0.streamWindow = 1_000 }
        try harness.openAnswered()
        harness.receiveData(1_000, on: 1)
        #expect(try harness.written() == [], "nobody has read")
        harness.consumed(499, on: 1)
        #expect(try harness.written() == [])
        harness.consumed(1, on: 1)
        #expect(try harness.written() == [.windowUpdate(stream: 1, increment: 500)])
        #expect(harness.receiveData(500, on: 1) == [.data(1, String(repeating: "d", count: 500), ends: false)])
        harness.consumed(10_000, on: 1)
        #expect(try harness.written() == [.windowUpdate(stream: 1, increment: 1_000)], "all that was held, not more")
    }

    @Test("A stream that the peer has ended, or that is closed, gets no WINDOW_UPDATE")
    func consumedBehindTheEnd() throws {
        let harness = try SessionHarness.acknowledged { $0.streamWindow = 1_000 }
        try harness.openAnswered(2, ends: false)
        harness.receiveData(1_000, on: 1, ends: true)
        harness.receiveData(1_000, on: 3)
        harness.reset(3)
        _ = try harness.written()
        for stream in [1, 3, 5, 99, 0, -1] { harness.consumed(1_000, on: stream) }
        #expect(try harness.written() == [])
    }

    @Test("The connection's window is returned as bytes arrive, in steps of half, even without a reader", .tags(.H2j))
    func connectionGivenBack() throws {
        let harness = try SessionHarness.ready { $0.connectionWindow = 100_000 }
        try harness.openAnswered(2)
        harness.receiveData(16_384, on: 1)
        harness.receiveData(33_000, on: 3)
        #expect(try harness.written() == [])
        harness.receiveData(700, on: 1)
        #expect(try harness.written() == [.windowUpdate(stream: 0, increment: 50_084)])
    }

    @Test("Padding counts in the stream's window and is returned at once")
    func padding() throws {
        let harness = try SessionHarness.acknowledged { $0.streamWindow = 500 }
        try harness.openAnswered()
        let seen = harness.receive(raw: SessionHarness.paddedData(1, padding: 255, stream: 1))
        #expect(seen == [.data(1, "d", ends: false)])
        // 255 bytes of padding and the one of its length are owed, which is more than half of 500.
        #expect(try harness.written() == [.windowUpdate(stream: 1, increment: 256)])
        // Padding alone is no event, and counts: of 499 bytes 299 are left.
        #expect(harness.receive(raw: SessionHarness.paddedData(0, padding: 199, stream: 1)) == [])
        #expect(harness.receiveData(300, on: 1) == [.streamFailed(1, .flowControlError)])
    }

    @Test(
        "DATA for a reset stream counts in the connection's window, is returned, and is no event",
        .tags(.H2j, .H2w))
    func lateData() throws {
        let harness = try SessionHarness.ready { $0.connectionWindow = 65_535 }
        try harness.openAnswered()
        harness.reset(1)
        _ = try harness.written()
        // More than the stream's own window, which does not matter any more.
        for _ in 0..<4 {
            #expect(harness.receiveData(32_768, on: 1) == [])
            #expect(try harness.written() == [.windowUpdate(stream: 0, increment: 32_768)])
        }
        #expect(harness.receiveData(65_536, on: 1) == [.connectionFailed(.flowControlError)])
    }

    @Test("DATA that is refused for its size counts in the connection's window, and is returned", .tags(.H2j))
    func refusedData() throws {
        let harness = try SessionHarness.ready { $0.connectionWindow = 65_535 }
        try harness.openAnswered(2)
        for stream in [1, 3] {
            let frame = SessionHarness.frame(0, stream: stream, [UInt8](repeating: 0, count: 16_385))
            #expect(harness.receive(raw: frame) == [.streamFailed(stream, .frameSizeError)])
        }
        #expect(
            try harness.written() == [
                .reset(stream: 1, code: .frameSizeError), .reset(stream: 3, code: .frameSizeError),
                .windowUpdate(stream: 0, increment: 32_770),
            ])
    }

    @Test("When the peer acknowledges our smaller window, the owed bytes are returned at once")
    func shrunk() throws {
        let harness = try SessionHarness.ready { $0.streamWindow = 1_000 }
        try harness.openAnswered()
        harness.receiveData(20_000, on: 1)
        harness.consumed(20_000, on: 1)
        #expect(try harness.written() == [], "less than half of 65,535")
        harness.receive { $0.settingsAcknowledgement() }
        #expect(try harness.written() == [.windowUpdate(stream: 1, increment: 20_000)])
        #expect(harness.receiveData(1_000, on: 1) == [.data(1, String(repeating: "d", count: 1_000), ends: false)])
        #expect(harness.receiveData(1, on: 1) == [.streamFailed(1, .flowControlError)])
    }

    // MARK: What we may send

    @Test("A body is sent within the smaller of both windows, in frames of at most 16,384 bytes")
    func send() throws {
        let harness = try SessionHarness.ready([.initialWindow(100_000)])
        let stream = try harness.open(ends: false)
        #expect(harness.sendable(on: stream) == 65_535)
        _ = try harness.written()
        harness.send(20_000, on: stream)
        let frames = try harness.written()
        #expect(frames.map(\.dataCount) == [16_384, 3_616])
        #expect(harness.sendable(on: stream) == 45_535)
        #expect(harness.connectionSendWindow == 45_535)
        harness.receive { $0.windowUpdate(stream: 0, increment: 1_000_000) }
        #expect(harness.sendable(on: stream) == 80_000)
    }

    @Test("An end without bytes needs no window; bytes without end and without content are not sent")
    func emptyEnd() throws {
        let harness = try SessionHarness.ready([.initialWindow(0)])
        let stream = try harness.open(ends: false)
        _ = try harness.written()
        #expect(harness.sendable(on: stream) == 0)
        harness.send(0, on: stream)
        #expect(try harness.written() == [])
        harness.send(0, ends: true, on: stream)
        #expect(harness.writtenBytes() == SessionHarness.frame(0, flags: 1, stream: stream))
        #expect(harness.state(of: stream) == .halfClosedLocal)
        harness.send(0, ends: true, on: stream)
        try harness.sendTrailers(["x: y"], on: stream)
        #expect(harness.writtenBytes() == [], "the stream was ended")
    }

    @Test(
        "A lowered SETTINGS_INITIAL_WINDOW_SIZE makes windows negative, and WINDOW_UPDATE must first fill them",
        .tags(.H2m))
    func negative() throws {
        let harness = try SessionHarness.ready([.initialWindow(100)])
        let stream = try harness.open(ends: false)
        harness.send(80, on: stream)
        harness.receiveSettings([.initialWindow(10)])
        #expect(harness.sendable(on: stream) == 0)
        #expect(harness.receive { $0.windowUpdate(stream: stream, increment: 70) } == [.windowOpened(stream)])
        #expect(harness.sendable(on: stream) == 0)
        harness.receive { $0.windowUpdate(stream: stream, increment: 1) }
        #expect(harness.sendable(on: stream) == 1)
        let next = try harness.open(ends: false)
        #expect(harness.sendable(on: next) == 10)
    }

    @Test(
        "A raised SETTINGS_INITIAL_WINDOW_SIZE opens all streams' windows, with one event after the settings' event",
        .tags(.H2m))
    func raised() throws {
        let harness = try SessionHarness.ready([.initialWindow(0)])
        let streams = [try harness.open(ends: false), try harness.open(ends: false)]
        let seen = harness.receiveSettings([.initialWindow(50)])
        #expect(seen.count == 2)
        #expect(seen.last == .windowOpened(nil))
        #expect(streams.map { harness.sendable(on: $0) } == [50, 50])
        #expect(harness.receiveSettings([.initialWindow(40)]).count == 1)
    }

    @Test("A SETTINGS_INITIAL_WINDOW_SIZE that raises a window above 2³¹ − 1 ends the connection", .tags(.H2m))
    func settingsOverflow() throws {
        let harness = try SessionHarness.ready()
        let stream = try harness.open(ends: false)
        harness.receive { $0.windowUpdate(stream: stream, increment: 0x7FFF_FFFF - 65_535) }
        #expect(harness.receiveSettings([.initialWindow(65_536)]) == [.connectionFailed(.flowControlError)])
        #expect(harness.violation?.rule.description == "RFC 9113 §6.9.2")
    }

    @Test("A WINDOW_UPDATE above 2³¹ − 1 ends its stream, or the connection", .tags(.H2l))
    func updateOverflow() throws {
        let harness = try SessionHarness.ready()
        let stream = try harness.open(ends: false)
        _ = try harness.written()
        let seen = harness.receive { $0.windowUpdate(stream: stream, increment: 0x7FFF_FFFF) }
        #expect(seen == [.streamFailed(stream, .flowControlError)])
        #expect(try harness.written() == [.reset(stream: stream, code: .flowControlError)])
        #expect(
            harness.receive { $0.windowUpdate(stream: 0, increment: 0x7FFF_FFFF) }
                == [.connectionFailed(.flowControlError)])
    }

    @Test("A WINDOW_UPDATE for a stream that we have ended is not reported")
    func endedStream() throws {
        let harness = try SessionHarness.ready()
        let stream = try harness.open(ends: true)
        #expect(harness.receive { $0.windowUpdate(stream: stream, increment: 5) } == [])
        #expect(harness.sendable(on: stream) == 0)
        #expect(harness.sendable(on: 99) == 0)
    }
}

extension HTTP2ReceivedFrame {
    /// The bytes of a DATA frame; nil: it is another.
    var dataCount: Int? {
        if case .data(_, let bytes, _, _, _) = self { bytes.readableBytes } else { nil }
    }
}
