internal import BowlineCore
internal import BowlinePlatform

/// The average latency of recent attempts, and how certain it is.
///
/// Latencies are averaged as logarithms, so that a few very slow attempts do not change the average much, and so that
/// the error means the same share of the latency whatever the latency is.
struct LatencyStatistics {
    /// The fewest attempts that make an estimate.
    private static let fewest = 10.0

    private var count = 0.0
    private var logarithms = 0.0
    private var squares = 0.0
    private var nanoseconds = 0.0

    mutating func add(_ latency: Duration) {
        let value = Double(max(latency.saturatingNanoseconds, 1))
        let logarithm = log2(value)
        count += 1
        logarithms += logarithm
        squares += logarithm * logarithm
        nanoseconds += value
    }

    /// Makes the attempts so far count half, if they are enough for an estimate.
    mutating func fade() {
        guard count >= Self.fewest else { return }
        count /= 2
        logarithms /= 2
        squares /= 2
        nanoseconds /= 2
    }

    /// nil: too few attempts are known.
    var estimate: LatencyEstimate? {
        guard count >= Self.fewest else { return nil }
        let average = logarithms / count
        let variance = max(0, squares / count - average * average)
        return LatencyEstimate(
            logarithm: average, error: 2 * (variance / count).squareRoot(), nanoseconds: nanoseconds / count)
    }
}

/// An average latency.
struct LatencyEstimate {
    /// The average of the binary logarithms of the nanoseconds.
    var logarithm: Double
    /// Two standard errors of ``logarithm``.
    var error: Double
    /// The plain average in nanoseconds.
    var nanoseconds: Double

    /// The value that the true average logarithm very likely does not exceed.
    var upper: Double { logarithm + error }
    /// The value that the true average logarithm very likely exceeds.
    var lower: Double { logarithm - error }
}
