internal import ArgumentParser
internal import Bowline
internal import BowlinePlatform

/// A file that is sent as a request's body, in pieces, so that memory does not grow with its size.
///
/// A regular file has a length and can be read again for another attempt. A pipe, a device or standard input has no
/// known length and can be read only once. A file under `/proc` may have content although its size is 0: it can be read
/// again, but has no known length.
struct BodyFile: Sendable, Hashable {
    /// The path of the file; `-` means standard input.
    let path: String
    /// The size of a regular file in bytes; nil: not known.
    let length: Int?
    /// Whether it can be sent again.
    let isReplayable: Bool

    /// Checks the file.
    ///
    /// - Throws: `ValidationError` with the path, if there is no such file, it is a folder, or it cannot be read.
    init(_ path: String) throws {
        self.path = path
        guard path != "-" else {
            length = nil
            isReplayable = false
            return
        }
        let facts = try Self.facts(path, for: "--data-file")
        let kind = facts.st_mode & S_IFMT
        guard kind != S_IFDIR else { throw ValidationError("--data-file: \(path) is a folder") }
        isReplayable = kind == S_IFREG
        let size = kind == S_IFREG ? Int(facts.st_size) : nil
        length = size == 0 && Self.hasContent(path) ? nil : size
    }

    /// Returns whether a file on the command line is a regular one; throws `ValidationError` if it cannot be read.
    static func isRegular(_ path: String, for option: String) throws -> Bool {
        try facts(path, for: option).st_mode & S_IFMT == S_IFREG
    }

    private static func facts(_ path: String, for option: String) throws -> stat {
        try requireReadable(path, for: option)
        var facts = stat()
        guard stat(path, &facts) == 0 else {
            throw ValidationError("\(option): \(FileError("read", path: path))")
        }
        return facts
    }

    private static func hasContent(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) == 1
    }

    /// Checks that a file on the command line is readable; throws `ValidationError` with its option and path if not.
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

/// An action on a file that failed, and the system's reason.
struct FileError: Error, Hashable, CustomStringConvertible {
    let action: String
    let path: String
    let number: Int32

    /// Makes the error, with the reason that `errno` names.
    init(_ action: String, path: String, number: Int32 = errno) {
        self.action = action
        self.path = path
        self.number = number
    }

    var description: String { "cannot \(action) \(path): \(String(cString: strerror(number)))" }
}
