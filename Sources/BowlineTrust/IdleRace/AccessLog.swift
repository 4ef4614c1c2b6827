internal import BowlinePlatform

/// The access log of a server: which requests the server executed, a line `METHOD ID` for each.
struct AccessLog: Sendable {
    /// The file could not be read.
    struct Unreadable: Error, CustomStringConvertible {
        let path: String
        let reason: String

        var description: String { "\(path) cannot be read: \(reason)" }
    }

    private var counts: [String: Int] = [:]

    /// Reads the lines. Skips a line of another form: it is not a request of the race.
    init(text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2 else { continue }
            counts["\(words[0]) \(words[1])", default: 0] += 1
        }
    }

    /// Reads the file at `path`, up to its current end.
    init(path: String) throws {
        guard let file = fopen(path, "r") else {
            throw Unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        defer { fclose(file) }
        let chunkSize = 65_536
        var chunk = [UInt8](repeating: 0, count: chunkSize)
        var bytes: [UInt8] = []
        while true {
            let count = fread(&chunk, 1, chunkSize, file)
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        self.init(text: String(decoding: bytes, as: UTF8.self))
    }

    /// How often the server executed a request.
    func executions(of method: IdleRaceMethod, id: String) -> Int {
        counts["\(method.rawValue) \(id)"] ?? 0
    }
}
