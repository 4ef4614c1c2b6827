internal import NIOCore

extension ByteBuffer {
    /// The size of the largest piece that is copied out of a much larger buffer.
    private static let compactLimit = 4096

    /// Returns the same bytes. Copies them into a buffer of their own if they are a small part of a large one.
    ///
    /// A piece keeps alive the whole buffer that it was read into. With TLS that is 32 KiB for an event of 30 bytes or
    /// half a head. The next read then cannot reuse the buffer: it copies all of it.
    func compact() -> ByteBuffer {
        guard readableBytes <= Self.compactLimit, storageCapacity > Self.compactLimit,
            storageCapacity >= readableBytes * 4
        else { return self }
        return ByteBuffer(bytes: readableBytesView)
    }
}
