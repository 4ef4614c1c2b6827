import BowlineTransport
import Testing

/// Random walks of the session beside a small model.
@Suite struct SessionWalkTests {
    @Test(
        "The session and the model agree after every step: windows, places, settings, GOAWAY, and every frame written")
    func walk() {
        let seed = UInt64.random(in: .min ... .max)
        print("SessionWalkTests seed of walk: \(seed)")
        var seeds = SeededRandom(seed: seed)
        for round in 0..<40 {
            let own = seeds.next()
            do {
                let walk = try SessionWalk(seed: own)
                try walk.receiveFirstSettings()
                for _ in 0..<400 { try walk.step() }
                try walk.flush()
                try walk.compareGivenBack()
                try walk.end()
            } catch {
                Issue.record("seed \(seed), round \(round), seed of the walk \(own): \(error)")
                return
            }
        }
    }

    @Test(
        "After any walk a connection error ends the session with a GOAWAY of its code, and nothing follows",
        .tags(.I3),
        arguments: ConnectionViolation.all)
    func violations(violation: ConnectionViolation) {
        let seed = UInt64.random(in: .min ... .max)
        print("SessionWalkTests seed of \(violation.testDescription): \(seed)")
        var seeds = SeededRandom(seed: seed)
        var broken = 0
        for _ in 0..<8 {
            let own = seeds.next()
            do {
                let walk = try SessionWalk(seed: own)
                try walk.receiveFirstSettings()
                for _ in 0..<60 { try walk.step() }
                if try walk.breakConnection(violation) { broken += 1 }
            } catch {
                Issue.record("seed \(seed), seed of the walk \(own): \(error)")
                return
            }
        }
        #expect(broken > 0, "seed \(seed): no walk had an open stream at its end")
    }
}

