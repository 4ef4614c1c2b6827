internal import NIOCore

/// The length of a body and a hash of all its bytes (FNV-1a, over words of eight bytes and then over single bytes).
///
/// Not for security: it detects accidental changes.
struct BodyDigest: Sendable, Hashable, CustomStringConvertible {
    let length: Int
    let hash: UInt64

    /// The digest of an empty body.
    static let empty = BodyDigest(ByteBuffer())

    /// Makes the digest of all readable bytes.
    init(_ buffer: ByteBuffer) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        buffer.withUnsafeReadableBytes { bytes in
            var index = 0
            while index + 8 <= bytes.count {
                hash = (hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0x100_0000_01B3
                // Multiplication moves bits only upwards; this mixes the high bits into the low ones.
                hash ^= hash >> 29
                index += 8
            }
            while index < bytes.count {
                hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3
                index += 1
            }
        }
        self.hash = hash
        length = buffer.readableBytes
    }

    var description: String { "\(length) bytes (\(String(hash, radix: 16)))" }
}
