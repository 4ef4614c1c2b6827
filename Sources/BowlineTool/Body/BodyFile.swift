internal import ArgumentParser
internal import Bowline
internal import BowlinePlatform

/// A file that is sent as a request's body, in pieces: its size does not matter to memory.
///
/// A regular file has a length and can be read again for another attempt; a pipe, a device or standard input has neither. A
/// file that says that it is empty and is not, as those under `/proc`, can be read again and has no length.
struct BodyFile: Sendable, Hashable {
    /// `-` is standard input.
    let path: String
    /// Bytes of a regular file; nil: nobody knows.
    let length: Int?
    /// Whether it can be sent again.
    let isReplayable: Bool

    /// Looks at the file.
    ///
    /// - Throws: `ValidationError` with the path, if there is none, or if it cannot be read.
    init(_ path: String) throws {
        self.path = path
        guard path != "-" else {
            length = nil
            isReplayable = false
            return
        }
        try Self.requireReadable(path, for: "--data-file")
        var facts = stat()
        guard stat(path, &facts) == 0 else {
            throw ValidationError("--data-file: \(FileError("read", path: path))")
        }
        let kind = facts.st_mode & S_IFMT
        guard kind != S_IFDIR else { throw ValidationError("--data-file: \(path) is a folder") }
        isReplayable = kind == S_IFREG
        let size = kind == S_IFREG ? Int(facts.st_size) : nil
        length = size == 0 && Self.hasContent(path) ? nil : size
    }

    private static func hasContent(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) == 1
    }

    /// Says by name which of the files on the command line is not there.
    static func requireReadable(_ path: String, for option: String) throws {
        guard access(path, R_OK) == 0 else {
            throw ValidationError("\(option): \(FileError("read", path: path))")
        }
    }

    var requestBody: RequestBody {
        let chunks = FileChunks(path: path)
        guard isReplayable else { return .stream(chunks) }
        return .replayable(length: length) { chunks }
    }
}

/// Something that could not be done to a file, and why.
struct FileError: Error, Hashable, CustomStringConvertible {
    let action: String
    let path: String
    let number: Int32

    /// Takes the reason from `errno`.
    init(_ action: String, path: String, number: Int32 = errno) {
        self.action = action
        self.path = path
        self.number = number
    }

    var description: String { "cannot \(action) \(path): \(String(cString: strerror(number)))" }
}
