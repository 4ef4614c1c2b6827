import CZlib

/// Bytes as a server codes them, made by zlib itself.
package enum CodedBytes {
    /// What is around the compressed data.
    package enum Envelope: Sendable, CaseIterable {
        case gzip, zlib
        /// Nothing: what some servers call deflate.
        case raw

        /// What `Content-Encoding` says of it.
        package var contentCoding: String { self == .gzip ? "gzip" : "deflate" }

        fileprivate var windowBits: Int32 {
            switch self {
            case .gzip: MAX_WBITS + 16
            case .zlib: MAX_WBITS
            case .raw: -MAX_WBITS
            }
        }
    }

    /// These bytes, compressed.
    package static func encode(_ bytes: [UInt8], as envelope: Envelope) -> [UInt8] {
        var stream = z_stream()
        deflateInit2_(
            &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, envelope.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)
        )
        defer { deflateEnd(&stream) }
        var input = bytes
        var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 32)
        let count = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                deflate(&stream, Z_FINISH)
                return output.count - Int(stream.avail_out)
            }
        }
        return Array(output[..<count])
    }

    /// The decompressed bytes of all gzip members; nil if they are damaged or end too early.
    package static func gunzip(_ bytes: [UInt8]) -> [UInt8]? {
        var stream = z_stream()
        inflateInit2_(&stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        defer { inflateEnd(&stream) }
        var input = bytes
        var decoded: [UInt8] = []
        var result = Z_OK
        input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            var step = [UInt8](repeating: 0, count: 65_536)
            while result == Z_OK {
                let count = step.withUnsafeMutableBufferPointer { step in
                    stream.next_out = step.baseAddress
                    stream.avail_out = UInt32(step.count)
                    result = inflate(&stream, Z_NO_FLUSH)
                    return step.count - Int(stream.avail_out)
                }
                decoded += step[..<count]
                if result == Z_STREAM_END, stream.avail_in > 0 { result = inflateReset(&stream) }
            }
        }
        return result == Z_STREAM_END ? decoded : nil
    }
}
