import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Chunks that wait are joined when they are small")
struct ChunkQueueTests {
    @Test(
        "128 KiB in chunks of any size take little more memory, become few chunks, and come out unchanged",
        arguments: [1, 3, 100, 1023, 1024, 1025, 4096, 16_384])
    func memory(size: Int) throws {
        let total = 131_072
        var queue = ChunkQueue()
        var sent = ByteBuffer()
        var next = 0
        while sent.readableBytes < total {
            let chunk = Self.chunk(min(size, total - sent.readableBytes), from: &next)
            sent.writeImmutableBuffer(chunk)
            queue.append(chunk)
        }
        #expect(queue.byteCount == total)
        #expect(queue.retainedBytes <= total * 5 / 2, "\(queue.retainedBytes)")
        #expect(queue.count <= total / 1024)
        var received = ByteBuffer()
        while let chunk = queue.popFirst() {
            #expect(chunk.readableBytes > 0)
            received.writeImmutableBuffer(chunk)
        }
        #expect(received == sent)
        #expect(queue.isEmpty)
        #expect(queue.byteCount == 0)
        #expect(queue.retainedBytes == 0)
    }

    @Test("Joining copies each byte a bounded number of times: a block is not copied for each chunk")
    func noCopyOfTheBlock() {
        var queue = ChunkQueue()
        var places = Set<UInt>()
        for _ in 0..<8192 {
            queue.append(ByteBuffer(integer: UInt8(0)))
            places.insert(queue[queue.count - 1].withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) })
        }
        // The memory moves when a block doubles, which may fall on a place that was used before, but not for each byte.
        #expect(places.count < 24)
    }

    @Test("Joining later chunks neither changes nor copies a chunk that the reader has taken")
    func takenChunksStay() throws {
        var queue = ChunkQueue()
        for byte in UInt8(0)..<10 { queue.append(ByteBuffer(integer: byte)) }
        let first = queue.popFirst()
        let taken = try #require(first)
        for byte in UInt8(10)..<20 { queue.append(ByteBuffer(integer: byte)) }
        #expect(Array(taken.readableBytesView) == Array(0..<10))
        let second = queue.popFirst()
        #expect(second.map { Array($0.readableBytesView) } == Array(10..<20))
    }

    @Test("Large chunks stay as they are, and small chunks between them are not joined to them")
    func largeChunks() {
        var queue = ChunkQueue()
        var next = 0
        let large = Self.chunk(100_000, from: &next)
        for _ in 0..<3 {
            queue.append(large)
            queue.append(ByteBuffer(integer: UInt8(1)))
        }
        #expect(queue.count == 6)
        let place = large.withUnsafeReadableBytes { $0.baseAddress }
        let first = queue.popFirst()
        #expect(first?.withUnsafeReadableBytes { $0.baseAddress } == place)
    }

    @Test("Small chunks of large buffers are copied before they keep many times their size alive")
    func piecesOfLargeBuffers() {
        var queue = ChunkQueue()
        var received = 0
        for number in 0..<200 {
            // One read of a socket, of which 5,000 bytes belong to this stream.
            var read = ByteBuffer(repeating: UInt8(truncatingIfNeeded: number), count: 262_144)
            queue.append(read.readSlice(length: 5000) ?? ByteBuffer())
        }
        #expect(queue.retainedBytes <= 5 * 200 * 5000 + 524_288)
        while let chunk = queue.popFirst() {
            #expect(chunk.readableBytesView.allSatisfy { $0 == UInt8(truncatingIfNeeded: received / 5000) })
            received += chunk.readableBytes
        }
        #expect(received == 200 * 5000)
        #expect(queue.retainedBytes == 0)
    }

    @Test("A seeded walk matches a list of bytes: no byte is lost, doubled or moved, and the counts are right")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<60 {
            var queue = ChunkQueue()
            var model: [UInt8] = []
            var next = 0
            for _ in 0..<200 {
                if random.next(in: 0..<3) > 0 {
                    let size = [1, 5, 900, 1024, 1025, 3000][random.next(in: 0..<6)]
                    var chunk = Self.chunk(size, from: &next)
                    model += Array(chunk.readableBytesView)
                    while random.nextBool(), let half = chunk.readSlice(length: chunk.readableBytes / 2) {
                        if half.readableBytes == 0 { break }
                        queue.append(half)
                    }
                    queue.append(chunk)
                } else if let chunk = queue.popFirst() {
                    #expect(Array(model.prefix(chunk.readableBytes)) == Array(chunk.readableBytesView))
                    model.removeFirst(chunk.readableBytes)
                }
                #expect(queue.byteCount == model.count)
                #expect(queue.isEmpty == model.isEmpty)
                #expect(queue.retainedBytes >= queue.byteCount)
            }
            while let chunk = queue.popFirst() {
                #expect(Array(model.prefix(chunk.readableBytes)) == Array(chunk.readableBytesView))
                model.removeFirst(chunk.readableBytes)
            }
            #expect(model.isEmpty)
            #expect(queue.byteCount == 0)
            #expect(queue.retainedBytes == 0)
        }
    }

    static func chunk(_ size: Int, from next: inout Int) -> ByteBuffer {
        defer { next += size }
        return ByteBuffer(bytes: (next..<(next + size)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }
}
