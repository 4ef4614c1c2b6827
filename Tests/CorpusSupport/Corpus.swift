import Foundation

/// The response byte streams in `Tests/Corpus`, with their verdicts.
///
/// The environment variable `BOWLINE_CORPUS` names another file in the same format.
package enum Corpus {
    /// All cases.
    package static func load() throws -> [CorpusCase] {
        try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map { line in
            try JSONDecoder().decode(CorpusCase.self, from: Data(line))
        }
    }

    /// The groups that have cases, in the order of the file.
    package static func groups() throws -> [String] {
        var seen: Set<String> = []
        return try load().map(\.group).filter { seen.insert($0).inserted }
    }

    private static var file: URL {
        if let path = ProcessInfo.processInfo.environment["BOWLINE_CORPUS"], !path.isEmpty {
            return URL(fileURLWithPath: path)
        }
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return tests.appendingPathComponent("Corpus/http1-responses.jsonl")
    }
}
