internal import BowlineCore
internal import Logging
internal import Synchronization

/// Logs the report of a shutdown, once.
final class ShutdownReportLog: Sendable {
    private let logger: Logger?
    private let isWritten = Atomic(false)

    /// - Parameter logger: The client's logger; nil: the logger of the task that shuts down.
    init(logger: Logger?) {
        self.logger = logger
    }

    /// Logs the report, if there is a logger for it.
    func write(_ report: ShutdownReport) {
        isWritten.store(report.write(to: ClientLog.logger(for: logger)), ordering: .relaxed)
    }

    /// Logs the report if ``write(_:)`` found no logger. Used by a function that does not return the report.
    func writeUnlessWritten(_ report: ShutdownReport) {
        guard !isWritten.exchange(true, ordering: .relaxed) else { return }
        report.write(to: ClientLog.logger(for: logger) ?? ClientLog.logger)
    }
}
