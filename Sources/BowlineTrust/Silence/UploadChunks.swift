internal import Bowline

/// A request body that ends when it is told to: its chunks fill whatever buffers are on the way until then.
struct UploadChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    /// 256 MiB, more than any buffers on the way hold.
    fileprivate static let mostChunks = 4096
    fileprivate static let chunk = ByteBuffer(repeating: 0x78, count: 65_536)

    /// Whether no chunk is to follow.
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
