import BowlineTransport
import Foundation

/// The folder in which `Scripts/http2-wire` and the tests exchange vectors; without it there is nothing to run.
enum WireVectors {
    private static let environment = ProcessInfo.processInfo.environment
    static let folder = environment["BOWLINE_WIRE_VECTORS"].map { URL(fileURLWithPath: $0) }
    static var isThere: Bool { folder != nil }
    static var seed: UInt64 { environment["BOWLINE_WIRE_SEED"].flatMap { UInt64($0) } ?? 1 }

    /// A field section, the sizes that the table was given before it, and the table behind it.
    struct Section: Codable {
        var connection: Int
        var sizes: [Int]
        var block: Data
        var fields: [[Data]]
        /// Which of the fields must stay out of every table; nil if that is not told.
        var secrets: [Bool]?
        var tableBytes: Int

        var drawn: [DrawnField] { fields.compactMap(DrawnField.init(told:)) }
    }

    /// The frames of one connection, and what is to be seen of them, a line each.
    struct Frames: Codable {
        var bytes: Data
        var frames: [String]
        /// How they are to be cut.
        var longestPiece: Int?
        /// The largest payload that the reader takes.
        var largest: Int?
    }

    struct NoFolder: Error {}

    static func url(_ name: String) throws -> URL {
        guard let folder else { throw NoFolder() }
        return folder.appendingPathComponent(name)
    }

    static func read<Line: Decodable>(_ name: String, as line: Line.Type) throws -> [Line] {
        let decoder = JSONDecoder()
        return try Data(contentsOf: url(name)).split(separator: 0x0A).map { try decoder.decode(Line.self, from: $0) }
    }

    static func write(_ lines: [some Encodable], to name: String) throws {
        let encoder = JSONEncoder()
        var content = Data()
        for line in lines {
            content += try encoder.encode(line)
            content.append(0x0A)
        }
        try content.write(to: url(name))
    }
}

extension DrawnField {
    /// Nil unless there is a name and a value.
    init?(told: [Data]) {
        guard told.count == 2 else { return nil }
        self.init(name: Array(told[0]), value: Array(told[1]))
    }

    var told: [Data] { [Data(name), Data(value)] }
}

/// The pipes to the server that `Scripts/http2-wire` runs: a message there, a message back.
final class WirePipe {
    struct Ended: Error {}

    private let input: FileHandle
    private let output: FileHandle

    /// Waits until the server has opened its ends.
    init() throws {
        output = try FileHandle(forWritingTo: WireVectors.url("to-server"))
        input = try FileHandle(forReadingFrom: WireVectors.url("to-client"))
    }

    func close() {
        try? output.close()
        try? input.close()
    }

    /// - Parameter letter: What the message is: `Scripts/harness/wire/server.py` has the list.
    func exchange(_ letter: Character, _ content: [UInt8]) throws -> [UInt8] {
        try output.write(contentsOf: Data(Array(String(letter).utf8) + PlainFrame.number(content.count) + content))
        return try read(PlainFrame.number(in: read(4)[...]))
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let more = try input.read(upToCount: count - bytes.count), !more.isEmpty else { throw Ended() }
            bytes += more
        }
        return bytes
    }
}
