internal import Bowline

/// A request body without a fixed length: its chunks fill all buffers on the way until `isOver` returns true.
struct UploadChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    /// 256 MiB, more than all buffers on the way take.
    fileprivate static let mostChunks = 4096
    fileprivate static let chunk = ByteBuffer(repeating: 0x78, count: 65_536)

    /// Whether the body has no more chunks.
    let isOver: @Sendable () -> Bool

    func makeAsyncIterator() -> Iterator { Iterator(isOver: isOver) }

    struct Iterator: AsyncIteratorProtocol {
        let isOver: @Sendable () -> Bool
        private var count = 0

        init(isOver: @escaping @Sendable () -> Bool) {
            self.isOver = isOver
        }

        mutating func next() async throws -> ByteBuffer? {
            guard count < UploadChunks.mostChunks, !isOver() else { return nil }
            count += 1
            return UploadChunks.chunk
        }
    }
}
