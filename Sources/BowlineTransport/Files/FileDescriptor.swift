internal import BowlinePlatform
internal import NIOCore
internal import Synchronization

/// An open file. Every call may block, so call it on a thread for blocking work.
final class FileDescriptor: Sendable {
    private let number: CInt
    private let path: String
    private let isClosed = Atomic(false)

    /// Opens a regular file to read it.
    ///
    /// - Throws: `FileFailure`.
    init(reading path: String) throws {
        try Self.requireWhole(path, "read")
        // Without O_NONBLOCK, opening a pipe waits for its writer.
        number = SystemCall.retryOnInterrupt(failure: -1) { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        self.path = path
        guard number >= 0 else { throw FileFailure("read", path) }
        var facts = stat()
        guard fstat(number, &facts) == 0 else { throw FileFailure("read", path) }
        let kind = facts.st_mode & S_IFMT
        guard kind == S_IFREG else { throw FileFailure("read", path, number: kind == S_IFDIR ? EISDIR : EINVAL) }
    }

    /// Makes a file that does not exist yet.
    ///
    /// - Parameter permissions: The permissions of the new file; nil: 0666 without the bits of the umask.
    /// - Throws: `FileFailure`.
    init(making path: String, permissions: mode_t?) throws {
        try Self.requireWhole(path, "write")
        // If permissions are given, they are set once the file is open. Before that, only the owner may use the file.
        number = SystemCall.retryOnInterrupt(failure: -1) {
            open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions == nil ? 0o666 : 0o600)
        }
        self.path = path
        guard number >= 0 else { throw FileFailure("write", path) }
        if let permissions, fchmod(number, permissions) != 0 { throw FileFailure("write", path) }
    }

    /// Opens a regular file to write at its end. If it does not exist, makes it, so that only its owner may use it.
    ///
    /// - Throws: `FileFailure`.
    init(appendingTo path: String) throws {
        try Self.requireWhole(path, "write")
        // Without O_NONBLOCK, opening a pipe waits for its reader.
        number = SystemCall.retryOnInterrupt(failure: -1) {
            open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o600)
        }
        self.path = path
        guard number >= 0 else { throw FileFailure("write", path) }
        var facts = stat()
        guard fstat(number, &facts) == 0 else { throw FileFailure("write", path) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw FileFailure("write", path, number: EINVAL) }
    }

    /// Opens an existing file to write into it: a device, a pipe, or a file that other processes have open.
    ///
    /// Does not wait for a pipe's reader. Fails if there is none.
    ///
    /// - Throws: `FileFailure`.
    init(writingInto path: String) throws {
        try Self.requireWhole(path, "write")
        number = SystemCall.retryOnInterrupt(failure: -1) {
            open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        }
        self.path = path
        guard number >= 0 else { throw FileFailure("write", path) }
        #if canImport(Darwin)
            _ = fcntl(number, F_SETNOSIGPIPE, 1)
        #endif
    }

    deinit {
        if number >= 0, !isClosed.load(ordering: .relaxed) { _ = systemClose(number) }
    }

    /// Refuses a path that contains NUL. The system would silently ignore everything from the NUL on.
    private static func requireWhole(_ path: String, _ action: String) throws {
        if path.utf8.contains(0) { throw FileFailure(action, path, number: EINVAL) }
    }

    /// Closes the file. Some file systems report a full disk only here.
    ///
    /// - Throws: `FileFailure`.
    func close() throws {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        // If the call is interrupted, the file is closed nevertheless.
        guard systemClose(number) == 0 || errno == EINTR else { throw FileFailure("write", path) }
    }

    /// Removes the contents of a regular file.
    ///
    /// - Throws: `FileFailure`.
    func truncate() throws {
        let result = SystemCall.retryOnInterrupt(failure: -1) { ftruncate(number, 0) }
        guard result == 0 else { throw FileFailure("write", path) }
    }

    func length() throws -> Int {
        var facts = stat()
        guard fstat(number, &facts) == 0 else { throw FileFailure("read", path) }
        return Int(facts.st_size)
    }

    /// Returns the next bytes; nil at the end.
    func read(upTo size: Int) throws -> ByteBuffer? {
        var buffer = ByteBuffer()
        let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { bytes in
            let count = SystemCall.retryOnInterrupt(failure: -1) {
                systemRead(number, bytes.baseAddress, min(size, bytes.count))
            }
            guard count >= 0 else { throw FileFailure("read", path) }
            return count
        }
        return count == 0 ? nil : buffer
    }

    /// Writes the whole buffer.
    func write(_ buffer: ByteBuffer) throws {
        try buffer.withUnsafeReadableBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = systemWrite(number, rest.baseAddress, rest.count)
                if count >= 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
                } else if errno != EINTR {
                    throw FileFailure("write", path)
                }
            }
        }
    }
}

extension FileDescriptor {
    /// How long a thread waits for a pipe's reader at a time, in milliseconds.
    private static let patience: CInt = 20

    /// Writes as many bytes as the file accepts now. If it accepts none, waits for a moment.
    ///
    /// - Returns: How many bytes were written; 0: none yet.
    /// - Throws: `FileFailure`; with the number `EPIPE` when the pipe's reader has closed it.
    func writeSome(_ buffer: ByteBuffer) throws -> Int {
        try buffer.withUnsafeReadableBytes { bytes in
            let (count, reason) = writeQuietly(number, bytes)
            if count >= 0 { return count }
            switch reason {
            case EAGAIN, EWOULDBLOCK:
                var wanted = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
                poll(&wanted, 1, Self.patience)
                return 0
            case EINTR: return 0
            default: throw FileFailure("write", path, number: reason)
            }
        }
    }
}

/// Writes without SIGPIPE, which would end the process when a pipe's reader has closed it.
private func writeQuietly(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> (count: Int, reason: CInt) {
    #if canImport(Darwin)
        let count = write(descriptor, bytes.baseAddress, bytes.count)
        return (count, errno)
    #else
        // The thread that writes gets SIGPIPE. Block the signal there, and remove it if it has come.
        var pipeSignal = sigset_t()
        var before = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &pipeSignal, &before)
        let count = write(descriptor, bytes.baseAddress, bytes.count)
        let reason = errno
        if count < 0, reason == EPIPE {
            var now = timespec()
            sigtimedwait(&pipeSignal, nil, &now)
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        return (count, reason)
    #endif
}

/// `read(2)`, `write(2)` and `close(2)`: methods with the same names hide them.
private func systemRead(_ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ size: Int) -> Int {
    read(descriptor, buffer, size)
}

private func systemWrite(_ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ size: Int) -> Int {
    write(descriptor, buffer, size)
}

private func systemClose(_ descriptor: CInt) -> CInt {
    close(descriptor)
}
