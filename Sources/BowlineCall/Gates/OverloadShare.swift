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
    /// The limit and the share when the limit began to fall.
    private var first: (limit: Double, share: Double)?

    mutating func record(isOverload: Bool) {
        recent += ((isOverload ? 1 : 0) - recent) / 32
    }

    /// Whether a share of this many results is higher than what is tolerated, by more than chance.
    mutating func isExcessive(_ share: Double, of results: Double) -> Bool {
        tolerated += (min(recent, tolerated) - tolerated) / 8
        let isExcessive = share > Self.negligible + tolerated + 2 * (tolerated / results).squareRoot()
        if !isExcessive, recent < Self.negligible { first = nil }
        return isExcessive
    }

    /// Records that the limit fell because of an excessive share.
    ///
    /// - Returns: The limit before it began to fall, if the lower limit does not help. The share is tolerated now.
    mutating func limitFell(from before: Double, to limit: Double, _ share: Double) -> Double? {
        let first = self.first ?? (before, share)
        self.first = first
        let halvings = log2(first.limit / limit)
        guard halvings > 1 else { return nil }
        // If the service serves a fixed number of attempts at a time, half the limit doubles the share of successes,
        // until all succeed.
        let expected = min(halvings, -log2(max(1 - first.share, 0.001)))
        let gained = log2(max(1 - recent, 0.001) / max(1 - first.share, 0.001))
        guard max(recent, share) < Self.largestTolerated, gained < Self.relief * expected else {
            self.first = (limit, recent)
            return nil
        }
        tolerated = recent
        self.first = nil
        return first.limit
    }
}
