/// Counts rounds of failed dials. All dials that are under way together are one round, so their failures count once.
///
/// After enough failed rounds, all waiters fail together. Without rounds, each waiter would fail only after a dial of
/// its own. The failure of a dial ends a round if the dial was started after the end of the previous round.
struct DialRounds {
    /// The number of failed rounds after which a waiter fails.
    private static var limit: Int { 3 }

    /// How many rounds have failed in total.
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

    /// Whether enough rounds in a row have failed during the waiter's wait, so that it does not wait for the next one.
    func suffice(_ waiter: Waiter) -> Bool {
        failed - max(waiter.failedRounds, atLastSuccess) >= Self.limit
    }
}
