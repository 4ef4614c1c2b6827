internal import BowlineCore

/// The endpoints that may get an attempt, with their shares: a table to draw from. Pure.
struct EndpointLots {
    private struct Lot {
        let index: Int
        let share: Double
        /// The sum of this share and all shares before it.
        let end: Double
    }

    /// Two costs that differ by less than this factor count as equal.
    private static let tolerance = 1.1

    private var lots: [Lot] = []

    var isEmpty: Bool { lots.isEmpty }
    var count: Int { lots.count }
    private var total: Double { lots.last?.end ?? 0 }
    /// The average share.
    private var mean: Double { total / Double(max(1, lots.count)) }

    mutating func removeAll() {
        lots.removeAll(keepingCapacity: true)
    }

    /// - Parameters:
    ///   - index: The endpoint's place in the list.
    ///   - share: Greater than zero.
    mutating func add(_ index: Int, share: Double) {
        lots.append(Lot(index: index, share: share, end: total + share))
    }

    /// Draws an endpoint: the better of two that are drawn by their shares (*power of two choices*).
    ///
    /// The endpoint that is drawn first gets the attempt, unless the second has a lower cost. Its cost must be lower by a
    /// tenth, and if the first has the larger share, by the ratio of their shares. Without this, small differences of
    /// the cost would decide: an endpoint with a small weight would get half of the attempts, and one that was slow once
    /// would get none for a long time. `Docs/Decisions/balancing.md` has the measurements.
    ///
    /// - Parameters:
    ///   - endpoints: All endpoints of the balancer.
    ///   - random: Two numbers from 0 up to 1.
    ///   - average: The average latency of all endpoints, in nanoseconds.
    /// - Returns: the endpoint's place in the list; nil: there is no endpoint.
    func draw(
        of endpoints: [EndpointRecord], _ random: (Double, Double), at now: MonotonicInstant, average: Double
    ) -> Int? {
        guard let only = lots.first else { return nil }
        guard lots.count > 1 else { return only.index }
        let firstPlace = place(at: random.0 * total)
        let first = lots[firstPlace]
        let second = lots[place(at: random.1 * (total - first.share), without: firstPlace)]
        let costOfFirst = EndpointRecord.cost(
            of: first.index, in: endpoints, perAttempt: mean / first.share, at: now, average: average)
        let costOfSecond = EndpointRecord.cost(
            of: second.index, in: endpoints, perAttempt: mean / second.share, at: now, average: average)
        return costOfSecond * max(Self.tolerance, first.share / second.share) < costOfFirst ? second.index : first.index
    }

    /// Returns the place of the lot that covers `point`.
    private func place(at point: Double) -> Int {
        var (low, high) = (0, lots.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if lots[middle].end > point { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Returns the place of the lot that covers `point` if the lot at `excluded` is taken out.
    private func place(at point: Double, without excluded: Int) -> Int {
        let lot = lots[excluded]
        let found = place(at: point < lot.end - lot.share ? point : point + lot.share)
        guard found == excluded else { return found }
        // The sums of the shares are rounded, so a point at the edge can fall into the excluded lot.
        return excluded == 0 ? 1 : excluded - 1
    }
}
