import Logging
import Synchronization

/// Keeps the lines that its logger gets.
final class LogLines: Sendable {
    struct Line: Sendable {
        let level: Logger.Level
        let message: String
        let metadata: [String: String]
    }

    private let kept = Mutex([Line]())

    var all: [Line] { kept.withLock { $0 } }

    /// - Parameter level: The lowest level that it keeps.
    func logger(_ level: Logger.Level = .info) -> Logger {
        var logger = Logger(label: "test") { _ in Handler(lines: self) }
        logger.logLevel = level
        return logger
    }

    /// The values that lines with this message have under a key; nil: no value.
    func values(of key: String, where message: String) -> [String?] {
        all.filter { $0.message == message }.map { $0.metadata[key] }
    }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
            let line = Line(level: event.level, message: "\(event.message)", metadata: metadata)
            lines.kept.withLock { $0.append(line) }
        }
    }
}
