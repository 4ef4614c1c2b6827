internal import BowlineCore

/// Measures how many tokens per second are used, over the last ten seconds.
///
/// Only whole slices of half a second count. The first slice after a pause does not, because a full bucket makes it
/// higher than what can be kept up.
struct TokenUse {
    private static let length: Int64 = 500_000_000
    private static let slices: Int64 = 20

    private var counts: [Int] = []
    /// The number of the current slice, since the clock's start.
    private var current = Int64.min
    /// The first slice that counts.
    private var first = Int64.max

    /// Counts tokens that were used.
    mutating func record(_ count: Int, at now: MonotonicInstant) {
        advance(to: now)
        counts[Self.place(of: current)] += count
    }

    /// Returns the tokens per second; nil: nothing is known yet.
    mutating func rate(at now: MonotonicInstant) -> Double? {
        guard first != .max else { return nil }
        advance(to: now)
        let start = max(first, current - Self.slices + 1)
        guard start < current else { return nil }
        var sum = 0
        for slice in start..<current { sum += counts[Self.place(of: slice)] }
        return Double(sum) / (Double(current - start) * Double(Self.length) / 1e9)
    }

    private mutating func advance(to now: MonotonicInstant) {
        let slice = max(Self.number(of: now), current)
        guard slice != current || counts.isEmpty else { return }
        if counts.isEmpty { counts = [Int](repeating: 0, count: Int(Self.slices)) }
        if first == .max || slice - current >= Self.slices {
            for place in counts.indices { counts[place] = 0 }
            first = slice + 1
        } else {
            for passed in (current + 1)...slice { counts[Self.place(of: passed)] = 0 }
        }
        current = slice
    }

    private static func number(of instant: MonotonicInstant) -> Int64 {
        let value = instant.nanoseconds
        return value >= 0 ? value / length : (value + 1) / length - 1
    }

    private static func place(of slice: Int64) -> Int {
        let rest = slice % slices
        return Int(rest < 0 ? rest + slices : rest)
    }
}
