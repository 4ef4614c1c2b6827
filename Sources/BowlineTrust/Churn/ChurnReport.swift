internal import Bowline

/// The results of a churn: the samples, their trends, and the resources that are left at the end.
struct ChurnReport: Sendable {
    let seed: UInt64
    let callers: Int
    let samples: [ChurnSample]
    let tally: ChurnTally
    /// The longest time that a call may take.
    let callLimit: Duration
    /// A description of each thing that was left after the shutdown, and of each problem of the shutdown.
    let leftovers: [String]

    /// How many samples come before the tested part: a quarter of the run, at least 20 (one a second), at most half of
    /// the run.
    static func warmUp(_ samples: Int) -> Int {
        min(max(samples / 4, 20), samples / 2)
    }

    /// The gauges of the tested part.
    var verdicts: [ChurnGauge.Verdict] {
        let tested = Array(samples.dropFirst(Self.warmUp(samples.count)))
        return ChurnGauge.all(callers: callers).map { $0.verdict(tested) }
    }

    /// Returns a text for each figure beyond its limit; empty if there is none.
    func violations(_ verdicts: [ChurnGauge.Verdict]) -> [String] {
        let leaks = verdicts.filter(\.isLeak).map { verdict in
            "\(verdict.name) rose by \(Self.number(verdict.trend.rise)), more than \(Self.number(verdict.limit))"
        }
        return leaks + tally.violations(limit: callLimit) + leftovers
    }

    /// The samples at each tenth of the run.
    func sampleTable() -> TextTable {
        let gauges = ChurnGauge.all(callers: callers)
        var table = TextTable(["second", "calls"] + gauges.map(\.name))
        for sample in Self.tenths(of: samples) {
            table.add(["\(Int(sample.seconds))", "\(sample.calls)"] + gauges.map { "\($0.value(sample))" })
        }
        return table
    }

    /// The trends beside their limits.
    static func trendTable(_ verdicts: [ChurnGauge.Verdict]) -> TextTable {
        var table = TextTable(["gauge", "median", "per minute", "rise", "limit", "significance", "verdict"])
        for verdict in verdicts {
            table.add([
                verdict.name, number(verdict.trend.median), number(verdict.trend.slope * 60),
                number(verdict.trend.rise),
                number(verdict.limit), number(verdict.trend.significance), verdict.isLeak ? "RISES" : "flat",
            ])
        }
        return table
    }

    /// The first sample and the sample at each tenth of the run.
    static func tenths(of samples: [ChurnSample]) -> [ChurnSample] {
        guard samples.count > 11 else { return samples }
        return (0...10).map { samples[$0 * (samples.count - 1) / 10] }
    }

    /// The number with one digit after the point.
    static func number(_ value: Double) -> String {
        let tenths = (value * 10).rounded()
        guard abs(tenths) < 1e15 else { return "\(value)" }
        let whole = Int(tenths)
        return "\(whole < 0 ? "-" : "")\(abs(whole) / 10).\(abs(whole) % 10)"
    }
}
