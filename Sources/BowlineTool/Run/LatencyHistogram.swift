/// The durations of requests. Its memory does not grow with their number, and its percentiles are right within 0.2 %.
///
/// Each power of two is divided into 256 cells of equal width. Below 512 ns every nanosecond has its own cell.
struct LatencyHistogram: Sendable {
    private static let subdivisionBits = 8
    /// 2^41 ns are 36 minutes. Longer durations count in the last cell.
    private static let largestExponent = 41
    private static let cellCount = (largestExponent - subdivisionBits + 1) << subdivisionBits

    private var cells = [UInt32](repeating: 0, count: cellCount)
    private(set) var count = 0
    private var longest: Int64 = 0

    /// Counts a duration.
    mutating func record(nanoseconds: Int64) {
        cells[Self.cell(of: nanoseconds)] &+= 1
        count += 1
        longest = max(longest, nanoseconds)
    }

    /// Adds the counts of another histogram.
    mutating func add(_ other: LatencyHistogram) {
        for index in cells.indices { cells[index] &+= other.cells[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// Returns the duration that `percent` of all durations do not exceed (nearest rank); nil: nothing was counted.
    ///
    /// - Parameter percent: From 0 to 100.
    func percentile(_ percent: Int) -> Duration? {
        guard count > 0 else { return nil }
        let rank = max(1, (count * percent + 99) / 100)
        var seen = 0
        for (index, number) in cells.enumerated() where number > 0 {
            seen += Int(number)
            guard seen >= rank else { continue }
            // The longest duration is known exactly, and no other is longer.
            return .nanoseconds(rank == count ? longest : min(longest, Self.middle(of: index)))
        }
        return nil
    }

    private static func cell(of nanoseconds: Int64) -> Int {
        let value = UInt64(max(0, nanoseconds))
        let exponent = 63 - (value | 1).leadingZeroBitCount
        guard exponent > subdivisionBits else { return Int(value) }
        guard exponent < largestExponent else { return cellCount - 1 }
        let shift = exponent - subdivisionBits
        return (shift << subdivisionBits) + Int(value >> UInt64(shift))
    }

    private static func middle(of cell: Int) -> Int64 {
        guard cell >= 2 << subdivisionBits else { return Int64(cell) }
        let shift = (cell >> subdivisionBits) - 1
        let low = Int64((cell & 255) | 256) << Int64(shift)
        return low + (Int64(1) << Int64(shift)) / 2
    }
}
