import BowlineCore
import NIOCore

@testable import BowlineTransport

// NIOHTTP2 has a type of the same name.
typealias HTTP2ErrorCode = BowlineTransport.HTTP2ErrorCode

/// A session and the peer's end of its connection, whose frames the wire's own writer and encoder make.
final class SessionHarness {
    /// An event of the session.
    enum Seen: Equatable {
        case settings(HTTP2PeerSettings)
        case settingsAcknowledged
        /// Fields as "name: value".
        case headers(Int, [String], ends: Bool)
        case data(Int, String, ends: Bool)
        case reset(Int, HTTP2ErrorCode)
        case goAway(Int, HTTP2ErrorCode)
        case pong(UInt64)
        case ping
        case windowOpened(Int?)
        case streamFailed(Int, HTTP2ErrorCode)
        case connectionFailed(HTTP2ErrorCode)
    }

    private var session: HTTP2ClientSession
    var now = MonotonicInstant(nanoseconds: 5)
    /// The last violation that an event told of.
    private(set) var violation: HTTP2Violation?

    // The peer.
    private var writer = HTTP2FrameWriter()
    private var encoder = HPACKSectionEncoder()
    private var decoder = HPACKSectionDecoder()
    private var output: HTTP2FrameParser

    /// A session that has not begun.
    init(_ options: HTTP2SessionOptions = HTTP2SessionOptions(), firstStreamID: Int = 1) {
        session = HTTP2ClientSession(options: options, firstStreamID: firstStreamID)
        var limits = HTTP2FrameLimits()
        limits.maximumFrameSize = 1 << 20
        output = HTTP2FrameParser(limits: limits)
    }

    /// A session that has begun and has the peer's settings; its own first bytes have been read.
    static func ready(
        _ settings: [HTTP2SettingEntry] = [], firstStreamID: Int = 1,
        configure: (inout HTTP2SessionOptions) -> Void = { _ in }
    ) throws -> SessionHarness {
        var options = HTTP2SessionOptions()
        configure(&options)
        let harness = SessionHarness(options, firstStreamID: firstStreamID)
        harness.start()
        harness.receiveSettings(settings)
        _ = try harness.written()
        return harness
    }

    /// A ready session whose settings are acknowledged.
    static func acknowledged(configure: (inout HTTP2SessionOptions) -> Void = { _ in }) throws -> SessionHarness {
        let harness = try ready(configure: configure)
        harness.receive { $0.settingsAcknowledgement() }
        return harness
    }

    /// Opens streams and answers each with a head; the bytes written for them have been read.
    func openAnswered(_ count: Int = 1, ends: Bool = true) throws {
        for _ in 0..<count { receiveHead(on: try open(ends: ends)) }
        _ = try written()
    }

    // MARK: What the peer sends

    @discardableResult
    func receive(_ write: (inout HTTP2FrameWriter) -> Void) -> [Seen] {
        write(&writer)
        return receive(raw: writer.take().map { Array($0.readableBytesView) } ?? [])
    }

    /// - Parameter pieces: Into how many pieces the bytes are cut.
    @discardableResult
    func receive(raw bytes: [UInt8], pieces: Int = 1) -> [Seen] {
        var seen: [Seen] = []
        let length = max(1, (bytes.count + pieces - 1) / pieces)
        for start in stride(from: 0, to: bytes.count, by: length) {
            session.receive(ByteBuffer(bytes: bytes[start..<min(start + length, bytes.count)]))
            while let event = session.nextEvent(now: now) { seen.append(plain(event)) }
        }
        return seen
    }

    @discardableResult
    func receiveSettings(_ entries: [HTTP2SettingEntry]) -> [Seen] {
        receive { $0.settings(entries) }
    }

    @discardableResult
    func receiveHead(_ fields: [String] = [":status: 200"], on stream: Int, ends: Bool = false) -> [Seen] {
        receive { writer in
            writer.headers(stream: stream, endsStream: ends, maximumFrameSize: 16_384) { buffer in
                encoder.begin(into: &buffer)
                SessionSection(fields).encode(with: &encoder, into: &buffer)
            }
        }
    }

    @discardableResult
    func receiveData(_ count: Int, on stream: Int, ends: Bool = false) -> [Seen] {
        receive {
            $0.data(
                ByteBuffer(repeating: UInt8(ascii: "d"), count: count), stream: stream, endsStream: ends,
                maximumFrameSize: 16_384)
        }
    }

