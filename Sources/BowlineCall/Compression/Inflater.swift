internal import BowlineCore
internal import CZlib

/// zlib's decompressor. Each step yields a limited number of bytes.
///
/// A class, because its `deinit` frees the stream's memory (about 40 KiB when it is in use) however a body ends.
final class Inflater {
    /// The format around the compressed data.
    enum Envelope {
        /// Header, CRC-32 and length, both checked (RFC 1952).
        case gzip
        /// Header and Adler-32, which is checked (RFC 1950).
        case zlib
        /// No header and no checksum (RFC 1951).
        case raw

        fileprivate var windowBits: Int32 {
            switch self {
            case .gzip: MAX_WBITS + 16
            case .zlib: MAX_WBITS
            case .raw: -MAX_WBITS
            }
        }
    }

    /// The result of a step.
    struct Step {
        /// Whether the compressed data has ended. The rest of the input is not part of it.
        var isAtEnd = false
        /// Whether the step filled its output. Then another step may yield bytes without new input.
        var isFull = false
    }

    /// On the heap, because zlib keeps its address.
    private let stream: UnsafeMutablePointer<z_stream>

    init(_ envelope: Envelope) throws(DecodingFailure) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = inflateInit2_(stream, envelope.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw .outOfMemory }
    }

    deinit {
        // Does nothing if the initialisation of the stream failed.
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Resets the stream for the next member of a gzip file.
    func reset() {
        inflateReset(stream)
    }

    /// Decompresses bytes from `input` until `room` bytes are appended to `output`, `input` is empty, or the data ends.
    func step(
        _ input: inout ByteBuffer, into output: inout ByteBuffer, room: Int, coding: ContentCoding
    ) throws(DecodingFailure) -> Step {
        var result = Z_OK
        var isFull = false
        input.readWithUnsafeReadableBytes { compressed in
            let offered = min(compressed.count, Int(Int32.max))
            // zlib declares its input mutable and only reads it.
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: compressed.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(offered)
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { free in
                stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_out = UInt32(room)
                result = inflate(stream, Z_NO_FLUSH)
                isFull = stream.pointee.avail_out == 0
                return room - Int(stream.pointee.avail_out)
            }
            return offered - Int(stream.pointee.avail_in)
        }
        switch result {
        // `Z_BUF_ERROR`: zlib needs more input or more room. Neither is an error here.
        case Z_OK, Z_BUF_ERROR: return Step(isFull: isFull)
        case Z_STREAM_END: return Step(isAtEnd: true)
        case Z_MEM_ERROR: throw .outOfMemory
        case Z_NEED_DICT: throw .damaged(coding, reason: "it needs a preset dictionary")
        default:
            throw .damaged(coding, reason: stream.pointee.msg.map { String(cString: $0) } ?? "zlib error \(result)")
        }
    }
}
