internal import Testing

@testable import BowlineTool

@Suite("Percentiles")
struct LatencyHistogramTests {
    @Test("An empty histogram has no percentile")
    func empty() {
        #expect(LatencyHistogram().percentile(50) == nil)
    }

    @Test("Percentiles are by nearest rank, and exact below 512 ns")
    func nearestRank() {
        var histogram = LatencyHistogram()
        for value in 1...100 { histogram.record(nanoseconds: Int64(value)) }
        for (percent, expected) in [(0, 1), (1, 1), (50, 50), (99, 99), (100, 100)] {
            #expect(histogram.percentile(percent) == .nanoseconds(expected))
        }
    }

    @Test("The percentiles of one value are that value")
    func single() {
        for value in [7, 1_234_567, 3_000_000_000_000] {
            var histogram = LatencyHistogram()
            histogram.record(nanoseconds: Int64(value))
            #expect(histogram.percentile(50) == .nanoseconds(value))
            #expect(histogram.percentile(99) == .nanoseconds(value))
        }
    }

    @Test("Percentiles are within 0.2 % of the sorted list's, for all values")
    func accuracy() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SplitMix(state: seed)
        var histogram = LatencyHistogram()
        // Spread evenly over the orders of magnitude, from 1 ns to 17 minutes.
        let values = (0..<20_000).map { _ in
            let exponent = Int64.random(in: 1...40, using: &random)
            return Int64.random(in: 1...(1 << exponent), using: &random)
        }
        for value in values { histogram.record(nanoseconds: value) }
        let sorted = values.sorted()
        for percent in 1...100 {
            let exact = sorted[max(1, (sorted.count * percent + 99) / 100) - 1]
            let found = try #require(histogram.percentile(percent)).wholeNanoseconds
            #expect(abs(found - exact) <= exact / 500 + 1, "\(percent) %, seed \(seed)")
        }
    }

    @Test("Values out of range count at the edge of the range")
    func edges() throws {
        var histogram = LatencyHistogram()
        histogram.record(nanoseconds: -5)
        #expect(histogram.percentile(100) == .zero)
        histogram.record(nanoseconds: .max)
        #expect(try #require(histogram.percentile(100)) > .seconds(2000))
    }

    @Test("The percentiles of two merged halves are those of the whole")
    func adding() {
        var (odd, even, all) = (LatencyHistogram(), LatencyHistogram(), LatencyHistogram())
        for value in 1...2000 {
            if value % 2 == 0 { even.record(nanoseconds: Int64(value)) } else { odd.record(nanoseconds: Int64(value)) }
            all.record(nanoseconds: Int64(value))
        }
        odd.add(even)
        #expect(odd.count == 2000)
        #expect((0...100).map { odd.percentile($0) } == (0...100).map { all.percentile($0) })
    }
}

/// A generator whose sequence follows from a seed.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
