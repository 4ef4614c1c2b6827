internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("Churn: trends and noise")
struct TrendTests {
    /// A bell of sorts, around 0: the sum of four numbers from -0.5 to 0.5.
    private static func bell(_ random: inout SeededRandom, _ size: Double) -> Double {
        (0..<4).reduce(0) { sum, _ in sum + random.nextDouble() - 0.5 } * size
    }

    private static func series(
        _ count: Int, seed: UInt64, noise size: Double, _ value: (Double) -> Double
    ) -> Trend {
        var random = SeededRandom(seed: seed)
        let times = (0..<count).map(Double.init)
        return Trend(times: times, values: times.map { value($0) + bell(&random, size) })
    }

    @Test("a straight line has its own slope, and every pair rises")
    func line() {
        let trend = Trend(times: [0, 1, 2, 4], values: [10, 12, 14, 18])
        #expect(trend.slope == 2)
        #expect(trend.rise == 8)
        #expect(trend.seconds == 4)
        #expect(trend.median == 13)
        // S = 6, variance = 4 · 3 · 13 / 18.
        #expect(abs(trend.significance - 5 / (4.0 * 3 * 13 / 18).squareRoot()) < 1e-9)
    }

    @Test("A falling line has the opposite slope and significance of a rising one")
    func falling() {
        let times = (0..<20).map(Double.init)
        let rising = Trend(times: times, values: times.map { 3 * $0 })
        let falling = Trend(times: times, values: times.map { -3 * $0 })
        #expect(falling.slope == -3)
        #expect(falling.significance == -rising.significance)
        #expect(rising.significance > 3)
    }

    @Test("equal values have no trend", arguments: [0, 1, 2, 3, 100])
    func flat(_ count: Int) {
        let times = (0..<count).map(Double.init)
        let trend = Trend(times: times, values: times.map { _ in 7 })
        #expect(trend.slope == 0)
        #expect(trend.significance == 0)
        #expect(trend.rise == 0)
    }

    @Test("A leak that is as large as the noise is found")
    func leak() {
        for seed in 0..<20 {
            let trend = Self.series(90, seed: UInt64(seed), noise: 60) { 500 + $0 }
            #expect(trend.significance > ChurnGauge.significance, "seed \(seed)")
            #expect(abs(trend.slope - 1) < 0.5, "seed \(seed)")
        }
    }

    @Test("noise is rarely taken for a trend, and never for a large one")
    func noise() {
        var significant = 0
        for seed in 0..<200 {
            let trend = Self.series(90, seed: UInt64(seed), noise: 60) { _ in 500 }
            if trend.significance > ChurnGauge.significance { significant += 1 }
            #expect(abs(trend.rise) < 50, "seed \(seed)")
        }
        // One in a thousand is to be expected.
        #expect(significant <= 2)
    }

    @Test("a few outliers do not move the slope")
    func outliers() {
        let times = (0..<60).map(Double.init)
        let values = times.map { $0.truncatingRemainder(dividingBy: 13) == 7 ? 100_000 : 2 * $0 }
        let trend = Trend(times: times, values: values)
        #expect(abs(trend.slope - 2) < 0.3)
    }

    @Test("A long series is grouped and keeps its slope")
    func long() {
        let trend = Self.series(4000, seed: 1, noise: 100) { 1000 + 0.5 * $0 }
        #expect(abs(trend.slope - 0.5) < 0.01)
        #expect(trend.seconds > 3900)
    }

    @Test("If times and values differ in number, the common part is read")
    func uneven() {
        let trend = Trend(times: [0, 1, 2, 3, 4, 5], values: [1, 2, 3])
        #expect(trend.slope == 1)
        #expect(trend.seconds == 2)
    }
}

@Suite("Churn: gauges and the report")
struct ChurnReportTests {
    private static func samples(_ count: Int, _ change: (Int, inout ChurnSample) -> Void = { _, _ in }) -> [ChurnSample]
    {
        (0..<count).map { second in
            var sample = ChurnSample()
            sample.seconds = Double(second)
            sample.calls = 900 * second
            sample.memoryKiB = 150_000 + (second * 7919) % 500
            sample.descriptors = 600 + (second * 31) % 40
            sample.threads = 12
            sample.inFlight = 40 + (second * 17) % 8
            sample.idle = 200 + (second * 13) % 20
            change(second, &sample)
            return sample
        }
    }

    private static func report(
        _ samples: [ChurnSample], _ tally: ChurnTally = Self.succeeded, leftovers: [String] = []
    ) -> ChurnReport {
        ChurnReport(
            seed: 1, callers: 48, samples: samples, tally: tally, callLimit: .seconds(3), leftovers: leftovers)
    }

    private static var succeeded: ChurnTally {
        var tally = ChurnTally()
        for _ in 0..<3 { tally.add(.succeeded, after: .milliseconds(2)) }
        tally.add(.cancelled, after: .milliseconds(1))
        tally.add(.failed("incompleteBody"), after: .milliseconds(20))
        return tally
    }

    private static func rising(_ report: ChurnReport) -> [String] {
        report.verdicts.filter(\.isLeak).map(\.name)
    }

    @Test("a steady run has no leak")
    func steady() {
        let report = Self.report(Self.samples(120))
        #expect(Self.rising(report) == [])
        #expect(report.violations(report.verdicts) == [])
        #expect(report.verdicts.map(\.name) == ChurnGauge.all(callers: 48).map(\.name))
    }

