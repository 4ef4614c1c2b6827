/// Whether a series of measurements rises, and how fast.
///
/// The slope is Theil and Sen's: the median of the slopes between all pairs. A few outliers or one step do not change
/// it. The significance is Mann and Kendall's: the number of rising pairs, in standard deviations above its value for a
/// series without a trend.
struct Trend: Sendable, Hashable {
    /// The largest number of points. A longer series is reduced to the medians of groups, because the number of pairs
    /// grows with the square of the number of points.
    static let mostPoints = 600

    /// The rise per second; negative: a fall.
    let slope: Double
    /// How far the series is from a series without a trend, in standard deviations; negative: the series falls.
    let significance: Double
    /// The time from the first to the last point, in seconds.
    let seconds: Double
    /// The median of the values.
    let median: Double

    /// The rise from the first to the last point, along the slope.
    var rise: Double { slope * seconds }

    /// Finds the trend of a series.
    ///
    /// - Parameters:
    ///   - times: When each value was measured, in seconds, rising.
    ///   - values: One value for each time. Fewer than three values have no trend.
    init(times: [Double], values: [Double]) {
        let (times, values) = Self.joined(times, values)
        seconds = (times.last ?? 0) - (times.first ?? 0)
        median = Self.median(values)
        guard values.count >= 3 else {
            slope = 0
            significance = 0
            return
        }
        var slopes: [Double] = []
        slopes.reserveCapacity(values.count * (values.count - 1) / 2)
        var score = 0
        for later in values.indices {
            for earlier in 0..<later {
                let rise = values[later] - values[earlier]
                score += rise > 0 ? 1 : rise < 0 ? -1 : 0
                let time = times[later] - times[earlier]
                if time > 0 { slopes.append(rise / time) }
            }
        }
        slope = Self.median(slopes)
        significance = Self.significance(of: score, values)
    }

    /// The score in standard deviations, corrected for equal values and for continuity.
    private static func significance(of score: Int, _ values: [Double]) -> Double {
        func weight(_ count: Int) -> Double { Double(count) * Double(count - 1) * Double(2 * count + 5) }
        let ties = Dictionary(grouping: values, by: { $0 }).values.reduce(0) { $0 + weight($1.count) }
        let variance = (weight(values.count) - ties) / 18
        guard variance > 0, score != 0 else { return 0 }
        return Double(score > 0 ? score - 1 : score + 1) / variance.squareRoot()
    }

    private static func joined(_ times: [Double], _ values: [Double]) -> ([Double], [Double]) {
        let count = min(times.count, values.count)
        let size = (count + mostPoints - 1) / mostPoints
        guard size > 1 else { return (Array(times.prefix(count)), Array(values.prefix(count))) }
        let groups = stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
        return (groups.map { median(Array(times[$0])) }, groups.map { median(Array(values[$0])) })
    }

    /// The middle value; for an even number of values, the mean of the middle two; for no values, 0.
    private static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
