import BowlineCore
import BowlineTransport
import NIOCore
import NIOHPACK

/// Walks a session at random beside its model: the client and the peer do what they may, and after each step both must say
/// the same.
///
/// The peer's fields are NIOHPACK's, its frames those of ``PlainFrame``; they arrive cut anywhere.
final class SessionWalk {
    /// The session's events or bytes differ from the model.
    struct Difference: Error, CustomStringConvertible {
        let description: String
    }

    var model: SessionModel
    var session: HTTP2ClientSession
    var random: SeededRandom
    var drawing = FieldDrawing(.text)
    var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
    private var decoder: HPACKDecoder
    private var now = MonotonicInstant(nanoseconds: 0)
    /// The actions so far, the latest last.
    private(set) var log: [String] = []
    /// The PING of the client that the peer has not answered, and whether it is on its way.
    var ping: (value: UInt64, isWritten: Bool)?
    /// Whether the client's settings are on their way, and whether the peer has acknowledged them.
    private var hasSentSettings = false
    var hasAcknowledged = false
    private var opened: Set<Int> = []
    private var written: [SessionModel.Sent] = []
    private var section: (stream: Int, ends: Bool, block: [UInt8])?

    init(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var options = HTTP2SessionOptions()
        options.streamWindow = [1_000, 16_384, 65_535, 100_000, 1_048_576].randomElement(using: &random) ?? 65_535
        options.connectionWindow = [65_535, 70_000, 1 << 20].randomElement(using: &random) ?? 65_535
        options.maximumStreams = [1, 5, 30, 256].randomElement(using: &random) ?? 30
        model = SessionModel(options: options)
        session = HTTP2ClientSession(options: options)
        decoder = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: 4_096, maxHeaderListSize: 1 << 24)
        self.random = random
        session.start()
        try flush()
        try require(model.receiveWindow == options.connectionWindow, "the first window of the connection")
    }

    func require(_ isRight: Bool, _ what: @autoclosure () -> String) throws {
        guard !isRight else { return }
        throw Difference(description: "\(what()); the last steps: \(log.suffix(12).joined(separator: ", "))")
    }

    func note(_ step: String) { log.append(step) }

    /// Whether the peer has read the client's settings and not acknowledged them.
    var mayAcknowledge: Bool { hasSentSettings && !hasAcknowledged }

    // What the peer sends.

    /// Hands the frames to the session, cut anywhere, and compares the events with the model's.
    func deliver(_ frames: [PlainFrame]) throws {
        now = now.advanced(by: .milliseconds(10))
        let before = model.streams.keys.filter { model.streams[$0]?.canSend == true && sendable(on: $0) == 0 }
        opened = []
        var seen: [SessionModel.Seen] = []
        var rest = frames.flatMap(\.bytes)[...]
        let longest = Int.random(in: 0..<4, using: &random) == 0 ? 12 : rest.count
        while !rest.isEmpty {
            let count = Int.random(in: 1...min(longest, rest.count), using: &random)
            session.receive(ByteBuffer(bytes: rest.prefix(count)))
            rest = rest.dropFirst(count)
            while let event = session.nextEvent(now: now) { note(event, in: &seen) }
        }
        let expected = model.takeSeen()
        try require(seen == expected, "events \(Self.short(seen)), must be \(Self.short(expected))")
        let isWithin = session.isWithinFrame
        try require(model.hasFailed || !isWithin, "within a frame, though all have ended")
        for stream in before where sendable(on: stream) > 0 {
            try require(opened.contains(stream) || opened.contains(0), "no event tells that stream \(stream) may send")
        }
    }

    private func note(_ event: HTTP2ClientSession.Event, in seen: inout [SessionModel.Seen]) {
        let plain: SessionModel.Seen
        switch event {
        case .settings(let settings):
            // They may open the windows of all streams.
            opened.insert(0)
            plain = .settings(
                SessionModel.Settings(
                    headerTableSize: settings.headerTableSize, maximumStreams: settings.maximumConcurrentStreams,
                    initialWindow: settings.initialWindowSize, maximumFrameSize: settings.maximumFrameSize,
                    maximumListSize: settings.maximumHeaderListSize))
        case .settingsAcknowledged: plain = .settingsAcknowledged
        case .headers(let stream, let fields, let ends): plain = .headers(stream, fields.drawn, ends: ends)
        case .data(let stream, let bytes, let ends):
            plain = .data(stream, Array(bytes.readableBytesView), ends: ends)
        case .reset(let stream, let code): plain = .reset(stream, code: Int(code.rawValue))
        case .goAway(let last, let code): plain = .goAway(lastStream: last, code: Int(code.rawValue))
        case .pong(let value): plain = .pong(value)
        case .ping: plain = .ping
        case .windowOpened(let stream):
            opened.insert(stream ?? 0)
            return
        case .streamFailed(let stream, let violation): plain = .streamFailed(stream, code: Int(violation.code.rawValue))
        case .connectionFailed(let violation): plain = .connectionFailed(code: Int(violation.code.rawValue))
        }
        SessionModel.append(plain, to: &seen)
    }

    // What the client writes.

    func sendable(on stream: Int) -> Int { session.sendable(on: stream) }

    /// Takes what the session has written, reads it as a peer does, and compares it with the model's.
    func flush() throws {
        let count = session.outputByteCount
        let output = session.takeOutput().map { Array($0.readableBytesView) } ?? []
        try require(output.count == count, "\(output.count) bytes of output, announced are \(count)")
        var bytes = output
        if !hasSentSettings, !bytes.isEmpty {
            let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
            try require(bytes.starts(with: preface), "the output does not begin with the preface")
            bytes.removeFirst(preface.count)
        }
        let (frames, rest) = PlainFrame.read(bytes)
        try require(rest.isEmpty, "\(rest.count) bytes behind the last frame")
        for frame in frames { try read(frame) }
        if ping != nil { ping?.isWritten = true }
        let expected = model.takeSent()
        try require(written == expected, "written \(Self.short(written)), must be \(Self.short(expected))")
        written = []
    }

    private func read(_ frame: PlainFrame) throws {
        try require(frame.payload.count <= model.settings.maximumFrameSize, "a frame of \(frame.payload.count) bytes")
        try require(section == nil || frame.type == PlainFrame.Kind.continuation, "a frame within a section")
        switch frame.type {
        case PlainFrame.Kind.data: write(.data(frame.stream, frame.payload, ends: frame.has(PlainFrame.Flag.endStream)))
        case PlainFrame.Kind.headers:
            section = (frame.stream, frame.has(PlainFrame.Flag.endStream), frame.payload)
            try endSection(after: frame)
        case PlainFrame.Kind.continuation:
            try require(section?.stream == frame.stream, "CONTINUATION of another stream")
            section?.block += frame.payload
            try endSection(after: frame)
        case PlainFrame.Kind.reset: write(.reset(frame.stream, code: PlainFrame.number(in: frame.payload[...])))
        case PlainFrame.Kind.settings: try readSettings(frame)
        case PlainFrame.Kind.ping:
            let value = frame.payload.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            write(frame.has(PlainFrame.Flag.acknowledgement) ? .pong(value) : .ping(value))
        case PlainFrame.Kind.goAway: write(.goAway(code: PlainFrame.number(in: frame.payload[4..<8])))
        case PlainFrame.Kind.windowUpdate: try readWindowUpdate(frame)
        default: try require(false, "a frame of type \(frame.type)")
        }
    }

    private func write(_ frame: SessionModel.Sent) { SessionModel.append(frame, to: &written) }

    private func endSection(after frame: PlainFrame) throws {
        guard frame.has(PlainFrame.Flag.endHeaders), let whole = section else { return }
        section = nil
        var block = ByteBuffer(bytes: whole.block)
        do {
            let fields = try decoder.decodeHeaders(from: &block).map { DrawnField($0.name, $0.value) }
            write(.headers(whole.stream, fields, ends: whole.ends))
        } catch {
            try require(false, "NIOHPACK refuses the section of stream \(whole.stream): \(error)")
        }
    }

    private func readSettings(_ frame: PlainFrame) throws {
        guard !frame.has(PlainFrame.Flag.acknowledgement) else { return write(.settingsAcknowledgement) }
        try require(!hasSentSettings, "settings are sent twice")
        hasSentSettings = true
        var values: [Int: Int] = [:]
        for start in stride(from: 0, to: frame.payload.count, by: 6) {
            let identifier = PlainFrame.number(in: frame.payload[start..<start + 2])
            values[identifier] = PlainFrame.number(in: frame.payload[start + 2..<start + 6])
        }
        try require(values[2] == 0, "push is not turned off")
        try require(values[4] ?? 65_535 == model.options.streamWindow, "the window of streams is \(values[4] ?? 0)")
        try require(values[6] == model.options.fieldLimits.maximumListSize, "the list's limit is \(values[6] ?? 0)")
    }

    private func readWindowUpdate(_ frame: PlainFrame) throws {
        let increment = PlainFrame.number(in: frame.payload[...])
        try require((1...0x7FFF_FFFF).contains(increment), "a WINDOW_UPDATE of \(increment)")
        if frame.stream == 0 {
            model.receiveWindow += increment
        } else {
            model.streams[frame.stream]?.receiveWindow += increment
            model.abandoned[frame.stream]?.receiveWindow += increment
        }
        try compareReceiveWindows()
    }

    private func compareReceiveWindows() throws {
        try require(
            model.receiveWindow <= model.options.connectionWindow, "the connection's window is \(model.receiveWindow)")
        let most = hasAcknowledged ? model.options.streamWindow : max(65_535, model.options.streamWindow)
        for (id, stream) in model.streams {
            try require(
                stream.receiveWindow + stream.unread <= most, "stream \(id) has a window of \(stream.receiveWindow)")
        }
    }

    /// The peer takes other sizes of the client's table.
    func tableSizeChanged(to size: Int) { decoder.maxDynamicTableLength = size }

    // The values that both must agree on.

    func compare() throws {
        try compare(session.occupied, model.occupied, "occupied")
        try compare(session.openCount, model.streams.count, "openCount")
        try compare(session.resets, model.resets, "resets")
        try compare(session.awaitedResets, model.awaitedResets, "awaitedResets")
        try compare(session.lastOpened, model.lastOpened, "lastOpened")
        try compare(session.connectionSendWindow, model.sendWindow, "connectionSendWindow")
        try compare(session.streamLimit, model.streamLimit, "streamLimit")
        try compare(session.hasRoom ? 1 : 0, model.hasRoom ? 1 : 0, "hasRoom")
        try compare(session.isClosing ? 1 : 0, model.isClosing ? 1 : 0, "isClosing")
        try compare(session.isExhausted ? 1 : 0, 0, "isExhausted")
        for id in stride(from: 1, through: model.lastOpened, by: 2) {
            let isOpen = session.isOpen(id)
            try require(isOpen == (model.streams[id] != nil), "stream \(id) is open: \(isOpen)")
            guard model.streams[id]?.canSend == true else { continue }
            try compare(session.sendable(on: id), model.sendable(on: id), "sendable on \(id)")
        }
    }

    private func compare(_ ours: Int, _ expected: Int, _ what: String) throws {
        try require(ours == expected, "\(what) is \(ours), must be \(expected)")
    }

    /// With every byte consumed, at least half of each window is the peer's again.
    func compareGivenBack() throws {
        for (id, stream) in model.streams where stream.unread > 0 {
            session.consumed(stream.unread, on: id)
            model.streams[id]?.unread = 0
        }
        try flush()
        let connection = model.options.connectionWindow / 2
        try require(model.receiveWindow >= connection - 1, "the connection's window stays at \(model.receiveWindow)")
        guard hasAcknowledged else { return }
        for (id, stream) in model.streams where stream.canReceive {
            let isEnough = stream.receiveWindow >= model.options.streamWindow / 2 - 1
            try require(isEnough, "the window of stream \(id) stays at \(stream.receiveWindow)")
        }
    }

    private static func short(_ items: [some Any]) -> String {
        "[" + items.map { String("\($0)".prefix(200)) }.joined(separator: ", ") + "]"
    }
}
