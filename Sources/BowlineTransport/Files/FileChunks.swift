internal import BowlineCore
internal import BowlinePlatform
package import NIOCore
internal import NIOPosix

/// The bytes of a file. Each iterator opens the file and reads it, on SwiftNIO's threads for blocking work.
package struct FileChunks: AsyncSequence, Sendable {
    package typealias Element = ByteBuffer

    /// How many bytes are read at once, and so kept in memory.
    static let size = 131_072

    private let path: String
    private let threads: NIOThreadPool
    /// The length of the file when it was checked, in bytes; nil: unknown. The system does not know the length of files
    /// under `/proc`, for example: it reports that they are empty although they are not.
    package let length: Int?

    /// Checks the file. If the system reports an empty file, one byte is read to find out whether that is true.
    ///
    /// - Throws: ``ServiceError`` `fileFailed` if there is no file, if it cannot be read, if it is not a regular file,
    ///   or if there are no threads to read it on; `invalidConfiguration` if the program has disabled SwiftNIO's
    ///   singletons.
    package init(path: String) async throws {
        self.path = path
        threads = try SingletonLoops.threads()
        do {
            length = try await threads.runIfActive {
                let file = try FileDescriptor(reading: path)
                let length = try file.length()
                guard length == 0, try file.read(upTo: 1) != nil else { return length }
                // The file may also have grown meanwhile.
                let grown = try file.length()
                return grown > 0 ? grown : nil
            }
        } catch let failure as FileFailure {
            throw failure.serviceError(progress: .neverSent, phase: nil)
        }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(path: path, threads: threads) }

    /// One reader's position in the file.
    package struct Iterator: AsyncIteratorProtocol {
        private let path: String
        private let threads: NIOThreadPool
        private var file: FileDescriptor?

        init(path: String, threads: NIOThreadPool) {
            self.path = path
            self.threads = threads
        }

        /// Returns the next chunk; nil at the end.
        ///
        /// - Throws: `FileFailure`; `CancellationError` when the task is cancelled.
        package mutating func next() async throws -> ByteBuffer? {
            let (path, open) = (path, file)
            let (file, chunk) = try await threads.runIfActive {
                let file = try open ?? FileDescriptor(reading: path)
                return (file, try file.read(upTo: FileChunks.size))
            }
            self.file = file
            return chunk
        }
    }
}
