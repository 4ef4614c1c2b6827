internal import BowlinePlatform
internal import Synchronization

/// The file that bodies are written to, as they arrive.
final class OutputFile: Sendable {
    private let path: String
    private let descriptor: Int32
    /// Whether no body has begun yet. The old content is removed when the first body begins. So a request that fails
    /// before that leaves the old content unchanged.
    private let isFresh = Atomic(true)

    /// Opens the file, or creates it; `-` is standard output.
    ///
    /// - Throws: `FileError`.
    init(_ path: String) throws {
        self.path = path
        descriptor = path == "-" ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileError("write", path: path) }
    }

    deinit {
        if descriptor != STDOUT_FILENO { close(descriptor) }
    }

    /// Begins a body. The first body replaces the content of the file.
    ///
    /// - Throws: `FileError`.
    func beginBody() throws {
        guard isFresh.exchange(false, ordering: .relaxed), descriptor != STDOUT_FILENO else { return }
        // Pipes and devices cannot be truncated (EINVAL).
        guard ftruncate(descriptor, 0) == 0 || errno == EINVAL else { throw FileError("write", path: path) }
    }

    /// Writes all of the bytes.
    ///
    /// - Throws: `FileError`.
    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard DescriptorWriting.writeAll(bytes, to: descriptor) else { throw FileError("write", path: path) }
    }
}

/// Writes to a descriptor until everything is written.
enum DescriptorWriting {
    /// Writes all of the bytes. Returns false, with the reason in `errno`, if that fails.
    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = write(descriptor, rest.baseAddress, rest.count)
            if count >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            } else if errno == EAGAIN {
                // Another process has made our terminal or pipe non-blocking: wait until it takes more.
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wanted, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }
}
