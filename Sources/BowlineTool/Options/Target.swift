internal import ArgumentParser
internal import Bowline
internal import BowlinePlatform

/// A URL that the command line asks for, and its own method, if it has one.
struct Target: Sendable, Hashable {
    /// nil: the method of the command line.
    let method: HTTPRequest.Method?
    let url: String

    init(_ url: String) {
        method = nil
        self.url = url
    }

    /// Reads a line of a file: `URL` or `METHOD URL`.
    ///
    /// - Returns: nil: the line is empty or a comment, which begins with `#`.
    /// - Throws: `ValidationError` with the line's number. It does not repeat the line, because a URL may contain a
    ///   password.
    init?(line: some StringProtocol, number: Int) throws {
        let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
        guard let first = words.first, !first.hasPrefix("#") else { return nil }
        switch words.count {
        case 1: method = nil
        case 2:
            guard let named = HTTPRequest.Method(String(first)) else {
                throw ValidationError("--targets, line \(number): the method is not a token")
            }
            method = named
        default:
            throw ValidationError("--targets, line \(number): must be a URL, or a method and a URL")
        }
        url = String(words[words.count - 1])
    }

    /// Reads the targets of a file, one on each line.
    ///
    /// - Throws: `ValidationError`: the file cannot be read, or has a malformed line.
    static func read(_ path: String) throws -> [Target] {
        guard path != "-", try BodyFile.isRegular(path, for: "--targets") else {
            throw ValidationError("--targets: \(path) is not a regular file")
        }
        var targets: [Target] = []
        let text = String(decoding: try bytes(of: path), as: UTF8.self)
        // A carriage return and a line feed are one character.
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        for (index, line) in lines.enumerated() {
            if let target = try Target(line: line, number: index + 1) { targets.append(target) }
        }
        return targets
    }

    private static func bytes(of path: String) throws -> [UInt8] {
        let descriptor = SystemCall.retryOnInterrupt(failure: -1) { open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw ValidationError("--targets: \(FileError("read", path: path))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while true {
            var number: Int32 = 0
            let piece = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                let length = SystemCall.retryOnInterrupt(failure: -1) {
                    systemRead(descriptor, buffer.baseAddress, buffer.count)
                }
                number = length < 0 ? errno : 0
                count = max(0, length)
            }
            guard number == 0 else {
                throw ValidationError("--targets: \(FileError("read", path: path, number: number))")
            }
            if piece.isEmpty { return bytes }
            bytes += piece
        }
    }
}

/// Calls `read(2)`. In `Target` the method `read` hides it.
private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ size: Int) -> Int {
    read(descriptor, buffer, size)
}
