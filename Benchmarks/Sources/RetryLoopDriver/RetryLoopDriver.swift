import Foundation
import NIOCore
import Synchronization

/// Begins the calls of a file at a fixed pace, whether or not earlier ones have ended, and prints a JSON line for each,
/// with the keys of `bowline request --pace … --json`.
@main
enum RetryLoopDriver {
    static func main() async throws {
        guard let options = Options(CommandLine.arguments.dropFirst()) else {
            FileHandle.standardError.write(Data((Options.usage + "\n").utf8))
            exit(64)
        }
        let targets = try options.readTargets()
        let loop = RetryLoop(
            servers: options.servers, tries: options.tries, tryTimeout: .milliseconds(Int64(options.tryTimeout * 1000)))
        let lines = Lines()
        let clock = ContinuousClock()
        let began = clock.now
        await withDiscardingTaskGroup { group in
            for (index, target) in targets.enumerated() {
                let due = began + .nanoseconds(Int64(Double(index) / options.pace * 1e9))
                // Throws if the task is cancelled, and nothing cancels it.
                guard (try? await clock.sleep(until: due)) != nil else { return }
                group.addTask {
                    let result = await loop.call(isPost: target.isPost, path: target.path)
                    lines.add(result, index: index, target, after: due.duration(to: clock.now))
                }
            }
        }
        let seconds = began.duration(to: clock.now) / .seconds(1)
        try await loop.shutdown()
        try lines.write(seconds: seconds)
    }
}

/// A line of the file: `GET URL` or `POST URL`. Only the path of the URL is used, because the loop chooses the server.
struct Target: Sendable {
    let isPost: Bool
    let url: String
    let path: String

    init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count == 2, words[0] == "GET" || words[0] == "POST",
            let parts = URLComponents(string: String(words[1]))
        else { return nil }
        isPost = words[0] == "POST"
        url = String(words[1])
        path = parts.percentEncodedPath + (parts.percentEncodedQuery.map { "?" + $0 } ?? "")
    }
}

/// The command line.
struct Options {
    static let usage = """
        usage: RetryLoopDriver --targets FILE --pace CALLS-PER-SECOND --tries N --try-timeout SECONDS BASE-URL…
        """

    private(set) var servers: [String] = []
    private(set) var pace = 0.0
    private(set) var tries = 0
    private(set) var tryTimeout = 0.0
    private var file = ""

    /// Returns nil for an invalid command line.
    init?(_ words: some Sequence<String>) {
        var words = Array(words)
        while !words.isEmpty {
            let word = words.removeFirst()
            guard word.hasPrefix("--") else {
                servers.append(word)
                continue
            }
            guard !words.isEmpty else { return nil }
            let value = words.removeFirst()
            switch word {
            case "--targets": file = value
            case "--pace": pace = Double(value) ?? 0
            case "--tries": tries = Int(value) ?? 0
            case "--try-timeout": tryTimeout = Double(value) ?? 0
            default: return nil
            }
        }
        guard !servers.isEmpty, !file.isEmpty, pace > 0, tries > 0, tryTimeout > 0 else { return nil }
    }

    func readTargets() throws -> [Target] {
        try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map { line in
            guard let target = Target(line) else { throw Malformed(line: String(line)) }
            return target
        }
    }

    private struct Malformed: Error {
        let line: String
    }
}

/// The report: a line for each call, and a summary.
final class Lines: Sendable {
    private struct Line: Encodable {
        struct Failure: Encodable {
            let code: String
        }

        let index: Int
        let url: String
        let status: Int?
        let error: Failure?
        let attempts: Int
        let milliseconds: Double
    }

    private struct Last: Encodable {
        struct Summary: Encodable {
            let requests: Int
            let seconds: Double
        }

        let summary: Summary
    }

    private let lines = Mutex<[Line]>([])

    func add(_ result: RetryLoop.Result, index: Int, _ target: Target, after duration: Duration) {
        let line = Line(
            index: index, url: target.url, status: result.status, error: result.error.map { Line.Failure(code: $0) },
            attempts: result.tries, milliseconds: duration / .milliseconds(1))
        lines.withLock { $0.append(line) }
    }

    func write(seconds: Double) throws {
        let encoder = JSONEncoder()
        let lines = lines.withLock { $0 }
        var text = Data()
        for line in lines { text += try encoder.encode(line) + Data("\n".utf8) }
        let summary = Last.Summary(requests: lines.count, seconds: seconds)
        text += try encoder.encode(Last(summary: summary)) + Data("\n".utf8)
        try FileHandle.standardOutput.write(contentsOf: text)
    }
}
