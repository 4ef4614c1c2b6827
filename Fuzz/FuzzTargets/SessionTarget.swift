import BowlineCore
import BowlineTransport
import NIOCore

/// The HTTP/2 session: windows, places and output stay within their limits whatever a server sends, and the failure of
/// the connection is the last event.
///
/// Content: the server's bytes after its settings, for a client with three requests: one is complete, one is sending
/// its body, and one has been reset by the client. Numbers: whether the server acknowledges the client's settings
/// first, whether streams have small windows, the cuts.
enum SessionTarget {
    static func check(_ input: FuzzInput) throws {
        var input = input
        let isAcknowledged = input.takeFlag()
        let isSmall = input.takeFlag()
        let cuts = input.takeCuts()
        let bytes = input.content

        let whole = try SessionRun.read([bytes[...]], isAcknowledged: isAcknowledged, hasSmallWindows: isSmall)
        for way in [cuts, .everyByte] {
            let cut = try SessionRun.read(
                way.pieces(of: bytes), isAcknowledged: isAcknowledged, hasSmallWindows: isSmall)
            // A small window may be exceeded in the middle of a frame. The events before that depend on the cuts.
            guard !isSmall else { continue }
            try promise(cut.events == whole.events, "whole: \(whole.events), cut: \(cut.events)")
            try promise(cut.written == whole.written, "written whole: \(whole.written), cut: \(cut.written)")
        }
    }
}

/// Passes bytes to a session, as a connection does, and checks it after each piece.
struct SessionRun: ~Copyable {
    /// The events and the output of a session, for a comparison.
    struct Outcome {
        /// The events. The pieces of a body are joined again, and events for opened windows are left out.
        var events: [String] = []
        /// The frames, without WINDOW_UPDATE frames: their instants depend on the cuts.
        var written: [FuzzFrame] = []
    }

    /// A field section with only a path.
    private struct Head: HTTP2FieldSource {
        var listSize: Int { 38 }

