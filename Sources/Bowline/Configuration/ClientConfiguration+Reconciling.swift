internal import BowlineCore

extension ClientConfiguration {
    /// The values that a reader has set, where a client has to tell them from the program's.
    struct Reading: Sendable {
        /// `timeouts.attempt` as it was read; nil: it was not read, or has no limit.
        var attempt: Duration?
        /// `timeouts.total` as it was read.
        var total: Duration?
        /// Warnings that go to the log when a client is made.
        var warnings: [String] = []
    }

    /// Sets `timeouts.attempt` to `timeouts.total` if it is longer and one of the two was read: an environment cannot know the
    /// limits that a program sets.
    mutating func reconcileLimits() {
        guard let attempt = timeouts.attempt, let total = timeouts.total, attempt > total, total > .zero,
            reading.attempt == attempt || reading.total == total
        else { return }
        timeouts.attempt = total
        // Still counts as read, so that a derived client with a smaller total reconciles again.
        reading.attempt = total
        reading.warnings.append(
            "timeouts.attempt (\(attempt.readable)) is longer than timeouts.total (\(total.readable)); both are "
                + "\(total.readable) now")
    }

    /// Logs the warnings about what a reader found, once.
    mutating func reportReading() {
        guard !reading.warnings.isEmpty else { return }
        ClientLog.warn(reading.warnings, to: telemetry.logger)
        reading.warnings = []
    }
}
