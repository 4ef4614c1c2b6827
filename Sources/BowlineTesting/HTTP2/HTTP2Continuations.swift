internal import NIOCore

/// Writes field sections that are larger than a frame. SwiftNIO writes a section in one HEADERS frame, and fails if the
/// section is larger than 16,384 bytes.
///
/// A stream passes the first fields of a section to SwiftNIO and the other fields to this handler. When SwiftNIO writes
/// the HEADERS frame, this handler appends the other fields in CONTINUATION frames (RFC 9113 §6.10). These fields are
/// literals that enter no compression table, so SwiftNIO's table stays right.
///
/// Used on the connection's event loop only.
final class HTTP2Continuations: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The largest size of the fields that a stream passes to SwiftNIO. SwiftNIO's encoder may make them almost four
    /// times larger.
    static let firstLimit = 4096
    private static let frameLimit = 16_384

    /// The encoded fields that the next HEADERS frame of each stream lacks.
    private var rests: [Int: ByteBuffer] = [:]
    /// How many bytes of the current frame are still to come in the next writes.
    private var unwritten = 0

    /// Appends encoded fields to the stream's next HEADERS frame.
    func add(_ rest: ByteBuffer, to stream: Int) {
        rests[stream] = rest
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !rests.isEmpty else {
            context.write(data, promise: promise)
            return
        }
        let bytes = unwrapOutboundIn(data)
        context.write(wrapOutboundOut(continued(bytes)), promise: promise)
    }

    /// Returns the bytes of one write. SwiftNIO writes a frame at a time, and the payload of DATA in a second write.
    private func continued(_ bytes: ByteBuffer) -> ByteBuffer {
        guard unwritten == 0 else {
            unwritten -= min(unwritten, bytes.readableBytes)
            return bytes
        }
        var rest = bytes
        guard
            let (high, low, code, flags, id) = rest.readMultipleIntegers(as: (UInt8, UInt16, UInt8, UInt8, UInt32).self)
        else { return bytes }
        unwritten = max(0, (Int(high) << 16 | Int(low)) - rest.readableBytes)
        let stream = Int(id & 0x7FFF_FFFF)
        let isHead = code == HTTP2WireFrame.Kind.headers.code
        guard isHead, let more = rests.removeValue(forKey: stream) else { return bytes }
        var frames = bytes
        frames.setInteger(flags & ~HTTP2WireFrame.endHeaders, at: frames.readerIndex + 4)
        frames.writeImmutableBuffer(Self.frames(of: more, on: stream))
        return frames
    }

    private static func frames(of section: ByteBuffer, on stream: Int) -> ByteBuffer {
        var section = section
        var frames = ByteBuffer()
        while let piece = section.readSlice(length: min(frameLimit, section.readableBytes)) {
            let isLast = section.readableBytes == 0
            let flags = isLast ? HTTP2WireFrame.endHeaders : 0
            frames.writeImmutableBuffer(HTTP2WireFrame(.continuation, flags: flags, on: stream, piece).bytes)
            if isLast { break }
        }
        return frames
    }
}
