internal import BowlinePlatform

/// The share of results that are signs of overload, and the share at which a lower limit does not help.
///
/// A service may answer 503 to some requests whatever the limit is. Then the limit must not fall to its minimum. So the
/// share is compared before and after the limit was halved. If this did not raise the share of the other results as it
/// does when the limit is the cause, the share is *tolerated* until it falls.
struct OverloadShare {
    /// Shares up to this are ignored.
    private static let negligible = 0.02
    /// Larger shares are never tolerated: the service is down.
    private static let largestTolerated = 0.75
    /// The part of the expected relief that counts as relief.
    private static let relief = 0.4

    /// The share in about the last 32 results.
    private var recent = 0.0
    private var tolerated = 0.0
    private var fall: Fall?

    private struct Fall {
        /// The limit and the share when the limit began to fall.
        let limit: Double
        let share: Double
        /// How often it was halved since then, without a round whose share was not excessive.
        var halvings = 0.0
    }

    mutating func record(isOverload: Bool) {
        recent += ((isOverload ? 1 : 0) - recent) / 32
    }

    /// Whether a share of this many results is higher than what is tolerated, by more than chance.
    mutating func isExcessive(_ share: Double, of results: Double) -> Bool {
        tolerated += (min(recent * 1.25, tolerated) - tolerated) / 8
        let likely = Self.negligible + tolerated + 2 * (tolerated / results).squareRoot()
        if share > min(likely, Self.largestTolerated) { return true }
        // Few results without a sign of overload may be chance.
        if results >= 5 { fall = nil }
        return false
    }

    /// Records that a limit falls by a factor because of an excessive share.
    ///
    /// - Returns: The limit before it began to fall, if the lower limit does not help. The share is tolerated now.
    mutating func limitFalls(by factor: Double, from limit: Double, _ share: Double) -> Double? {
        var fall = self.fall ?? Fall(limit: limit, share: share)
        fall.halvings -= log2(factor)
        self.fall = fall
        guard fall.halvings > 1 else { return nil }
        // If the service serves a fixed number of attempts at a time, half the limit doubles the share of successes,
        // until all succeed.
        let expected = min(fall.halvings, -log2(max(1 - fall.share, 0.001)))
        let gained = log2(max(1 - recent, 0.001) / max(1 - fall.share, 0.001))
        guard max(recent, share) < Self.largestTolerated, gained < Self.relief * expected else {
            self.fall = Fall(limit: limit, share: recent)
            return nil
        }
        tolerated = recent
        self.fall = nil
        return fall.limit
    }
}
