internal import BowlineCore
internal import CZlib

/// zlib's compressor, with the envelope of gzip. Each step yields a limited number of compressed bytes.
///
/// A class, because its `deinit` frees the stream's memory (about 260 KiB) however an upload ends.
final class Deflater {
    /// On the heap, because zlib keeps its address.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isFinished = false

    /// Makes the stream. Throws `encodingFailed` if there is no memory.
    init() throws {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)
        )
        guard result == Z_OK else { throw Self.failure }
    }

    deinit {
        // Does nothing if the initialisation of the stream failed.
        deflateEnd(stream)
        stream.deallocate()
    }

    /// The largest output of one step, in bytes.
    static let largestStep = 16_384

    /// Compresses `input`, or a part of it.
    ///
    /// - Parameter isLast: Whether nothing follows `input`. Then call again until the result is nil.
    /// - Returns: compressed bytes; nil: more input is needed, or the end was reached.
    func step(_ input: inout ByteBuffer, isLast: Bool) throws -> ByteBuffer? {
        guard !isFinished, isLast || input.readableBytes > 0 else { return nil }
        var output = ByteBuffer()
        var result = Z_OK
        input.readWithUnsafeReadableBytes { plain in
            // zlib declares its input mutable and only reads it.
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: plain.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(clamping: plain.count)
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.largestStep) { free in
                stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_out = UInt32(Self.largestStep)
                result = deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
                return Self.largestStep - Int(stream.pointee.avail_out)
            }
            return Int(UInt32(clamping: plain.count) - stream.pointee.avail_in)
        }
        switch result {
        case Z_STREAM_END: isFinished = true
        case Z_OK, Z_BUF_ERROR: break
        default: throw Self.failure
        }
        return output.readableBytes > 0 ? output : nil
    }

    private static var failure: ServiceError {
        ServiceError(.encodingFailed, "there is no memory to compress the request body in")
    }
}
