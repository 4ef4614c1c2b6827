internal import Bowline
internal import BowlinePlatform
internal import Dispatch

/// The bytes of a file, read anew by each iterator.
struct FileChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let path: String

    func makeAsyncIterator() -> Iterator { Iterator(reader: FileReader(path: path)) }

    struct Iterator: AsyncIteratorProtocol {
        let reader: FileReader

        func next() async throws -> ByteBuffer? { try await reader.next() }
    }
}

/// Reads a file on a queue of its own. Opening or reading a pipe blocks until the pipe's writer acts. On this queue
/// that blocks no event loop and none of Swift's few threads.
final class FileReader: Sendable {
    private static let chunkSize = 131_072

    private let queue = DispatchQueue(label: "bowline.body-file")
    private let file: OpenFile

    init(path: String) {
        file = OpenFile(path: path)
    }

    /// Returns the next piece; nil at the end.
    func next() async throws -> ByteBuffer? {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { [file] in
                continuation.resume(with: Result { try file.read(upTo: Self.chunkSize) })
            }
        }
    }

    // Safety: used only by the reader's queue, one block at a time, and by `deinit` when no block is left.
    private final class OpenFile: @unchecked Sendable {
        private let path: String
        private var descriptor: Int32?

        init(path: String) {
            self.path = path
        }

        deinit {
            if let descriptor, descriptor != STDIN_FILENO { close(descriptor) }
        }

        func read(upTo size: Int) throws -> ByteBuffer? {
            let descriptor = try opened()
            var buffer = ByteBuffer()
            let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { bytes in
                let count = SystemCall.retryOnInterrupt(failure: -1) {
                    systemRead(descriptor, bytes.baseAddress, min(size, bytes.count))
                }
                guard count >= 0 else { throw FileError("read", path: path) }
                return count
            }
            return count == 0 ? nil : buffer
        }

        private func opened() throws -> Int32 {
            if let descriptor { return descriptor }
            let opened =
                path == "-"
                ? STDIN_FILENO : SystemCall.retryOnInterrupt(failure: -1) { open(path, O_RDONLY | O_CLOEXEC) }
            guard opened >= 0 else { throw FileError("read", path: path) }
            descriptor = opened
            return opened
        }
    }
}

/// Calls `read(2)`. In `OpenFile` the method `read` hides it.
private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ size: Int) -> Int {
    read(descriptor, buffer, size)
}
