internal import NIOCore

extension ByteBuffer {
    /// The size of the largest piece that is copied out of a much larger buffer.
    private static let compactLimit = 4096

    /// Returns the same bytes. Copies them into a buffer of their own if they are a small part of a large one.
    ///
    /// A slice keeps in memory the whole buffer into which its bytes were read. With TLS, an event of 30 bytes or a
    /// part of a head would keep 32 KiB. The next read could not reuse that buffer either, and would copy all of it.
    func compact() -> ByteBuffer {
        guard readableBytes <= Self.compactLimit, storageCapacity > Self.compactLimit,
            storageCapacity >= readableBytes * 4
        else { return self }
        return ByteBuffer(bytes: readableBytesView)
    }
}
