internal import BowlineCore
internal import BowlinePlatform

/// A random duration of a simulation: how long work takes, or how long bytes travel.
public struct SimulatedDuration: Sendable, Hashable {
    private enum Kind: Sendable, Hashable {
        case constant(Int64)
        case uniform(Int64, Int64)
        case exponential(mean: Double)
        case logNormal(median: Double, sigma: Double)
        case percentiles([Point])
    }

    private struct Point: Sendable, Hashable {
        let share: Double
        let nanoseconds: Double
    }

    private let kind: Kind

    /// Always the same duration.
    public static func constant(_ duration: Duration) -> SimulatedDuration {
        SimulatedDuration(kind: .constant(nanoseconds(duration)))
    }

    /// Each duration in the range is equally likely.
    public static func uniform(_ range: ClosedRange<Duration>) -> SimulatedDuration {
        SimulatedDuration(kind: .uniform(nanoseconds(range.lowerBound), nanoseconds(range.upperBound)))
    }

    /// The exponential distribution: many short durations and a few long ones. With it, one worker is the queue that
    /// textbooks call M/M/1.
    public static func exponential(mean: Duration) -> SimulatedDuration {
        SimulatedDuration(kind: .exponential(mean: Double(nanoseconds(mean))))
    }

    /// The log-normal distribution, which resembles the latencies of many services.
    ///
    /// - Parameters:
    ///   - median: Half of the durations are shorter.
    ///   - percentile99: 99 of 100 durations are shorter; at least `median`.
    public static func logNormal(median: Duration, percentile99: Duration) -> SimulatedDuration {
        let middle = max(Double(nanoseconds(median)), 1)
        let ratio = max(Double(nanoseconds(percentile99)) / middle, 1)
        // 2.3263… is the 99th percentile of the standard normal distribution.
        return SimulatedDuration(kind: .logNormal(median: middle, sigma: log(ratio) / 2.326_347_874_040_841))
    }

    /// A distribution with these percentiles, and straight lines between them.
    ///
    /// ```swift
    /// let work = SimulatedDuration.percentiles([0: .milliseconds(2), 0.5: .milliseconds(8), 1: .milliseconds(90)])
    /// ```
    /// - Parameter values: The share of shorter durations, from 0 to 1, and the duration. Below the first share and
    ///   above the last one, the duration is constant. Empty: always zero.
    public static func percentiles(_ values: KeyValuePairs<Double, Duration>) -> SimulatedDuration {
        let points = values.map { Point(share: $0.key.asShare, nanoseconds: Double(nanoseconds($0.value))) }
        return SimulatedDuration(kind: .percentiles(points.sorted { $0.share < $1.share }))
    }

    /// Draws a duration.
    public func draw(using random: inout SeededRandom) -> Duration {
        switch kind {
        case .constant(let nanoseconds): .nanoseconds(nanoseconds)
        case .uniform(let low, let high): .nanoseconds(Int64.random(in: low...high, using: &random))
        case .exponential(let mean): Self.duration(-mean * log(1 - random.nextDouble()))
        case .logNormal(let median, let sigma):
            // Box and Muller's transform makes a normally distributed number of two evenly distributed ones.
            Self.duration(
                median
                    * exp(sigma * (-2 * log(1 - random.nextDouble())).squareRoot() * cos(2 * .pi * random.nextDouble()))
            )
        case .percentiles(let points): Self.duration(Self.value(at: random.nextDouble(), points))
        }
    }

    /// The mean of all durations.
    public var mean: Duration {
        switch kind {
        case .constant(let nanoseconds): .nanoseconds(nanoseconds)
        case .uniform(let low, let high): Self.duration(Double(low) / 2 + Double(high) / 2)
        case .exponential(let mean): Self.duration(mean)
        case .logNormal(let median, let sigma): Self.duration(median * exp(sigma * sigma / 2))
        case .percentiles(let points): Self.duration(Self.mean(of: points))
        }
    }

    private static func value(at share: Double, _ points: [Point]) -> Double {
        guard let first = points.first, let last = points.last else { return 0 }
        if share <= first.share { return first.nanoseconds }
        for (left, right) in zip(points, points.dropFirst()) where share <= right.share {
            let part = right.share > left.share ? (share - left.share) / (right.share - left.share) : 1
            return left.nanoseconds + part * (right.nanoseconds - left.nanoseconds)
        }
        return last.nanoseconds
    }

    private static func mean(of points: [Point]) -> Double {
        guard let first = points.first, let last = points.last else { return 0 }
        let edges = first.share * first.nanoseconds + (1 - last.share) * last.nanoseconds
        return zip(points, points.dropFirst()).reduce(edges) { sum, pair in
            sum + (pair.1.share - pair.0.share) * (pair.0.nanoseconds + pair.1.nanoseconds) / 2
        }
    }

    /// At most one year, so that sums of durations do not overflow.
    private static let longest: Double = 365 * 86_400 * 1e9

    private static func duration(_ nanoseconds: Double) -> Duration {
        .nanoseconds(Int64(min(max(nanoseconds.isNaN ? 0 : nanoseconds, 0), longest)))
    }

    private static func nanoseconds(_ duration: Duration) -> Int64 {
        min(max(duration.saturatingNanoseconds, 0), Int64(longest))
    }
}

extension Double {
    /// This number as a share: from 0 to 1.
    var asShare: Double { isNaN ? 0 : min(max(self, 0), 1) }
}
