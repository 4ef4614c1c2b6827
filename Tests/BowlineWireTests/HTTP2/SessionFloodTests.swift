import BowlineCore
import Testing

@testable import BowlineTransport

/// What a peer that floods us may do before the connection ends (RFC 9113 §10.5).
@Suite(.tags(.H2o)) struct SessionFloodTests {
    private static let calm = [SessionHarness.Seen.connectionFailed(.enhanceYourCalm)]

    enum Control: CaseIterable {
        case settings, ping, pong, priority, unknown, goAway, windowUpdate, windowUpdateOfStream, refusedUpdate

        /// A frame of the kind; stream 1 has ended.
        var frame: [UInt8] {
            switch self {
            case .settings: SessionHarness.frame(4)
            case .ping: SessionHarness.frame(6, [UInt8](repeating: 1, count: 8))
            case .pong: SessionHarness.frame(6, flags: 1, [UInt8](repeating: 1, count: 8))
            case .priority: SessionHarness.frame(2, stream: 9, [0, 0, 0, 0, 1])
            case .unknown: SessionHarness.frame(0xEE)
            case .goAway: SessionHarness.frame(7, [UInt8](repeating: 0, count: 8))
            case .windowUpdate: SessionHarness.frame(8, [0, 0, 0, 1])
            case .windowUpdateOfStream: SessionHarness.frame(8, stream: 1, [0, 0, 0, 1])
            case .refusedUpdate: SessionHarness.frame(8, stream: 1, [0, 0, 0, 0])
            }
        }
    }

    /// Ready, with one stream that has ended; the limit's count has begun.
    private func begun(configure: (inout HTTP2SessionOptions) -> Void) throws -> SessionHarness {
        let harness = try SessionHarness.ready(configure: configure)
        try harness.open()
        harness.receiveHead(on: 1, ends: true)
        // The opened stream explains two updates and a reset.
        for _ in 0..<2 { harness.receive { $0.windowUpdate(stream: 0, increment: 1) } }
        harness.receive { $0.reset(stream: 1, code: .noError) }
        _ = try harness.written()
        harness.now = harness.now.advanced(by: .seconds(31))
        return harness
    }

    @Test("The number of control frames is bounded, for each kind and in total", arguments: Control.allCases)
    func controlFrames(kind: Control) throws {
        let harness = try begun { $0.maximumControlFrames = 20 }
        for _ in 0..<20 { harness.receive(raw: kind.frame) }
        #expect(!harness.isClosing || kind == .goAway)
        #expect(harness.receive(raw: SessionHarness.frame(2, stream: 9, [0, 0, 0, 0, 1])) == Self.calm)
        #expect(harness.violation?.description.contains("control frames") == true)
    }

    @Test("The count begins again after 30 s", arguments: [29.9, 30])
    func period(seconds: Double) throws {
        let harness = try begun { $0.maximumControlFrames = 20 }
        for _ in 0..<20 { harness.receive { $0.ping(1) } }
        harness.now = harness.now.advanced(by: .milliseconds(Int(seconds * 1_000)))
        #expect(harness.receive { $0.ping(1) } == (seconds < 30 ? Self.calm : [.ping]))
    }

    @Test("Answers to our PINGs are no flood; more answers than PINGs are a flood")
    func pongs() throws {
        let harness = try begun { $0.maximumControlFrames = 1 }
        for number in 0..<50 {
            harness.ping(UInt64(number))
            #expect(harness.receive { $0.pong(UInt64(number)) } == [.pong(UInt64(number))])
        }
        harness.receive { $0.pong(1) }
        #expect(harness.receive { $0.pong(1) } == Self.calm)
    }

    @Test("RST_STREAM is bounded for streams that are not open; each stream explains one")
    func resets() throws {
        let harness = try begun { $0.maximumResets = 10 }
        for _ in 0..<50 {
            let stream = try harness.open()
            #expect(harness.receive { $0.reset(stream: stream, code: .cancel) } == [.reset(stream, .cancel)])
        }
        // One that has ended, and one that the peer has reset.
        for stream in [1, 3] {
            for _ in 0..<5 { #expect(harness.receive { $0.reset(stream: stream, code: .noError) } == []) }
        }
        #expect(harness.receive { $0.reset(stream: 1, code: .noError) } == Self.calm)
    }

    @Test("A server that resets each stream after its whole response is no flood; a second reset of each stream is")
    func resetsAfterResponses() throws {
        let harness = try begun { $0.maximumResets = 10 }
        for _ in 0..<50 {
            let stream = try harness.open()
            harness.receiveHead(on: stream, ends: true)
            #expect(harness.receive { $0.reset(stream: stream, code: .noError) } == [])
        }
        #expect(!harness.isClosing)
        for stream in 1...10 { #expect(harness.receive { $0.reset(stream: 2 * stream + 1, code: .noError) } == []) }
        #expect(harness.receive { $0.reset(stream: 99, code: .noError) } == Self.calm)
    }

    @Test("HEADERS on streams that were reset are bounded: each reset of ours explains eight")
    func droppedSections() throws {
        let harness = try begun { $0.maximumControlFrames = 20 }
        for _ in 0..<2 { harness.reset(try harness.open()) }
        for _ in 0..<16 + 20 { #expect(harness.receiveHead(on: 3) == []) }
        #expect(harness.receiveHead(on: 3) == Self.calm)
        #expect(harness.violation?.description.contains("control frames") == true)
    }

    @Test("A server that responds on each of many reset streams is no flood")
    func lateAnswers() throws {
        let harness = try begun { $0.maximumControlFrames = 1 }
        for number in 0..<200 {
            let stream = try harness.open()
            harness.reset(stream)
            harness.ping(UInt64(number))
            #expect(harness.receiveHead([":status: 103"], on: stream) == [])
            #expect(harness.receiveHead(on: stream) == [])
            #expect(harness.receiveHead(["x-sum: 1"], on: stream, ends: true) == [])
            harness.receive { $0.pong(UInt64(number)) }
            #expect(harness.pingAnswered() == 1)
        }
        #expect(!harness.isClosing)
    }

    @Test("A server that sends a PING for each DATA frame of an upload is no flood; one that sends more is")
    func pingsOfAnUpload() throws {
        let harness = try begun { $0.maximumControlFrames = 20 }
        let stream = try harness.open(ends: false)
        // Which explains these two.
        for id in [0, stream] { harness.receive { $0.windowUpdate(stream: id, increment: 1 << 30) } }
        for number in 0..<500 {
            harness.send(number % 2 == 0 ? 100 : 16_384, on: stream)
            #expect(harness.receive { $0.ping(UInt64(number)) } == [.ping])
            _ = try harness.written()
        }
        // A frame of 16,384 bytes explains two: 250 are left, and 20 may be without an explanation.
        for _ in 0..<270 {
            #expect(harness.receive { $0.ping(1) } == [.ping])
            _ = try harness.written()
        }
        #expect(harness.receive { $0.ping(1) } == Self.calm)
    }

    @Test("Empty DATA is bounded in a row; bytes, fields or an end begin another row", arguments: 0..<4)
    func emptyData(interruption: Int) throws {
        let harness = try SessionHarness.ready { $0.maximumEmptyData = 10 }
        try harness.openAnswered(3)
        for _ in 0..<10 { #expect(harness.receiveData(0, on: 1) == []) }
        switch interruption {
        case 0: harness.receiveData(1, on: 3)
        case 1: harness.receiveHead(["x: y"], on: 3)
        case 2: harness.receiveData(0, on: 3, ends: true)
        default:
            #expect(harness.receiveData(0, on: 3) == Self.calm)
            return
        }
        for _ in 0..<10 { #expect(harness.receiveData(0, on: 5) == []) }
        #expect(harness.receiveData(0, on: 5) == Self.calm)
    }

    @Test("DATA of nothing but padding is empty; a frame whose bytes arrive in pieces is not")
    func paddingOnly() throws {
        let harness = try SessionHarness.ready { $0.maximumEmptyData = 3 }
        try harness.openAnswered()
        for _ in 0..<20 { harness.receive(raw: SessionHarness.paddedData(1, padding: 5, stream: 1), pieces: 16) }
        #expect(!harness.isClosing)
        for _ in 0..<3 { harness.receive(raw: SessionHarness.paddedData(0, padding: 5, stream: 1), pieces: 3) }
        #expect(!harness.isClosing)
        #expect(harness.receive(raw: SessionHarness.paddedData(0, padding: 5, stream: 1)) == Self.calm)
    }

    @Test("Unsent answers to PING and SETTINGS are bounded; sending them resets the count")
    func pendingReplies() throws {
        let harness = try begun { $0.maximumPendingReplies = 10 }
        for _ in 0..<5 {
            harness.receive { $0.ping(1) }
            harness.receiveSettings([])
        }
        #expect(try harness.written().count == 10)
        for _ in 0..<10 { harness.receive { $0.ping(1) } }
        #expect(harness.receiveSettings([]) == Self.calm)
        // The answers written before are sent, and then GOAWAY.
        let frames = try harness.written()
        #expect(frames.count == 11)
        #expect(frames.last == .goAway(lastStream: 0, code: .enhanceYourCalm))
    }

    @Test("An upload whose peer gives its windows back in small steps is no flood", arguments: [1, 100, 16_384])
    func honestUpload(size: Int) throws {
        let harness = try begun { $0.maximumControlFrames = 20 }
        harness.receive { $0.windowUpdate(stream: 0, increment: 1 << 30) }
        let stream = try harness.open(ends: false)
        for _ in 0..<500 {
            harness.send(size, on: stream)
            // For each 256 bytes an update of the stream and one of the connection.
            for start in stride(from: 0, to: size, by: 256) {
                let count = min(256, size - start)
                harness.receive {
                    $0.windowUpdate(stream: stream, increment: count)
                    $0.windowUpdate(stream: 0, increment: count)
                }
            }
        }
        #expect(!harness.isClosing)
        #expect(harness.sendable(on: stream) == 65_535)
    }

    @Test("WINDOW_UPDATEs of 1 byte are bounded by the bytes of an upload")
    func updatesOfOne() throws {
        let harness = try begun { $0.maximumControlFrames = 20 }
        let stream = try harness.open(ends: false)
        harness.send(12_800, on: stream)
        // The stream explains 2, its frame 2, its bytes 100; 20 may be without an explanation.
        for _ in 0..<124 {
            #expect(harness.receive { $0.windowUpdate(stream: stream, increment: 1) } == [.windowOpened(stream)])
        }
        #expect(harness.receive { $0.windowUpdate(stream: stream, increment: 1) } == Self.calm)
    }

    @Test("An upload allows a bounded number of updates in advance, however large it is")
    func boundedCredit() throws {
        var options = HTTP2SessionOptions()
        options.maximumControlFrames = 20
        var counters = HTTP2FloodCounters(options: options)
        for _ in 0..<100 { counters.dataSent(1 << 30) }
        let now = MonotonicInstant(nanoseconds: 0)
        for _ in 0..<262_144 + 20 { try counters.windowUpdate(now: now) }
        var violation: HTTP2Violation?
        do throws(HTTP2Violation) { try counters.windowUpdate(now: now) } catch { violation = error }
        #expect(violation?.code == .enhanceYourCalm)
    }
}
