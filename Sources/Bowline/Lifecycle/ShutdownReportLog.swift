internal import BowlineCore
internal import Logging
internal import Synchronization

/// Writes the report of a shutdown to the log, once.
final class ShutdownReportLog: Sendable {
    private let logger: Logger?
    private let isWritten = Atomic(false)

    /// - Parameter logger: nil: the logger of the task that shuts down.
    init(logger: Logger?) {
        self.logger = logger
    }

    /// Writes the report, if there is a logger that gets it.
    func write(_ report: ShutdownReport) {
        isWritten.store(report.write(to: ClientLog.wanted(logger)), ordering: .relaxed)
    }

    /// Writes the report, if ``write(_:)`` found no logger: for a caller that does not return the report.
    func writeUnlessWritten(_ report: ShutdownReport) {
        guard !isWritten.exchange(true, ordering: .relaxed) else { return }
        report.write(to: ClientLog.wanted(logger) ?? ClientLog.logger)
    }
}
