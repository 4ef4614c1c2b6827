internal import BowlineCore

/// The durations of the recent attempts to one scope, to find the time within which a share of them has ended.
///
/// The histogram has two periods of equal form: the current one, which counts, and the one before it. A percentile is
/// taken over both. A period ends after ten seconds, but not before it has 100 durations, or after five minutes. So a
/// busy scope uses the last 10 to 20 seconds, and a quiet one its last 100 to 200 attempts. After ten minutes without
/// an attempt everything is forgotten.
///
/// Durations are counted in microseconds, rounded up. Up to 31 µs each has a cell of its own. Above that each power of
/// two has 16 cells, so a percentile is at most 6.25 % too long and never too short. Recording allocates nothing, and a
/// percentile takes at most 45 steps.
///
/// Pure: the time is an argument. If an argument is earlier than the latest time so far, no period ends.
struct LatencyHistogram {
    /// The fewest durations for a percentile.
    static let minimumCount = 100
    /// How long a period takes at least.
    static let shortestPeriod = Duration.seconds(10)
    /// How long a period takes at most.
    static let longestPeriod = Duration.seconds(300)

    private var current = LatencyPeriod()
    private var previous = LatencyPeriod()
    private var began: MonotonicInstant

    /// - Parameter now: When the first period begins.
    init(at now: MonotonicInstant) {
        began = now
    }

    /// Counts a duration; a negative one counts as zero.
    mutating func record(_ duration: Duration, at now: MonotonicInstant) {
        let periods = periods(at: now)
        if periods.isOver {
            swap(&current, &previous)
            current.clear()
            if !periods.hasCurrent { previous.clear() }
            began = now
        }
        current.record(duration)
    }

    /// How many durations a percentile is taken from.
    func count(at now: MonotonicInstant) -> Int {
        let periods = periods(at: now)
        return (periods.hasCurrent ? current.count : 0) + (periods.isOver ? 0 : previous.count)
    }

    /// Returns the time within which this share of the durations has ended (nearest rank). nil: fewer than
    /// ``minimumCount`` durations are known.
    ///
    /// - Parameter share: Above 0 to 1. A value outside counts as the nearest end of this range.
    func percentile(_ share: Double, at now: MonotonicInstant) -> Duration? {
        let count = count(at: now)
        guard count >= Self.minimumCount else { return nil }
        let hasPrevious = !periods(at: now).isOver
        // Not a number gives the first rank.
        let wanted = share > 0 ? (min(share, 1) * Double(count)).rounded(.up) : 1
        var rank = max(1, min(Int(wanted), count))
        for row in 0..<LatencyPeriod.rowCount {
            let inRow = current.rows[row] + (hasPrevious ? previous.rows[row] : 0)
            guard rank <= inRow else {
                rank -= inRow
                continue
            }
            for cell in LatencyPeriod.cells(ofRow: row) {
                rank -= current.cells[cell] + (hasPrevious ? previous.cells[cell] : 0)
                if rank <= 0 { return .microseconds(LatencyPeriod.longest(in: cell)) }
            }
        }
        return nil
    }

    /// Whether the current period is over, so that the period before it no longer counts; and whether the current
    /// period still counts.
    private func periods(at now: MonotonicInstant) -> (isOver: Bool, hasCurrent: Bool) {
        let age = began.duration(to: now)
        let isOver =
            age >= Self.longestPeriod || age >= Self.shortestPeriod && current.count >= Self.minimumCount
        return (isOver, hasCurrent: age < Self.longestPeriod * 2)
    }
}

/// The durations of one period.
private struct LatencyPeriod {
    private static let subdivisionBits = 4
    private static let cellsPerRow = 1 << subdivisionBits
    /// 2^32 µs are 71 minutes. Longer durations count in the last cell.
    private static let largestExponent = 32
    static let rowCount = largestExponent - subdivisionBits + 1

    /// How many durations are in each cell.
    private(set) var cells = [Int](repeating: 0, count: rowCount * cellsPerRow)
    /// How many durations are in each row of 16 cells.
    private(set) var rows = [Int](repeating: 0, count: rowCount)
    private(set) var count = 0

    mutating func record(_ duration: Duration) {
        let cell = Self.cell(of: duration)
        cells[cell] += 1
        rows[cell >> Self.subdivisionBits] += 1
        count += 1
    }

    mutating func clear() {
        for index in cells.indices { cells[index] = 0 }
        for index in rows.indices { rows[index] = 0 }
        count = 0
    }

    static func cells(ofRow row: Int) -> Range<Int> { row * cellsPerRow..<(row + 1) * cellsPerRow }

    private static func cell(of duration: Duration) -> Int {
        let nanoseconds = UInt64(max(0, duration.saturatingNanoseconds))
        let value = nanoseconds / 1000 + (nanoseconds % 1000 > 0 ? 1 : 0)
        let exponent = 63 - (value | 1).leadingZeroBitCount
        guard exponent > subdivisionBits else { return Int(value) }
        guard exponent < largestExponent else { return rowCount * cellsPerRow - 1 }
        let shift = exponent - subdivisionBits
        return (shift << subdivisionBits) + Int(value >> UInt64(shift))
    }

    /// Returns the longest duration that counts in a cell, in microseconds.
    static func longest(in cell: Int) -> Int64 {
        guard cell >= 2 * cellsPerRow else { return Int64(cell) }
        let shift = Int64(cell >> subdivisionBits) - 1
        let low = Int64(cell & (cellsPerRow - 1) | cellsPerRow) << shift
        return low + (1 << shift) - 1
    }
}
