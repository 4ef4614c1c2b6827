internal import BowlineCore

extension ClientConfiguration {
    /// What a reader has set, as far as a client has to know where a value came from.
    struct Reading: Sendable {
        /// `timeouts.attempt` as it was read; nil: it was not, or has no limit.
        var attempt: Duration?
        /// `timeouts.total` as it was read.
        var total: Duration?
        /// What to say in the log when a client is made.
        var warnings: [String] = []
    }

    /// An environment cannot know what a program sets: if one of two limits that contradict each other was read, the smaller
    /// counts for both.
    mutating func settleLimits() {
        guard let attempt = timeouts.attempt, let total = timeouts.total, attempt > total, total > .zero,
            reading.attempt == attempt || reading.total == total
        else { return }
        timeouts.attempt = total
        // Still what was read: a client that is derived from this one, with a smaller total, settles again.
        reading.attempt = total
        reading.warnings.append(
            "timeouts.attempt (\(attempt.readable)) is longer than timeouts.total (\(total.readable)); both are "
                + "\(total.readable) now")
    }

    /// Says once what a reader found.
    mutating func reportReading() {
        guard !reading.warnings.isEmpty else { return }
        ClientLog.warn(reading.warnings, to: telemetry.logger)
        reading.warnings = []
    }
}
