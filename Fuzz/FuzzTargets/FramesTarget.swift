import BowlineTransport
import NIOCore

/// HTTP/2 frames: the same frames however the bytes are cut, the frames that a second implementation finds, and bounded
/// memory.
///
/// Content: the bytes of a server. Numbers: whether the content begins with the server's settings, whether the limits
/// are small, the small limits, the cuts.
enum FramesTarget {
    static func check(_ input: FuzzInput) throws {
        var input = input
        let hasSettings = input.takeFlag()
        var limits = HTTP2FrameLimits()
        if input.takeFlag() {
            limits.maximumBlockBytes = input.takeNumber(in: 0...255)
            limits.maximumContinuations = input.takeNumber(in: 0...15)
        }
        let cuts = input.takeCuts()
        let bytes = hasSettings ? input.content : FuzzFrame.settings + input.content

        let whole = try FrameRun.read([bytes[...]], limits)
        for way in [cuts, .everyByte] {
            let cut = try FrameRun.read(way.pieces(of: bytes), limits)
            try promise(cut == whole, "whole: \(whole), cut: \(cut)")
        }
        if whole.violation == nil { try compare(whole, with: bytes) }
    }

    /// Checks that the parser has reported exactly the frames that the second implementation finds, in order.
    private static func compare(_ run: FrameRun, with bytes: [UInt8]) throws {
        let (frames, unfinished) = FuzzFrame.read(bytes)
        // The parser does not report the position of a PUSH_PROMISE among its CONTINUATION frames.
        guard !frames.contains(where: { $0.type == 5 }) else { return }
        var expected: [FrameRun.Kind] = []
        var isWithinSection = false
        for frame in frames {
            let isSection = frame.type == 1 || frame.type == 9
            if isSection { isWithinSection = frame.flags & FuzzFrame.endHeaders == 0 }
            guard !isWithinSection else { continue }
            expected.append(FrameRun.Kind(type: frame.type == 9 ? 1 : frame.type, stream: frame.stream))
        }
        var seen = run.frames.map(\.kind)
        // The parser reports some frames before all of their bytes have arrived.
        if !unfinished.isEmpty, seen.count == expected.count + 1 { seen.removeLast() }
        let isSame =
            seen.count == expected.count
            && zip(seen, expected).allSatisfy { $0 == $1 || $0.type == FrameRun.Kind.ofViolation }
        try promise(isSame, "seen \(seen), must be \(expected)")
        let isWithin = isWithinSection || !unfinished.isEmpty
        try promise(run.isWithinFrame == isWithin, "within a frame: \(run.isWithinFrame), must be \(isWithin)")
    }
}

/// All results of a parser of frames. The pieces of a DATA frame are joined again.
struct FrameRun: Equatable {
    /// The type and stream of a frame.
    struct Kind: Equatable {
        /// Not a type of RFC 9113. Stands for a frame that breaks a rule of its stream.
        static let ofViolation: Int = -1

        let type: Int
        let stream: Int

        init(type: UInt8, stream: Int) {
            self.type = Int(type)
            self.stream = stream
        }

        init(_ frame: HTTP2ReceivedFrame) {
            switch frame {
            case .data(let stream, _, _, _, _): (type, self.stream) = (0, stream)
            case .headers(let stream, _, _): (type, self.stream) = (1, stream)
            case .priority(let stream): (type, self.stream) = (2, stream)
            case .reset(let stream, _): (type, self.stream) = (3, stream)
            case .settings, .settingsAcknowledgement: (type, self.stream) = (4, 0)
            case .pushPromise(let stream): (type, self.stream) = (5, stream)
            case .ping, .pong: (type, self.stream) = (6, 0)
            case .goAway: (type, self.stream) = (7, 0)
            case .windowUpdate(let stream, _): (type, self.stream) = (8, stream)
            case .unknown(let type, let stream, _): (self.type, self.stream) = (Int(type), stream)
            case .violation: (type, self.stream) = (Self.ofViolation, 0)
            }
        }
    }

    struct Frame: Equatable {
        var frame: HTTP2ReceivedFrame
        var kind: Kind
    }

