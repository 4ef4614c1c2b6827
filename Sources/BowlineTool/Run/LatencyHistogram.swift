/// How long requests took: memory that does not grow with their number, and percentiles within 0.2 %.
///
/// Each power of two is divided into 256 cells of equal width; below 512 ns every nanosecond has its own.
struct LatencyHistogram: Sendable {
    private static let subdivisionBits = 8
    /// 2^41 ns are 36 minutes; what takes longer counts as that.
    private static let largestExponent = 41
    private static let cellCount = (largestExponent - subdivisionBits + 1) << subdivisionBits

    private var cells = [UInt32](repeating: 0, count: cellCount)
    private(set) var count = 0
    private var longest: Int64 = 0

    /// Counts one.
    mutating func record(nanoseconds: Int64) {
        cells[Self.cell(of: nanoseconds)] &+= 1
        count += 1
        longest = max(longest, nanoseconds)
    }

    /// Adds what another has counted.
    mutating func add(_ other: LatencyHistogram) {
        for index in cells.indices { cells[index] &+= other.cells[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The duration that `percent` of all did not exceed (nearest rank); nil if nothing was counted.
    ///
    /// - Parameter percent: From 0 to 100.
    func percentile(_ percent: Int) -> Duration? {
        guard count > 0 else { return nil }
        let rank = max(1, (count * percent + 99) / 100)
        var seen = 0
        for (index, number) in cells.enumerated() where number > 0 {
            seen += Int(number)
            guard seen >= rank else { continue }
            // The last one is known exactly, and nothing before it was longer.
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
