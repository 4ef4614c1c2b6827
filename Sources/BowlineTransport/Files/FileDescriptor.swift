internal import BowlinePlatform
internal import NIOCore
internal import Synchronization

/// An open file. Every call may block: they belong on a thread for that.
final class FileDescriptor: Sendable {
    private let number: CInt
    private let path: String
    private let isClosed = Atomic(false)

    /// Opens a regular file.
    ///
    /// - Throws: `FileFailure`.
    init(reading path: String) throws {
        try Self.requireWhole(path, "read")
        // Without O_NONBLOCK, opening a pipe would wait for its writer.
        number = Self.uninterrupted { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        self.path = path
        guard number >= 0 else { throw FileFailure("read", path) }
        var facts = stat()
        guard fstat(number, &facts) == 0 else { throw FileFailure("read", path) }
        let kind = facts.st_mode & S_IFMT
        guard kind == S_IFREG else { throw FileFailure("read", path, number: kind == S_IFDIR ? EISDIR : EINVAL) }
    }

    /// Makes a file that must not be there yet.
    ///
    /// - Parameter permissions: Who may do what with it; nil: as the process's mask has it.
    /// - Throws: `FileFailure`.
    init(making path: String, permissions: mode_t?) throws {
        try Self.requireWhole(path, "write")
        // Those of another file are set once it is open: until then it is its owner's alone.
        number = Self.uninterrupted {
            open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions == nil ? 0o666 : 0o600)
        }
        self.path = path
        guard number >= 0 else { throw FileFailure("write", path) }
        if let permissions, fchmod(number, permissions) != 0 { throw FileFailure("write", path) }
    }

    /// Opens what is there to be written into: a device, a pipe, or a file that others have open.
    ///
    /// Does not wait for a pipe's reader: without one, the opening fails.
    ///
    /// - Throws: `FileFailure`.
    init(writingInto path: String) throws {
        try Self.requireWhole(path, "write")
        number = Self.uninterrupted { open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
        self.path = path
        guard number >= 0 else { throw FileFailure("write", path) }
        #if canImport(Darwin)
            _ = fcntl(number, F_SETNOSIGPIPE, 1)
        #endif
    }

    deinit {
        if number >= 0, !isClosed.load(ordering: .relaxed) { _ = systemClose(number) }
    }

    /// The call's result, once no signal interrupts it.
    private static func uninterrupted(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }

    /// The system takes a path up to its first NUL: the rest would be cut off unseen.
    private static func requireWhole(_ path: String, _ action: String) throws {
        if path.utf8.contains(0) { throw FileFailure(action, path, number: EINVAL) }
    }

    /// Closes the file. Some file systems say only now that there was no room.
    ///
    /// - Throws: `FileFailure`.
    func close() throws {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        // Interrupted, it is closed all the same.
        guard systemClose(number) == 0 || errno == EINTR else { throw FileFailure("write", path) }
    }

    /// Removes what is in a regular file.
    ///
    /// - Throws: `FileFailure`.
    func truncate() throws {
        while ftruncate(number, 0) != 0 {
            guard errno == EINTR else { throw FileFailure("write", path) }
        }
    }

    func length() throws -> Int {
        var facts = stat()
        guard fstat(number, &facts) == 0 else { throw FileFailure("read", path) }
        return Int(facts.st_size)
    }

    /// The next bytes; nil at the end.
    func read(upTo size: Int) throws -> ByteBuffer? {
        var buffer = ByteBuffer()
        let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { bytes in
            while true {
                let count = systemRead(number, bytes.baseAddress, min(size, bytes.count))
                if count >= 0 { return count }
                guard errno == EINTR else { throw FileFailure("read", path) }
            }
        }
        return count == 0 ? nil : buffer
    }

    /// Writes all of it.
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
    /// How long a thread waits for a pipe's reader at a time.
    private static let patience: CInt = 20

    /// Writes as much as is taken now, waiting a moment if that is nothing.
    ///
    /// - Returns: how many bytes were taken; 0: none yet.
    /// - Throws: `FileFailure`; its number is `EPIPE` when the pipe's reader has gone.
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

/// Writes without the signal that would end the process when a pipe's reader has gone.
private func writeQuietly(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> (count: Int, reason: CInt) {
    #if canImport(Darwin)
        let count = write(descriptor, bytes.baseAddress, bytes.count)
        return (count, errno)
    #else
        // SIGPIPE comes to the thread that writes. It is held back there, and taken off if it has come.
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

/// `read(2)`, `write(2)` and `close(2)`, which methods of those names hide.
private func systemRead(_ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ size: Int) -> Int {
    read(descriptor, buffer, size)
}

private func systemWrite(_ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ size: Int) -> Int {
    write(descriptor, buffer, size)
}

private func systemClose(_ descriptor: CInt) -> CInt {
    close(descriptor)
}