/// A violation by the peer, and the code that RFC 9113 requires.
struct ConnectionViolation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: Int
    /// Whether the frames need a stream that is open.
    let isOnOpenStream: Bool
    /// The frames, given the stream: an open one, or the next that the client would open.
    let frames: @Sendable (_ stream: Int) -> [PlainFrame]

    private init(
        _ name: String, code: Int, onOpenStream: Bool = false,
        _ frames: @escaping @Sendable (_ stream: Int) -> [PlainFrame]
    ) {
        testDescription = name
        self.code = code
        isOnOpenStream = onOpenStream
        self.frames = frames
    }

    private typealias Kind = PlainFrame.Kind

    static let all: [ConnectionViolation] = [
        ConnectionViolation("a window of the connection by 0", code: 1) { _ in [.windowUpdate(0, by: 0)] },
        ConnectionViolation("a window of the connection above 2³¹ − 1", code: 3) { _ in
            [.windowUpdate(0, by: 0x7FFF_FFFF), .windowUpdate(0, by: 0x7FFF_FFFF)]
        },
        ConnectionViolation("a window of a stream that is idle", code: 1) { [.windowUpdate($0, by: 1)] },
        ConnectionViolation("a window of 3 bytes", code: 6) { _ in
            [PlainFrame(type: Kind.windowUpdate, payload: [0, 0, 1])]
        },
        ConnectionViolation("fields on a stream that is idle", code: 1) {
            PlainFrame.headers([0x88], stream: $0, endsStream: false)
        },
        ConnectionViolation("DATA on a stream that is idle", code: 1) {
            [.data([1], stream: $0, endsStream: false)]
        },
        ConnectionViolation("DATA on the connection", code: 1) { _ in [.data([1], stream: 0, endsStream: false)] },
        ConnectionViolation("padding longer than its frame", code: 1) { _ in
            [PlainFrame(type: Kind.data, flags: PlainFrame.Flag.padded, stream: 1, payload: [9, 1, 2])]
        },
        ConnectionViolation("a reset of a stream that is idle", code: 1) { [.reset($0, code: 8)] },
        ConnectionViolation("a reset of the connection", code: 1) { _ in [.reset(0, code: 8)] },
        ConnectionViolation("a reset of 5 bytes", code: 6) { _ in
            [PlainFrame(type: Kind.reset, stream: 1, payload: [0, 0, 0, 0, 8])]
        },
        ConnectionViolation("push", code: 1) { _ in
            [
                PlainFrame(
                    type: Kind.pushPromise, flags: PlainFrame.Flag.endHeaders, stream: 1,
                    payload: PlainFrame.number(2) + [0x88])
            ]
        },
        ConnectionViolation("a PING of 7 bytes", code: 6) { _ in
            [PlainFrame(type: Kind.ping, payload: [0, 0, 0, 0, 0, 0, 1])]
        },
        ConnectionViolation("a PING on a stream", code: 1) { _ in
            [PlainFrame(type: Kind.ping, stream: 1, payload: [0, 0, 0, 0, 0, 0, 0, 1])]
        },
        ConnectionViolation("settings of 5 bytes", code: 6) { _ in
            [PlainFrame(type: Kind.settings, payload: [0, 1, 0, 0, 0])]
        },
        ConnectionViolation("settings on a stream", code: 1) { _ in [PlainFrame(type: Kind.settings, stream: 1)] },
        ConnectionViolation("an acknowledgement with a payload", code: 6) { _ in
            [PlainFrame(type: Kind.settings, flags: PlainFrame.Flag.acknowledgement, payload: [0, 1, 0, 0, 0, 0])]
        },
        ConnectionViolation("an initial window of 2³¹", code: 3) { _ in [.settings([(4, 0x8000_0000)])] },
        ConnectionViolation("a frame size of 16,383", code: 1) { _ in [.settings([(5, 16_383)])] },
        ConnectionViolation("a frame size of 2²⁴", code: 1) { _ in [.settings([(5, 1 << 24)])] },
        ConnectionViolation("push of 2", code: 1) { _ in [.settings([(2, 2)])] },
        ConnectionViolation("a frame above our frame size", code: 6) { _ in
            [PlainFrame(type: Kind.ping, payload: [UInt8](repeating: 0, count: 16_385))]
        },
        ConnectionViolation("an index of 0", code: 9, onOpenStream: true) {
            PlainFrame.headers([0x80], stream: $0, endsStream: false)
        },
        ConnectionViolation("CONTINUATION without HEADERS", code: 1) { _ in
            [PlainFrame(type: Kind.continuation, flags: PlainFrame.Flag.endHeaders, stream: 1)]
        },
        ConnectionViolation("a frame within a section", code: 1) { _ in
            [PlainFrame(type: Kind.headers, stream: 1, payload: [0x88]), .ping(1)]
        },
        ConnectionViolation("GOAWAY on a stream", code: 1) { _ in
            [PlainFrame(type: Kind.goAway, stream: 1, payload: [UInt8](repeating: 0, count: 8))]
        },
    ]
}

extension SessionWalk {
    /// The client tells the peer that it opens no more streams.
    func end() throws {
        session.goAway(code: .noError)
        model.willSend(.goAway(code: 0))
        try flush()
    }

    /// The peer breaks a rule of the connection; frames behind it are not looked at. False: no stream is open, and the rule
    /// needs one.
    func breakConnection(_ violation: ConnectionViolation) throws -> Bool {
        let next = model.lastOpened == 0 ? 1 : model.lastOpened + 2
        guard let stream = violation.isOnOpenStream ? model.streams.keys.max() : next else { return false }
        note(violation.testDescription)
        model.failed(code: violation.code)
        try deliver(violation.frames(stream) + [.ping(7)])
        try flush()
        let (isClosing, hasRoom) = (session.isClosing, session.hasRoom)
        try require(isClosing && !hasRoom, "the session goes on")
        try deliver([.ping(8), .settings([(4, 1)])])
        try flush()
        return true
    }
}
