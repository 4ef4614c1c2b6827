package import NIOCore

/// Chunks that wait to be read, in order. Small chunks are joined, so that a chunk of one byte costs little more than one byte.
///
/// A chunk of at most 1 KiB that follows another such chunk is copied behind it, into a block of up to 32 KiB that the queue
/// owns; each byte is copied at most three times. Larger chunks are kept as they are. A chunk also keeps the whole buffer that
/// it was read into: if the buffers hold far more memory than the chunks have bytes, the next chunk is copied out of its buffer.
package struct ChunkQueue: Sendable {
    /// Chunks up to this size are joined.
    package static let smallSize = 1024
    /// How large a block of joined chunks becomes. With blocks of 8 KiB the memory beside the bytes of a window of 1 MiB that
    /// came in frames of one byte was 25 KiB (`bowline-trust stalled`).
    package static let blockSize = 32_768
    /// How much memory the chunks may hold for each of their bytes, and besides.
    private static let slack = (factor: 4, bytes: 524_288)

    // Most bodies never have more than one chunk waiting; it grows by itself.
    private var chunks = CircularBuffer<ByteBuffer>(initialCapacity: 2)
    /// The last chunk is a block of the queue's own: nothing else refers to its memory.
    private var endsWithBlock = false
    /// How many bytes the chunks have.
    package private(set) var byteCount = 0
    /// How much memory the chunks hold. Neighbours in the same buffer count once.
    package private(set) var heldBytes = 0

    package init() {}

    package var count: Int { chunks.count }
    package var isEmpty: Bool { chunks.isEmpty }

    /// The chunk of that number, from 0: the first in the queue.
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
        if heldBytes + capacity > byteCount * Self.slack.factor + Self.slack.bytes {
            let copy = ByteBuffer(bytes: chunk.readableBytesView)
            heldBytes += copy.storageCapacity
            chunks.append(copy)
        } else {
            heldBytes += capacity
            chunks.append(chunk)
        }
    }

    /// Takes the first chunk.
    package mutating func popFirst() -> ByteBuffer? {
        guard let chunk = chunks.popFirst() else { return nil }
        byteCount -= chunk.readableBytes
        if chunks.first?.storageIdentity != chunk.storageIdentity { heldBytes -= chunk.storageCapacity }
        if chunks.isEmpty { endsWithBlock = false }
        return chunk
    }

    /// Copies a small chunk behind the last one, if that is small too, or a block with room.
    private mutating func join(_ chunk: ByteBuffer) -> Bool {
        guard !chunks.isEmpty else { return false }
        let last = chunks.index(before: chunks.endIndex)
        let count = chunks[last].readableBytes
        guard count + chunk.readableBytes <= Self.blockSize, endsWithBlock || count <= Self.smallSize else {
            return false
        }
        heldBytes -= soleCapacity(ofLast: last)
        if endsWithBlock {
            // In place: the queue's is the only reference. The block doubles when it is full.
            _ = chunks.modify(last) { $0.writeImmutableBuffer(chunk) }
        } else {
            var block = ByteBuffer()
            block.reserveCapacity((count + chunk.readableBytes) * 2)
            block.writeImmutableBuffer(chunks[last])
            block.writeImmutableBuffer(chunk)
            chunks[last] = block
            endsWithBlock = true
        }
        heldBytes += chunks[last].storageCapacity
        return true
    }

    /// The memory that the last chunk adds.
    private func soleCapacity(ofLast last: CircularBuffer<ByteBuffer>.Index) -> Int {
        let chunk = chunks[last]
        guard chunks.count > 1, chunks[chunks.index(before: last)].storageIdentity == chunk.storageIdentity else {
            return chunk.storageCapacity
        }
        return 0
    }
}

extension ByteBuffer {
    /// Equal for buffers that share their memory.
    fileprivate var storageIdentity: UnsafeMutableRawPointer {
        withVeryUnsafeBytesWithStorageManagement { $1.toOpaque() }
    }
}
