internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// The peer of ``StalledRun``, in a process of its own: fills the window of each stream with DATA frames of one byte.
///
/// | target | what the peer does |
/// |---|---|
/// | `/warm` | answers without a body |
/// | `/stalled/n` | answers with a head, and leaves the stream open |
/// | `/full` | fills all windows, then answers with the number of bytes in ``sentField`` |
struct StalledPeer {
    static let sentField = "x-sent"
    /// How many one-byte frames of each stream go into one write.
    private static let roundsPerWrite = 64

    private let connection: LoopbackConnection
    private var reader = HTTP2WireReader()
    private var windows = StalledWindows()
    /// The stream of the request `/full`.
    private var last: Int?
    private var unansweredPings = 0
    /// The frames of one round (one byte on each stream), and their streams.
    private var round = (streams: [Int](), bytes: ByteBuffer())

    /// Speaks HTTP/2 on a connection until the client ends it.
    static func serve(_ connection: LoopbackConnection) async throws {
        var peer = StalledPeer(connection)
        try await peer.serve()
    }

    private init(_ connection: LoopbackConnection) {
        self.connection = connection
    }

    private mutating func serve() async throws {
        try await send(.settings([(3, 1_000)]))
        while try await readOn() {
            guard let last else { continue }
            try await fill()
            self.last = nil
            try await answer(last, [HTTP2WireField(Self.sentField, "\(windows.sent)")], isWhole: true)
        }
    }

    /// Uses up all windows, including the window that the client adds by WINDOW_UPDATE meanwhile.
    private mutating func fill() async throws {
        repeat {
            while !windows.isUsedUp {
                guard let part = windows.take(upTo: Self.roundsPerWrite) else {
                    // The connection's window is empty. The client sends WINDOW_UPDATE as bytes arrive.
                    guard try await readOn() else { return }
                    continue
                }
                try await connection.send(frames(of: part))
            }
            // When the client answers this PING, every WINDOW_UPDATE that it wrote earlier has arrived.
            unansweredPings += 1
            try await send(HTTP2WireFrame(.ping, ByteBuffer(integer: UInt64(1))))
            while unansweredPings > 0 { guard try await readOn() else { return } }
        } while !windows.isUsedUp
    }

    private mutating func frames(of part: StalledWindows.Part) -> ByteBuffer {
        if round.streams != part.streams {
            var bytes = ByteBuffer()
            for stream in part.streams {
                bytes.writeImmutableBuffer(HTTP2WireFrame(.data, on: stream, ByteBuffer(string: "x")).bytes)
            }
            round = (part.streams, bytes)
        }
        var all = ByteBuffer()
        all.reserveCapacity(round.bytes.readableBytes * part.bytes)
        for _ in 0..<part.bytes { all.writeImmutableBuffer(round.bytes) }
        return all
    }

    /// Waits for bytes, and handles all frames in them.
    ///
    /// - Returns: false if the client has closed the connection.
    private mutating func readOn() async throws -> Bool {
        let bytes = try await connection.read()
        guard bytes.readableBytes > 0 else { return false }
        reader.append(bytes)
        while let frame = reader.next() { try await received(frame) }
        return true
    }

    private mutating func received(_ frame: HTTP2WireFrame) async throws {
        var payload = frame.payload
        switch frame.kind {
        case .headers: try await received(reader.fields(of: frame)[":path"] ?? "", on: frame.stream)
        case .settings where !frame.isAcknowledgement:
            while let (name, value) = payload.readMultipleIntegers(as: (UInt16, UInt32).self) {
                // SETTINGS_INITIAL_WINDOW_SIZE.
                if name == 4 { windows.initialChanged(to: Int(value)) }
            }
            try await send(.settingsAcknowledgement)
        case .ping where frame.isAcknowledgement: unansweredPings = max(0, unansweredPings - 1)
        case .ping: try await send(frame.pong)
        case .windowUpdate: windows.raised(frame.stream, by: Int(payload.readInteger(as: UInt32.self) ?? 0))
        default: break
        }
    }

    private mutating func received(_ target: String, on stream: Int) async throws {
        switch target {
        case "/full": last = stream
        case "/warm": try await answer(stream, [], isWhole: true)
        default:
            windows.opened(stream)
            try await answer(stream, [], isWhole: false)
        }
    }

    private func answer(_ stream: Int, _ fields: [HTTP2WireField], isWhole: Bool) async throws {
        let flags = HTTP2WireFrame.endHeaders | (isWhole ? HTTP2WireFrame.endStream : 0)
        let section = HTTP2WireField.section([HTTP2WireField(":status", "200")] + fields)
        try await send(HTTP2WireFrame(.headers, flags: flags, on: stream, section))
    }

    private func send(_ frame: HTTP2WireFrame) async throws {
        try await connection.send(frame.bytes)
    }
}