    @Test("A leak of each kind is found and named")
    func leaks() {
        #expect(Self.rising(Self.report(Self.samples(120) { $1.memoryKiB += 600 * $0 })) == ["memory KiB"])
        #expect(Self.rising(Self.report(Self.samples(120) { $1.descriptors += $0 })) == ["descriptors"])
        #expect(Self.rising(Self.report(Self.samples(120) { $1.threads += $0 / 10 })) == ["threads"])
        #expect(Self.rising(Self.report(Self.samples(120) { $1.tasks += $0 / 4 })) == ["tasks"])
        #expect(Self.rising(Self.report(Self.samples(120) { $1.inFlight += $0 / 4 })) == ["in flight"])
        #expect(Self.rising(Self.report(Self.samples(120) { $1.idle += $0 })) == ["idle"])
        let report = Self.report(Self.samples(120) { $1.threads += $0 / 10 })
        #expect(report.violations(report.verdicts).count == 1)
        #expect(report.violations(report.verdicts).first?.hasPrefix("threads rose by ") == true)
    }

    @Test("A rise during the warm-up alone is no leak")
    func warmUp() {
        let report = Self.report(Self.samples(120) { $1.memoryKiB += 5000 * min($0, 30) })
        #expect(Self.rising(report) == [])
        #expect([4, 30, 60, 120, 600].map(ChurnReport.warmUp) == [2, 15, 20, 30, 150])
    }

    @Test("A slow rise within the limit and a single step are no leaks")
    func within() {
        #expect(Self.rising(Self.report(Self.samples(120) { $1.descriptors += $0 / 10 })) == [])
        #expect(Self.rising(Self.report(Self.samples(120) { $1.memoryKiB += $0 > 110 ? 20_000 : 0 })) == [])
    }

    @Test("Leftovers and unexpected failures are violations")
    func other() {
        let left = Self.report(Self.samples(120), leftovers: ["2 descriptors are open"])
        #expect(left.violations(left.verdicts) == ["2 descriptors are open"])
        var tally = Self.succeeded
        tally.add(.failed("protocolViolation"), after: .seconds(4))
        let report = Self.report(Self.samples(120), tally)
        #expect(
            report.violations(report.verdicts) == [
                "1 calls failed with protocolViolation", "a call took 4000 ms, more than 3000 ms",
            ])
    }

    @Test("A run in which most calls fail, and a run without calls, are violations")
    func vacuous() {
        var tally = ChurnTally()
        #expect(tally.violations(limit: .seconds(3)) == ["no call ended"])
        tally.add(.succeeded, after: .zero)
        for _ in 0..<2 { tally.add(.failed("connectionClosed"), after: .zero) }
        #expect(tally.violations(limit: .seconds(3)) == ["only 1 of 3 calls succeeded"])
        #expect(tally.text == "3 calls: 1 succeeded, 0 cancelled, 2 failed (2 connectionClosed); the longest took 0 ms")
    }

    @Test("the table has the first sample and each tenth of the run")
    func tenths() {
        #expect(
            ChurnReport.tenths(of: Self.samples(121)).map { Int($0.seconds) }
                == Array(stride(from: 0, through: 120, by: 12)))
        #expect(ChurnReport.tenths(of: Self.samples(7)).count == 7)
        #expect(ChurnReport.tenths(of: []).isEmpty)
        #expect([0, 1.26, -1.26, 1234.5, -0.04].map(ChurnReport.number) == ["0.0", "1.3", "-1.3", "1234.5", "0.0"])
    }
}

@Suite("Churn: what is drawn")
struct ChurnCallTests {
    @Test("The same seed and number draw the same call; another seed or number draws another call")
    func same() {
        let call = ChurnCall(seed: 7, number: 12, origins: 100)
        #expect(ChurnCall(seed: 7, number: 12, origins: 100) == call)
        #expect(ChurnCall.number(of: "/\(call.target)") == 12)
        #expect(ChurnCall.number(of: "/churn") == nil)
        let calls = (0..<100).map { ChurnCall(seed: 7, number: $0, origins: 100) }
        let others = (0..<100).map { ChurnCall(seed: 8, number: $0, origins: 100) }
        #expect(Set(calls.map(\.pause)).count > 95)
        #expect(calls.map(\.pause) != others.map(\.pause))
    }

    @Test("every origin, behaviour and reading is drawn, a quarter of the calls is cancelled, and a GET has no body")
    func all() {
        let calls = (0..<10_000).map { ChurnCall(seed: 1, number: $0, origins: 100) }
        #expect(Set(calls.map(\.origin)) == Set(0..<100))
        #expect(Set(calls.map(\.behaviour)) == Set(ChurnBehaviour.allCases))
        #expect(Set(calls.map(\.reading)) == Set(ChurnReading.allCases))
        let cancelled = calls.filter { $0.cancelledAfter != nil }.count
        #expect((2300...2700).contains(cancelled))
        let answered = calls.filter { $0.behaviour == .answer }.count
        #expect((4200...4600).contains(answered))
        #expect(calls.allSatisfy { ($0.method == .get) == ($0.bodyBytes == 0) })
        #expect(calls.allSatisfy { $0.pause < .milliseconds(40) && $0.slowness < .milliseconds(200) })
    }
}
