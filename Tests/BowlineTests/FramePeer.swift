import BowlineTesting
import NIOCore
import NIOHPACK

/// The server's side of an HTTP/2 connection, frame by frame (prior knowledge): for servers that answer before a request
/// is whole, or that need unusual frames. Requests whose heads are read with ``nextHead()`` are recorded in
/// `LoopbackServer.rawRequests`.
struct FramePeer {
    struct Frame {
        let type: UInt8
        let flags: UInt8
        let stream: Int
        let payload: ByteBuffer

        var endsStream: Bool { flags & 1 == 1 && type <= 1 }
    }

    struct Ended: Error {}

    static let data: UInt8 = 0
    static let headers: UInt8 = 1

    let connection: LoopbackConnection
    private var received = ByteBuffer()
    private var decoder = HPACKDecoder(allocator: ByteBufferAllocator())
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: 0)

    /// Reads the client's preface and sends SETTINGS.
    ///
    /// - Parameter window: The number of bytes of a request's body that it accepts; nil: the protocol's 65,535.
    init(_ connection: LoopbackConnection, window: UInt32? = nil) async throws {
        self.connection = connection
        try await receive(24)
        received.moveReaderIndex(forwardBy: 24)
        var settings = ByteBuffer()
        if let window {
            settings.writeInteger(UInt16(4))
            settings.writeInteger(window)
        }
        try await connection.send(Self.frame(4, payload: settings))
    }

    private mutating func receive(_ count: Int) async throws {
        while received.readableBytes < count {
            var bytes = try await connection.read()
            guard bytes.readableBytes > 0 else { throw Ended() }
            received.writeBuffer(&bytes)
        }
    }

    /// The next frame that belongs to a request. It answers SETTINGS and PING itself.
    mutating func next() async throws -> Frame {
        while true {
            try await receive(9)
            let length = received.readInteger(as: UInt16.self).map(Int.init) ?? 0
            let rest = received.readInteger(as: UInt8.self).map(Int.init) ?? 0
            let type = received.readInteger(as: UInt8.self) ?? 0
            let flags = received.readInteger(as: UInt8.self) ?? 0
            let stream = received.readInteger(as: UInt32.self) ?? 0
            try await receive(length << 8 | rest)
            let payload = received.readSlice(length: length << 8 | rest) ?? ByteBuffer()
            if type == 4, flags & 1 == 0 { try await connection.send(Self.frame(4, flags: 1)) }
            if type == 6, flags & 1 == 0 { try await connection.send(Self.frame(6, flags: 1, payload: payload)) }
            guard type < 2 else { continue }
            let frame = Frame(type: type, flags: flags, stream: Int(stream), payload: payload)
            if type == Self.data { connection.noteBody(payload, on: frame.stream, endsStream: frame.endsStream) }
            return frame
        }
    }

    /// The next request's head.
    mutating func nextHead() async throws -> (stream: Int, fields: HPACKHeaders, endsStream: Bool) {
        while true {
            let frame = try await next()
            guard frame.type == Self.headers else { continue }
            var payload = frame.payload
            let fields = try decoder.decodeHeaders(from: &payload)
            let section = fields.map { HTTP2WireField($0.name, $0.value) }
            connection.note(section, on: frame.stream, endsStream: frame.endsStream)
            return (frame.stream, fields, frame.endsStream)
        }
    }

    /// The body of a request whose head was read, up to its end.
    mutating func body() async throws -> ByteBuffer {
        var body = ByteBuffer()
        while true {
            let frame = try await next()
            guard frame.type == Self.data else { continue }
            body.writeImmutableBuffer(frame.payload)
            if frame.endsStream { return body }
        }
    }

    mutating func reply(_ status: Int, on stream: Int, fields: [(String, String)] = [], ends: Bool = true) async throws
    {
        var section = ByteBuffer()
        try encoder.encode(headers: HPACKHeaders([(":status", "\(status)")] + fields), to: &section)
        let flags: UInt8 = ends ? 5 : 4
        try await connection.send(Self.frame(Self.headers, flags: flags, on: stream, payload: section))
    }

    static func frame(
        _ type: UInt8, flags: UInt8 = 0, on stream: Int = 0, payload: ByteBuffer = ByteBuffer()
    ) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt8(truncatingIfNeeded: payload.readableBytes >> 16))
        bytes.writeInteger(UInt16(truncatingIfNeeded: payload.readableBytes))
        bytes.writeInteger(type)
        bytes.writeInteger(flags)
        bytes.writeInteger(UInt32(stream))
        bytes.writeImmutableBuffer(payload)
        return bytes
    }
}
