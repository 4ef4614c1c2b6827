internal import BowlineCore

extension ClientConfiguration {
    /// The values that a reader has set. The client distinguishes them from values that the program has set.
    struct Reading: Sendable {
        /// `timeouts.attempt` as it was read; nil: it was not read, or has no limit.
        var attempt: Duration?
        /// `timeouts.total` as it was read.
        var total: Duration?
        /// Warnings that go to the log when a client is made.
        var warnings: [String] = []
    }

    /// Sets `timeouts.attempt` to `timeouts.total` if it is longer and a reader has set one of the two. The author of
    /// an environment cannot know the limits that the program sets.
    mutating func reconcileLimits() {
        guard let attempt = timeouts.attempt, let total = timeouts.total, attempt > total, total > .zero,
            reading.attempt == attempt || reading.total == total
        else { return }
        timeouts.attempt = total
        // The new value counts as read, so that a derived client with a smaller total reconciles again.
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
