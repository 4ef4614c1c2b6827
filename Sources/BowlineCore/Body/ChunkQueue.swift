package import NIOCore

/// Chunks that wait to be read, in order. Small chunks are joined, so that a chunk of one byte costs little more than one byte.
///
/// A chunk of at most 1 KiB that follows another such chunk is copied into a block of up to 32 KiB, which the queue
/// owns. Each byte is copied at most three times. Larger chunks are kept unchanged. A chunk keeps in memory the whole
/// buffer that it was read into. If the buffers take far more memory than the chunks have bytes, the next chunk is
/// copied out of its buffer.
package struct ChunkQueue: Sendable {
    /// Chunks up to this size are joined.
    package static let smallSize = 1024
    /// The largest size of a block of joined chunks. With blocks of 8 KiB, a window of 1 MiB that arrived in frames of
    /// one byte took 25 KiB of memory in addition to its bytes (`bowline-trust stalled`).
    package static let blockSize = 32_768
    /// How much memory the chunks may take before a chunk is copied out of its buffer: `factor` times the chunks'
    /// bytes, plus `bytes`.
    private static let slack = (factor: 4, bytes: 524_288)

    // Most bodies never have more than one waiting chunk. The buffer grows when it is full.
    private var chunks = CircularBuffer<ByteBuffer>(initialCapacity: 2)
    /// Whether the last chunk is a block that the queue owns: nothing else refers to its memory.
    private var endsWithBlock = false
    /// The number of bytes of all chunks.
    package private(set) var byteCount = 0
    /// How much memory the chunks keep, in bytes. Neighbouring chunks in the same buffer count once.
    package private(set) var retainedBytes = 0

    package init() {}

    package var count: Int { chunks.count }
    package var isEmpty: Bool { chunks.isEmpty }

    /// The chunk at `index`. The first chunk in the queue has the index 0.
    package subscript(index: Int) -> ByteBuffer {
        chunks[chunks.index(chunks.startIndex, offsetBy: index)]
    }

    /// Adds a chunk at the end.
    package mutating func append(_ chunk: ByteBuffer) {
        byteCount += chunk.readableBytes
        if chunk.readableBytes <= Self.smallSize, join(chunk) { return }
        endsWithBlock = false
        guard chunk.storageIdentity != chunks.last?.storageIdentity else {
            chunks.append(chunk)
            return
        }
        let capacity = chunk.storageCapacity
        if retainedBytes + capacity > byteCount * Self.slack.factor + Self.slack.bytes {
            let copy = ByteBuffer(bytes: chunk.readableBytesView)
            retainedBytes += copy.storageCapacity
            chunks.append(copy)
        } else {
            retainedBytes += capacity
            chunks.append(chunk)
        }
    }

    /// Removes and returns the first chunk; nil: the queue is empty.
    package mutating func popFirst() -> ByteBuffer? {
        guard let chunk = chunks.popFirst() else { return nil }
        byteCount -= chunk.readableBytes
        if chunks.first?.storageIdentity != chunk.storageIdentity { retainedBytes -= chunk.storageCapacity }
        if chunks.isEmpty { endsWithBlock = false }
        return chunk
    }

    /// Copies a small chunk to the end of the last chunk, if the last chunk is small too or is a block with room.
    /// Returns whether the chunk was copied.
    private mutating func join(_ chunk: ByteBuffer) -> Bool {
        guard !chunks.isEmpty else { return false }
        let last = chunks.index(before: chunks.endIndex)
        let count = chunks[last].readableBytes
        guard count + chunk.readableBytes <= Self.blockSize, endsWithBlock || count <= Self.smallSize else {
            return false
        }
        retainedBytes -= soleCapacity(ofLast: last)
        if endsWithBlock {
            // The bytes are appended in place, because the queue has the only reference to the block. The block's
            // capacity doubles when it is full.
            _ = chunks.modify(last) { $0.writeImmutableBuffer(chunk) }
        } else {
            var block = ByteBuffer()
            block.reserveCapacity((count + chunk.readableBytes) * 2)
            block.writeImmutableBuffer(chunks[last])
            block.writeImmutableBuffer(chunk)
            chunks[last] = block
            endsWithBlock = true
        }
        retainedBytes += chunks[last].storageCapacity
        return true
    }

    /// Returns how much memory only the last chunk keeps; 0 if the chunk before it is in the same buffer.
    private func soleCapacity(ofLast last: CircularBuffer<ByteBuffer>.Index) -> Int {
        let chunk = chunks[last]
        guard chunks.count > 1, chunks[chunks.index(before: last)].storageIdentity == chunk.storageIdentity else {
            return chunk.storageCapacity
        }
        return 0
    }
}

extension ByteBuffer {
    /// The identity of the buffer's memory. Buffers that share their memory have the same identity.
    fileprivate var storageIdentity: UnsafeMutableRawPointer {
        withVeryUnsafeBytesWithStorageManagement { $1.toOpaque() }
    }
}