        func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
            encoder.encode(name: ":path", value: "/", indexing: .automatic, into: &buffer)
        }
    }

    private static let largestWindow = 0x7FFF_FFFF
    private static let requests = 3

    private var session: HTTP2ClientSession
    private var outcome = Outcome()
    private var output: [UInt8] = []
    private var received = 0
    private var steps = 0
    private var hasFailed = false
    private var body: (stream: Int, bytes: [UInt8])?
    private let now = MonotonicInstant(nanoseconds: 0)

    private init(hasSmallWindows: Bool) {
        var options = HTTP2SessionOptions()
        if hasSmallWindows { options.streamWindow = 64 }
        session = HTTP2ClientSession(options: options)
    }

    static func read(
        _ pieces: [ArraySlice<UInt8>], isAcknowledged: Bool, hasSmallWindows: Bool
    ) throws -> Outcome {
        var run = SessionRun(hasSmallWindows: hasSmallWindows)
        run.session.start()
        try run.receive(FuzzFrame.settings[...])
        if isAcknowledged { try run.receive([0, 0, 0, 4, 1, 0, 0, 0, 0]) }
        try run.sendRequests()
        run.takeOutput()
        run.output = []
        for piece in pieces { try run.receive(piece) }
        run.endBody()
        run.takeOutput()
        let (frames, unfinished) = FuzzFrame.read(run.output)
        try promise(unfinished.isEmpty, "\(unfinished.count) bytes behind the last frame written")
        run.outcome.written = frames.filter { $0.type != 8 }
        try run.checkWritten(frames)
        return run.outcome
    }

    private mutating func sendRequests() throws {
        for number in 0..<Self.requests {
            guard session.hasRoom else { throw FuzzViolation("there is no room for request \(number)") }
            let stream: Int
            do throws(HTTP2SectionTooLarge) {
                stream = try session.open(Head(), endsStream: number == 0)
            } catch {
                throw FuzzViolation("a request of one field is too large: \(error)")
            }
            if number == 1 { session.send(ByteBuffer(string: "body"), endsStream: false, on: stream) }
            if number == 2 { session.reset(stream, code: .cancel) }
        }
        session.ping(7)
    }

    private mutating func receive(_ piece: ArraySlice<UInt8>) throws {
        received += piece.count
        session.receive(ByteBuffer(bytes: piece))
        while let event = session.nextEvent(now: now) {
            try promise(!hasFailed, "an event follows the failure of the connection")
            steps += 1
            try note(event)
        }
        let (steps, received) = (self.steps, self.received)
        try promise(steps <= 2 * received + 10, "\(steps) events of \(received) bytes")
        try checkState()
    }

    private mutating func note(_ event: HTTP2ClientSession.Event) throws {
        switch event {
        case .data(let stream, let bytes, let ends):
            let isOpen = session.isOpen(stream)
            try promise(isOpen || ends, "DATA on stream \(stream), which is not open")
            try promise(ends || bytes.readableBytes > 0, "an event of no byte")
            if body?.stream != stream { endBody() }
            body = (stream, (body?.bytes ?? []) + Array(bytes.readableBytesView))
            session.consumed(bytes.readableBytes, on: stream)
            if ends {
                endBody()
                outcome.events.append("end of \(stream)")
            }
            return
        case .windowOpened: return
        default: endBody()
        }
        switch event {
        case .headers(let stream, let fields, let ends):
            try promise((1...5).contains(stream), "fields on stream \(stream)")
            let all = fields.spans.indices.map { "\(fields.name(at: $0))=\(fields.value(at: $0))" }
            outcome.events.append("fields of \(stream): \(all) \(ends)")
        case .goAway(let last, let code):
            outcome.events.append("GOAWAY \(last) \(code.rawValue)")
            for stream in [1, 3, 5] where stream > last {
                try promise(!session.isOpen(stream), "stream \(stream) is open behind GOAWAY \(last)")
            }
        case .reset(let stream, let code):
            try promise(!session.isOpen(stream), "stream \(stream) is open, though it was reset")
            outcome.events.append("reset of \(stream): \(code.rawValue)")
        case .streamFailed(let stream, let violation):
            try promise(!session.isOpen(stream), "stream \(stream) is open, though it has failed")
            outcome.events.append("stream \(stream): \(violation)")
        case .connectionFailed(let violation):
            hasFailed = true
            outcome.events.append("connection: \(violation)")
        case .settings: outcome.events.append("settings")
        case .settingsAcknowledged: outcome.events.append("settings acknowledged")
        case .pong(let value): outcome.events.append("pong \(value)")
        case .ping: outcome.events.append("ping")
        case .data, .windowOpened: break
        }
    }

    private mutating func endBody() {
        guard let body else { return }
        outcome.events.append("DATA of \(body.stream): \(body.bytes)")
        self.body = nil
    }

    private mutating func takeOutput() {
        guard let bytes = session.takeOutput() else { return }
        output += bytes.readableBytesView
    }

    private mutating func checkState() throws {
        // A frame that has an answer is at least half as long as the answer.
        let (waiting, received) = (session.outputByteCount, self.received)
        try promise(waiting <= 2 * received + 1_024, "\(waiting) bytes of output for \(received) bytes of input")
        takeOutput()
        let window = session.connectionSendWindow
        try promise((0...Self.largestWindow).contains(window), "the connection's window is \(window)")
        let (open, occupied, limit) = (session.openCount, session.occupied, session.streamLimit)
        try promise((0...Self.requests).contains(open), "\(open) streams are open")
        try promise(occupied == open + session.resets + session.awaitedResets, "\(occupied) places, \(open) open")
        let (hasRoom, isClosing, hasFailed) = (session.hasRoom, session.isClosing, self.hasFailed)
        try promise(!hasRoom || (!isClosing && occupied < limit), "room beside \(occupied) of \(limit)")
        try promise(!hasFailed || isClosing, "a failed connection has room")
        for stream in [1, 3, 5] where session.isOpen(stream) {
            let sendable = session.sendable(on: stream)
            try promise((0...max(0, window)).contains(sendable), "\(sendable) bytes may be sent of \(window)")
        }
    }

    /// Checks that the client writes only frames that open no stream: answers, windows, and GOAWAY at the end of a
    /// failed connection.
    private func checkWritten(_ frames: [FuzzFrame]) throws {
        let hasFailed = self.hasFailed
        for (index, frame) in frames.enumerated() {
            try promise([3, 4, 6, 7, 8].contains(frame.type), "a frame of type \(frame.type) was written")
            guard frame.type == 7 else { continue }
            try promise(hasFailed, "GOAWAY though nothing has failed")
            try promise(index == frames.count - 1, "a frame follows GOAWAY")
        }
        try promise(!hasFailed || frames.last?.type == 7, "a connection fails without GOAWAY")
    }
}