    private(set) var frames: [Frame] = []
    /// The bytes of a DATA frame that has not arrived completely.
    private(set) var unfinished: [UInt8] = []
    private(set) var violation: HTTP2Violation?
    private(set) var isWithinFrame = false
    private var window = 0
    private var steps = 0

    /// Reads all pieces, and checks the results of each.
    static func read(_ pieces: [ArraySlice<UInt8>], _ limits: HTTP2FrameLimits) throws -> FrameRun {
        var parser = HTTP2FrameParser(limits: limits)
        var run = FrameRun()
        let most = 9 + limits.maximumFrameSize + limits.maximumBlockBytes
        var received = 0
        for piece in pieces {
            received += piece.count
            parser.append(ByteBuffer(bytes: piece))
            try run.drain(&parser, received: received, limits)
            let held = parser.bufferedByteCount
            try promise(held <= most, "\(held) bytes are held, the limits allow \(most)")
        }
        run.isWithinFrame = run.violation == nil && parser.isWithinFrame
        // The comparison covers the bytes of an unfinished frame, but not its window bytes and steps: they depend on
        // the cuts.
        run.window = 0
        run.steps = 0
        return run
    }

    private mutating func drain(_ parser: inout HTTP2FrameParser, received: Int, _ limits: HTTP2FrameLimits) throws {
        do throws(HTTP2Violation) {
            while let frame = try parser.next() {
                steps += 1
                if let broken = note(frame, limits) { throw broken }
            }
        } catch {
            if let before = violation {
                try promise(error == before, "\(error) follows \(before)")
            }
            try promise(error.scope == .connection, "\(error) ends the connection")
            try promise(error.description.utf8.count < 200, "a violation is described in few words")
            violation = error
            return
        }
        try promise(violation == nil, "a parser goes on after \(violation.map(\.description) ?? "")")
        try promise(steps <= received + 2, "\(steps) frames in \(received) bytes")
    }

    /// Records a frame. Returns the rule that the frame breaks and that the parser should have checked; nil: none.
    private mutating func note(_ frame: HTTP2ReceivedFrame, _ limits: HTTP2FrameLimits) -> HTTP2Violation? {
        switch frame {
        case .data(let stream, let bytes, let windowBytes, let endsFrame, let endsStream):
            unfinished += bytes.readableBytesView
            window += windowBytes
            let isRight =
                stream > 0 && windowBytes >= bytes.readableBytes && window <= limits.maximumFrameSize
                && (endsFrame || !endsStream)
            guard isRight else { return Self.broken("a piece of DATA that cannot be") }
            guard endsFrame else { return nil }
            append(
                .data(
                    stream: stream, bytes: ByteBuffer(bytes: unfinished), windowBytes: window, endsFrame: true,
                    endsStream: endsStream))
            unfinished = []
            window = 0
            return nil
        case .headers(let stream, let block, _):
            guard stream > 0, block.readableBytes <= limits.maximumBlockBytes else {
                return Self.broken("a section beyond the limit")
            }
        case .windowUpdate(_, let increment):
            guard (1...0x7FFF_FFFF).contains(increment) else { return Self.broken("a window that cannot be") }
        case .priority(let stream), .reset(let stream, _), .pushPromise(let stream):
            guard stream > 0 else { return Self.broken("a frame of the connection that has none") }
        case .unknown(_, _, let length):
            guard (0...limits.maximumFrameSize).contains(length) else { return Self.broken("a length that cannot be") }
        case .violation(let violation, let windowBytes):
            guard violation.scope != .connection, (0...0xFF_FFFF).contains(windowBytes) else {
                return Self.broken("a violation of a stream that is none")
            }
        case .settings, .settingsAcknowledgement, .ping, .pong, .goAway: break
        }
        append(frame)
        return nil
    }

    private mutating func append(_ frame: HTTP2ReceivedFrame) { frames.append(Frame(frame: frame, kind: Kind(frame))) }

    /// Makes a violation that does not concern the connection, so `drain` reports it as a broken promise.
    private static func broken(_ what: StaticString) -> HTTP2Violation {
        HTTP2Violation(.internalError, .stream(0), what, rule: "Fuzz/README.md")
    }
}
