import BowlineTesting
import Testing

@Suite("Random durations of simulations")
struct SimulatedDurationTests {
    private func draws(_ duration: SimulatedDuration, count: Int = 40_000) -> [Double] {
        var random = SeededRandom(seed: 17)
        return (0..<count).map { _ in duration.draw(using: &random) / .milliseconds(1) }.sorted()
    }

    private func isClose(_ value: Double, _ expected: Double, within share: Double = 0.03) -> Bool {
        abs(value - expected) <= expected * share
    }

    @Test("A constant is always the same")
    func constant() {
        #expect(Set(draws(.constant(.milliseconds(7)), count: 100)) == [7])
        #expect(SimulatedDuration.constant(.milliseconds(7)).mean == .milliseconds(7))
        #expect(SimulatedDuration.constant(.seconds(-7)).mean == .zero)
    }

    @Test("Uniform durations fill their range evenly")
    func uniform() {
        let uniform = SimulatedDuration.uniform(.milliseconds(10)...(.milliseconds(30)))
        let values = draws(uniform)
        #expect(values.allSatisfy { (10.0...30.0).contains($0) })
        #expect(isClose(values[values.count / 2], 20))
        #expect(isClose(values[values.count / 4], 15))
        #expect(uniform.mean == .milliseconds(20))
    }

    @Test("Exponential durations have their mean, median and 99th percentile")
    func exponential() {
        let values = draws(.exponential(mean: .milliseconds(20)))
        #expect(isClose(values.reduce(0, +) / Double(values.count), 20))
        #expect(isClose(values[values.count / 2], 20 * 0.6931))
        #expect(isClose(values[values.count * 99 / 100], 20 * 4.605, within: 0.05))
        #expect(SimulatedDuration.exponential(mean: .milliseconds(20)).mean == .milliseconds(20))
    }

    @Test("Log-normal durations have their median, 99th percentile and mean")
    func logNormal() {
        let duration = SimulatedDuration.logNormal(median: .milliseconds(10), percentile99: .milliseconds(100))
        let values = draws(duration)
        #expect(isClose(values[values.count / 2], 10))
        #expect(isClose(values[values.count * 99 / 100], 100, within: 0.1))
        #expect(isClose(values.reduce(0, +) / Double(values.count), duration.mean / .milliseconds(1), within: 0.05))
    }

    @Test("Percentiles are met, with straight lines between them")
    func percentiles() {
        let duration = SimulatedDuration.percentiles([
            0: .milliseconds(2), 0.5: .milliseconds(8), 0.9: .milliseconds(10), 1: .milliseconds(110),
        ])
        let values = draws(duration)
        #expect(isClose(values[values.count / 4], 5))
        #expect(isClose(values[values.count / 2], 8))
        #expect(isClose(values[values.count * 9 / 10], 10))
        #expect(isClose(values[values.count * 95 / 100], 60, within: 0.05))
        // 0.5 × 5 + 0.4 × 9 + 0.1 × 60
        #expect(isClose(duration.mean / .milliseconds(1), 12.1, within: 0.000_01))
        #expect(SimulatedDuration.percentiles([:]).mean == .zero)
        #expect(SimulatedDuration.percentiles([0.5: .milliseconds(3)]).mean == .milliseconds(3))
    }

    @Test("Extreme values are bounded", .tags(.BI4))
    func extremes() {
        var random = SeededRandom(seed: 1)
        let year = Duration.seconds(365 * 86_400)
        let extremes: [SimulatedDuration] = [
            .constant(.seconds(Int64.max)), .exponential(mean: .seconds(Int64.max)),
            .logNormal(median: .seconds(Int64.max), percentile99: .seconds(Int64.max)),
            .logNormal(median: .seconds(1), percentile99: .seconds(Int64.max)),
            .percentiles([.nan: .seconds(Int64.max), 2: .seconds(Int64.min)]),
        ]
        for duration in extremes {
            for _ in 0..<100 {
                let drawn = duration.draw(using: &random)
                #expect(drawn >= .zero)
                #expect(drawn <= year)
            }
            #expect(duration.mean <= year)
        }
    }
}
