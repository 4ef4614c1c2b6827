internal import BowlineCore

extension ClientConfiguration {
    /// The values that a reader has set. The client distinguishes them from values that the program has set.
    struct Reading: Sendable {
        /// The value of `timeouts.attempt` from a reader; nil: no reader had a value, or the value means no limit.
        var attempt: Duration?
        /// The value of `timeouts.total` from a reader; nil: the same as for `attempt`.
        var total: Duration?
        /// Warnings that go to the log when a client is made.
        var warnings: [String] = []
    }

    /// Shortens `timeouts.attempt` to `timeouts.total` if it is longer and a reader has set at least one of these two
    /// limits. Such a configuration is not refused, because a person who sets environment variables cannot know the
    /// limits in the program.
    mutating func reconcileLimits() {
        guard let attempt = timeouts.attempt, let total = timeouts.total, attempt > total, total > .zero,
            reading.attempt == attempt || reading.total == total
        else { return }
        timeouts.attempt = total
        // The new value counts as read from a reader. So a derived client with a smaller `total` shortens it again.
        reading.attempt = total
        reading.warnings.append(
            "timeouts.attempt (\(attempt.messageText)) is longer than timeouts.total (\(total.messageText)); both are "
                + "\(total.messageText) now")
    }

    /// Logs the warnings about values from readers, once.
    mutating func reportReading() {
        guard !reading.warnings.isEmpty else { return }
        ClientLog.warn(reading.warnings, to: telemetry.logger)
        reading.warnings = []
    }
}
