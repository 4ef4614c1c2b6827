internal import BowlineCore

/// The time that an attempt is expected to take: the smoothed average of recent attempts and their average deviation
/// from it.
struct ExpectedLatency {
    private var average = 0.0
    private var deviation = 0.0

    /// Whether this time is at least the average; true if no latency is known.
    func isReached(by latency: Duration) -> Bool {
        Double(latency.saturatingNanoseconds) >= average
    }

    /// The time in which most attempts end; zero if no latency is known.
    var most: Duration {
        .nanoseconds(Int64(min(average + 3 * deviation, 0x1p62)))
    }

    mutating func add(_ latency: Duration) {
        let nanoseconds = Double(max(latency.saturatingNanoseconds, 0))
        guard average > 0 else {
            average = nanoseconds
            return
        }
        deviation += ((nanoseconds - average).magnitude - deviation) / 16
        average += (nanoseconds - average) / 16
    }
}
