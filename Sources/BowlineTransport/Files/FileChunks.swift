internal import BowlineCore
internal import BowlinePlatform
package import NIOCore
internal import NIOPosix

/// The bytes of a file, opened and read anew by each iterator, on SwiftNIO's threads for blocking work.
package struct FileChunks: AsyncSequence, Sendable {
    package typealias Element = ByteBuffer

    /// How much is read at once, and so held in memory.
    static let size = 131_072

    private let path: String
    private let threads: NIOThreadPool
    /// How long the file was when it was looked at, in bytes; nil: the system does not know, as for files under `/proc`,
    /// which say that they are empty and are not.
    package let length: Int?

    /// Looks at the file. One that says that it is empty is read from, to see whether that is so.
    ///
    /// - Throws: ``ServiceError`` `fileFailed` if there is none, or if it cannot be read or is not a regular file, or if there
    ///   are no threads to read it on; `invalidConfiguration` if SwiftNIO's singletons are switched off.
    package init(path: String) async throws {
        self.path = path
        threads = try SingletonLoops.threads()
        do {
            length = try await threads.runIfActive {
                let file = try FileDescriptor(reading: path)
                let length = try file.length()
                guard length == 0, try file.read(upTo: 1) != nil else { return length }
                // It may also have grown since.
                let grown = try file.length()
                return grown > 0 ? grown : nil
            }
        } catch let failure as FileFailure {
            throw failure.serviceError(progress: .neverSent, phase: nil)
        }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(path: path, threads: threads) }

    /// One reader's place in the file.
    package struct Iterator: AsyncIteratorProtocol {
        private let path: String
        private let threads: NIOThreadPool
        private var file: FileDescriptor?

        init(path: String, threads: NIOThreadPool) {
            self.path = path
            self.threads = threads
        }

        /// The next piece; nil at the end.
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
