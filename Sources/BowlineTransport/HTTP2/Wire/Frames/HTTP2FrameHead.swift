/// The frame types of RFC 9113 §6.
enum HTTP2FrameType: UInt8, Sendable {
    case data = 0x0
    case headers = 0x1
    case priority = 0x2
    case reset = 0x3
    case settings = 0x4
    case pushPromise = 0x5
    case ping = 0x6
    case goAway = 0x7
    case windowUpdate = 0x8
    case continuation = 0x9
}

/// The nine bytes in front of each frame's payload (RFC 9113 §4.1).
struct HTTP2FrameHead: Sendable, Hashable {
    static let byteCount = 9
    /// The longest payload that the length field can express.
    static let maximumLength = 0xFF_FFFF

    /// The length of the payload, in bytes.
    var length: Int
    var type: UInt8
    var flags: UInt8
    /// The stream's number, without the reserved bit.
    var stream: Int

    init(_ type: HTTP2FrameType, flags: UInt8 = 0, stream: Int = 0, length: Int) {
        self.length = length
        self.type = type.rawValue
        self.flags = flags
        self.stream = stream
    }

    /// Reads a head. `bytes` must have ``byteCount`` bytes.
    init(_ bytes: UnsafeRawBufferPointer) {
        let start = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        let end = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt32.self))
        length = Int(truncatingIfNeeded: start >> 40)
        type = UInt8(truncatingIfNeeded: start >> 32)
        flags = UInt8(truncatingIfNeeded: start >> 24)
        stream = Int(end & 0x7FFF_FFFF)
    }

    /// Writes the ``byteCount`` bytes of the head at `offset`.
    func write(to memory: UnsafeMutableRawBufferPointer, at offset: Int) {
        let stream = UInt64(UInt32(truncatingIfNeeded: stream) & 0x7FFF_FFFF)
        let length = UInt64(truncatingIfNeeded: length & Self.maximumLength)
        let start = length << 40 | UInt64(type) << 32 | UInt64(flags) << 24 | stream >> 8
        memory.storeBytes(of: start.bigEndian, toByteOffset: offset, as: UInt64.self)
        memory[offset + 8] = UInt8(truncatingIfNeeded: stream)
    }
}

extension HTTP2FrameHead {
    /// The ACK flag of SETTINGS and PING.
    static let acknowledgement: UInt8 = 0x1
    /// The END_STREAM flag of DATA and HEADERS.
    static let endStream: UInt8 = 0x1
    /// The END_HEADERS flag of HEADERS, PUSH_PROMISE and CONTINUATION.
    static let endHeaders: UInt8 = 0x4
    /// The PADDED flag of DATA, HEADERS and PUSH_PROMISE.
    static let padded: UInt8 = 0x8
    /// The PRIORITY flag of HEADERS.
    static let priority: UInt8 = 0x20

    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }
}
