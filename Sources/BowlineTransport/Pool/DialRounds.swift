/// Counts rounds of failed dials, so that a line of requests does not pay for one failed dial each, one after the other.
///
/// A dial's failure ends a round if the dial was started after the round before had ended: it knew of that failure. So the
/// failures of dials that were under way together count once.
struct DialRounds {
    /// How many rounds a waiting request takes part in.
    private static var limit: Int { 3 }

    /// Rounds that failed, in all.
    private(set) var failed = 0
    /// `failed` when a dial last succeeded.
    private var atLastSuccess = 0
    /// The number of the last dial that was started before the last round ended.
    private var lastDial = 0

    mutating func recordFailure(dial: Int, started: Int) {
        guard dial > lastDial else { return }
        failed += 1
        lastDial = started
    }

    mutating func recordSuccess() {
        atLastSuccess = failed
    }

    /// Whether so many rounds in a row have failed while the request waited that the next one is not waited for.
    func suffice(_ waiter: Waiter) -> Bool {
        failed - max(waiter.failedRounds, atLastSuccess) >= Self.limit
    }
}
