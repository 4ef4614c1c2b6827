package import NIOCore
internal import NIOHPACK

/// One HTTP/2 frame in the form of the wire (RFC 9113 §4.1), valid or not.
package struct HTTP2WireFrame: Sendable, Hashable {
    /// A frame's type by its number.
    package struct Kind: Sendable, Hashable {
        package let code: UInt8

        package init(_ code: UInt8) {
            self.code = code
        }

        package static let data = Kind(0)
        package static let headers = Kind(1)
        package static let reset = Kind(3)
        package static let settings = Kind(4)
        package static let ping = Kind(6)
        package static let goAway = Kind(7)
        package static let windowUpdate = Kind(8)
        package static let continuation = Kind(9)
    }

    package static let endStream: UInt8 = 1
    package static let acknowledgement: UInt8 = 1
    package static let endHeaders: UInt8 = 4
    package static let clientPreface = ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    package var kind: Kind
    package var flags: UInt8
    package var stream: Int
    package var payload: ByteBuffer
    /// The lengths of the frames that ``HTTP2WireReader`` has joined to this one: HEADERS and the CONTINUATION frames
    /// after it. Empty: no frames were joined.
    package var pieces: [Int] = []

    package init(_ kind: Kind, flags: UInt8 = 0, on stream: Int = 0, _ payload: ByteBuffer = ByteBuffer()) {
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload
    }

    package var endsStream: Bool { (kind == .data || kind == .headers) && flags & Self.endStream != 0 }
    package var isAcknowledgement: Bool {
        (kind == .settings || kind == .ping) && flags & Self.acknowledgement != 0
    }

    package static func settings(_ settings: [(UInt16, UInt32)]) -> HTTP2WireFrame {
        var payload = ByteBuffer()
        for (id, value) in settings { payload.writeMultipleIntegers(id, value) }
        return HTTP2WireFrame(.settings, payload)
    }

    package static var settingsAcknowledgement: HTTP2WireFrame { HTTP2WireFrame(.settings, flags: acknowledgement) }

    package static func goAway(last: UInt32, code: UInt32 = 0) -> HTTP2WireFrame {
        var payload = ByteBuffer()
        payload.writeMultipleIntegers(last, code)
        return HTTP2WireFrame(.goAway, payload)
    }

    package static func windowUpdate(on stream: Int, by increment: UInt32) -> HTTP2WireFrame {
        HTTP2WireFrame(.windowUpdate, on: stream, ByteBuffer(integer: increment))
    }

    /// The answer to a PING.
    package var pong: HTTP2WireFrame { HTTP2WireFrame(.ping, flags: Self.acknowledgement, payload) }

    package var bytes: ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(UInt8(payload.readableBytes >> 16), UInt16(payload.readableBytes & 0xFFFF))
        bytes.writeMultipleIntegers(kind.code, flags, UInt32(stream))
        bytes.writeImmutableBuffer(payload)
        return bytes
    }
}

/// Reads the frames of a client's HTTP/2 connection from bytes, without input and output. It decodes field sections
/// with its own table, so the reader notices if the client's table differs.
package struct HTTP2WireReader: Sendable {
    private var unread = ByteBuffer()
    private var hasPreface = false
    private var decoder = HPACKDecoder(
        allocator: ByteBufferAllocator(), maxDynamicTableSize: 4096, maxHeaderListSize: 1 << 24)

    package init() {}

    package mutating func append(_ bytes: ByteBuffer) {
        unread.writeImmutableBuffer(bytes)
    }

    /// Returns the next complete frame after the client's preface; nil if there is none. Joins HEADERS and the
    /// CONTINUATION frames after it into one frame.
    package mutating func next() -> HTTP2WireFrame? {
        if !hasPreface {
            guard unread.readableBytes >= HTTP2WireFrame.clientPreface.readableBytes else { return nil }
            unread.moveReaderIndex(forwardBy: HTTP2WireFrame.clientPreface.readableBytes)
            hasPreface = true
        }
        var rest = unread
        guard var frame = Self.frame(from: &rest) else { return nil }
        let isUnfinished = frame.kind == .headers && frame.flags & HTTP2WireFrame.endHeaders == 0
        if isUnfinished {
            guard Self.join(to: &frame, from: &rest) else { return nil }
        }
        unread = rest
        return frame
    }

    private static func frame(from bytes: inout ByteBuffer) -> HTTP2WireFrame? {
        guard
            let (high, low, code, flags, stream) = bytes.readMultipleIntegers(
                as: (UInt8, UInt16, UInt8, UInt8, UInt32).self),
            let payload = bytes.readSlice(length: Int(high) << 16 | Int(low))
        else { return nil }
        return HTTP2WireFrame(.init(code), flags: flags, on: Int(stream & 0x7FFF_FFFF), payload)
    }

    /// Joins the CONTINUATION frames after HEADERS. Returns false if the last of them has not been received.
    ///
    /// If another frame follows, that frame stays unread and HEADERS stays unfinished (RFC 9113 §6.10).
    private static func join(to head: inout HTTP2WireFrame, from bytes: inout ByteBuffer) -> Bool {
        head.pieces = [head.payload.readableBytes]
        while head.flags & HTTP2WireFrame.endHeaders == 0 {
            var rest = bytes
            guard let next = frame(from: &rest) else { return false }
            guard next.kind == .continuation, next.stream == head.stream else { return true }
            head.pieces.append(next.payload.readableBytes)
            head.payload.writeImmutableBuffer(next.payload)
            head.flags |= next.flags & HTTP2WireFrame.endHeaders
            bytes = rest
        }
        return true
    }

    /// Decodes the fields of a HEADERS frame. Call it for each such frame, in order.
    package mutating func fields(of frame: HTTP2WireFrame) throws -> [HTTP2WireField] {
        var payload = frame.payload
        return try decoder.decodeHeaders(from: &payload).map { HTTP2WireField($0.name, $0.value) }
    }
}

/// A field of an HTTP/2 field section.
package struct HTTP2WireField: Sendable, Hashable, CustomStringConvertible {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    package var description: String { "\(name): \(value.prefix(60))" }

    /// Encodes a field section as literals without indexing, so that a test's peer needs no state to write it.
    package static func section(_ fields: [HTTP2WireField]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for field in fields { bytes.writeLiteral(field) }
        return bytes
    }
}

extension ByteBuffer {
    fileprivate mutating func writeLiteral(_ field: HTTP2WireField) {
        writeInteger(UInt8(0))
        for text in [field.name, field.value] {
            // RFC 7541 §5.1, with a prefix of seven bits.
            var count = text.utf8.count
            if count < 127 {
                writeInteger(UInt8(count))
            } else {
                writeInteger(UInt8(127))
                count -= 127
                while count >= 128 {
                    writeInteger(UInt8(count & 127 | 128))
                    count >>= 7
                }
                writeInteger(UInt8(count))
            }
            writeString(text)
        }
    }
}