    /// A frame of any kind (RFC 9113 §4.1).
    static func frame(_ type: UInt8, flags: UInt8 = 0, stream: Int = 0, _ payload: [UInt8] = []) -> [UInt8] {
        let length = payload.count
        var bytes: [UInt8] = [UInt8(length >> 16), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF), type, flags]
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(stream >> shift & 0xFF)) }
        return bytes + payload
    }

    /// DATA with a byte for the length of its padding, and the padding.
    static func paddedData(_ count: Int, padding: Int, stream: Int) -> [UInt8] {
        let body = [UInt8](repeating: UInt8(ascii: "d"), count: count)
        return frame(0, flags: 8, stream: stream, [UInt8(padding)] + body + [UInt8](repeating: 0, count: padding))
    }

    private func plain(_ event: HTTP2ClientSession.Event) -> Seen {
        switch event {
        case .settings(let settings): return .settings(settings)
        case .settingsAcknowledged: return .settingsAcknowledged
        case .headers(let stream, let fields, let ends): return .headers(stream, Self.plain(fields), ends: ends)
        case .data(let stream, let bytes, let ends): return .data(stream, String(buffer: bytes), ends: ends)
        case .reset(let stream, let code): return .reset(stream, code)
        case .goAway(let last, let code): return .goAway(last, code)
        case .pong(let value): return .pong(value)
        case .ping: return .ping
        case .windowOpened(let stream): return .windowOpened(stream)
        case .streamFailed(let stream, let violation):
            self.violation = violation
            return .streamFailed(stream, violation.code)
        case .connectionFailed(let violation):
            self.violation = violation
            return .connectionFailed(violation.code)
        }
    }

    private static func plain(_ fields: HPACKFields) -> [String] {
        fields.spans.indices.map { "\(fields.name(at: $0)): \(fields.value(at: $0))" }
    }

    // MARK: What the session writes

    /// The bytes since the last call.
    func writtenBytes() -> [UInt8] {
        session.takeOutput().map { Array($0.readableBytesView) } ?? []
    }

    /// The frames since the last call, without the preface.
    func written() throws -> [HTTP2ReceivedFrame] {
        var bytes = writtenBytes()
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        if bytes.starts(with: preface) { bytes.removeFirst(preface.count) }
        output.append(ByteBuffer(bytes: bytes))
        var frames: [HTTP2ReceivedFrame] = []
        while let frame = try output.next() { frames.append(frame) }
        return frames
    }

    /// The field sections since the last call, as the peer decodes them.
    func writtenSections() throws -> [[String]] {
        try written().compactMap { frame in
            guard case .headers(_, let block, _) = frame else { return nil }
            let fields = try decoder.decode(block, limits: HPACKLimits(), allocator: ByteBufferAllocator())
            return Self.plain(fields)
        }
    }

    // MARK: What the client does

    func start() { session.start() }

    @discardableResult
    func open(_ fields: [String] = [":method: GET", ":path: /"], ends: Bool = true) throws -> Int {
        try session.open(SessionSection(fields), endsStream: ends)
    }

    func send(_ count: Int, ends: Bool = false, on stream: Int) {
        session.send(ByteBuffer(repeating: UInt8(ascii: "u"), count: count), endsStream: ends, on: stream)
    }

    func sendTrailers(_ fields: [String], on stream: Int) throws {
        try session.sendTrailers(SessionSection(fields), on: stream)
    }

    func reset(_ stream: Int, _ code: HTTP2ErrorCode = .cancel) { session.reset(stream, code: code) }
    func consumed(_ count: Int, on stream: Int) { session.consumed(count, on: stream) }
    func ping(_ value: UInt64) { session.ping(value) }
    func pingAnswered() -> Int { session.pingAnswered() }
    func forgetResets() -> Int { session.forgetResets() }
    func goAway() { session.goAway(code: .noError) }

    func sendable(on stream: Int) -> Int { session.sendable(on: stream) }
    func isOpen(_ stream: Int) -> Bool { session.isOpen(stream) }
    func state(of stream: Int) -> HTTP2StreamState { session.streams.state(of: stream) }
    var connectionSendWindow: Int { session.connectionSendWindow }
    var hasRoom: Bool { session.hasRoom }
    var isClosing: Bool { session.isClosing }
    var isExhausted: Bool { session.isExhausted }
    var isWithinFrame: Bool { session.isWithinFrame }
    var streamLimit: Int { session.streamLimit }
    var occupied: Int { session.occupied }
    var openCount: Int { session.openCount }
    var lastOpened: Int { session.lastOpened }
    var resets: Int { session.resets }
    var awaitedResets: Int { session.awaitedResets }
    var outputByteCount: Int { session.outputByteCount }
}

/// Fields written as "name: value".
struct SessionSection: HTTP2FieldSource {
    private let fields: [(name: String, value: String)]

    init(_ lines: [String]) {
        fields = lines.map { line in
            // The name of a pseudo-field begins with a colon.
            let colon = line.dropFirst().firstIndex(of: ":") ?? line.endIndex
            return (String(line[..<colon]), String(line[colon...].dropFirst(2)))
        }
    }

    var listSize: Int { fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 } }

    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
        for field in fields {
            Array(field.name.utf8).withUnsafeBytes { name in
                Array(field.value.utf8).withUnsafeBytes { value in
                    encoder.encode(name: name, value: value, indexing: .automatic, into: &buffer)
                }
            }
        }
    }
}

extension HTTP2SettingEntry {
    static func headerTableSize(_ value: UInt32) -> HTTP2SettingEntry { HTTP2SettingEntry(identifier: 1, value: value) }
    static func enablePush(_ value: UInt32) -> HTTP2SettingEntry { HTTP2SettingEntry(identifier: 2, value: value) }
    static func maximumStreams(_ value: UInt32) -> HTTP2SettingEntry { HTTP2SettingEntry(identifier: 3, value: value) }
    static func initialWindow(_ value: UInt32) -> HTTP2SettingEntry { HTTP2SettingEntry(identifier: 4, value: value) }
    static func frameSize(_ value: UInt32) -> HTTP2SettingEntry { HTTP2SettingEntry(identifier: 5, value: value) }
    static func headerListSize(_ value: UInt32) -> HTTP2SettingEntry { HTTP2SettingEntry(identifier: 6, value: value) }
}
