internal import NIOCore

extension ByteBuffer {
    /// Pieces up to this size are copied rather than left in something much larger.
    private static let compactLimit = 4096

    /// The same bytes, in memory of their own if they are few in much.
    ///
    /// What is read lies in the buffer that it was read into, which lives as long as the smallest piece of it. With TLS that
    /// is 32 KiB for an event of 30 bytes or half a head, and the next read then finds the buffer taken and copies all of it.
    func compact() -> ByteBuffer {
        guard readableBytes <= Self.compactLimit, storageCapacity > Self.compactLimit,
            storageCapacity >= readableBytes * 4
        else { return self }
        return ByteBuffer(bytes: readableBytesView)
    }
}
