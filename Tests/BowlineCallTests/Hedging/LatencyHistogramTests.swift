import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Latency histogram")
struct LatencyHistogramTests {
    private let start = at(0)

    private func histogram(_ durations: some Sequence<Duration>) -> LatencyHistogram {
        var histogram = LatencyHistogram(at: start)
        for duration in durations { histogram.record(duration, at: start) }
        return histogram
    }

    @Test("A percentile is the nearest rank: exact up to 31 µs", .tags(.HG8), arguments: [0.5, 0.9, 0.95, 0.99, 1])
    func exact(share: Double) {
        var random = SeededRandom.fromEnvironment()
        let samples = (0..<1000).map { _ in random.next(in: 0..<32) }
        let histogram = histogram(samples.map { .microseconds($0) })
        let rank = Int((share * 1000).rounded(.up))
        #expect(histogram.percentile(share, at: start) == .microseconds(samples.sorted()[rank - 1]))
    }

    @Test("A percentile of long durations is never too short, and at most a sixteenth too long", .tags(.HG8))
    func bounded() throws {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<50 {
            let scale = random.next(in: 0..<30)
            let samples = (0..<200).map { _ in Int64(random.next(in: 1..<1000 << scale)) }
            let histogram = histogram(samples.map { .nanoseconds($0) })
            for share in [0.5, 0.75, 0.95, 0.999] {
                let exact = samples.sorted()[Int((share * 200).rounded(.up)) - 1]
                let found = try #require(histogram.percentile(share, at: start)).saturatingNanoseconds
                #expect(found >= exact, "seed \(random.seed)")
                #expect(Double(found) <= Double(exact) * 1.0625 + 1000, "seed \(random.seed)")
            }
        }
    }

    @Test("With fewer than 100 durations there is no percentile", .tags(.HG8))
    func tooFew() {
        var histogram = histogram(repeatElement(.milliseconds(1), count: 99))
        #expect(histogram.percentile(0.5, at: start) == nil)
        histogram.record(.milliseconds(1), at: start)
        #expect(histogram.percentile(0.5, at: start) == .microseconds(1023))
    }

    @Test("Old durations are forgotten: a busy scope uses the last two periods of ten seconds", .tags(.HG8))
    func slides() {
        var histogram = histogram(repeatElement(.microseconds(5), count: 1000))
        func record(_ value: Int, _ count: Int, _ second: Int) {
            for _ in 0..<count { histogram.record(.microseconds(value), at: at(second * 1000)) }
        }
        record(9, 500, 10)
        // Both periods count: 1000 of 5 µs and 500 of 9 µs.
        #expect(histogram.count(at: at(10_000)) == 1500)
        #expect(histogram.percentile(0.5, at: at(10_000)) == .microseconds(5))
        #expect(histogram.percentile(0.9, at: at(10_000)) == .microseconds(9))
        // The first period is forgotten when the second ends.
        #expect(histogram.percentile(0.5, at: at(20_000)) == .microseconds(9))
        #expect(histogram.count(at: at(20_000)) == 500)
    }

    @Test("A quiet scope keeps its last 100 durations, but nothing after ten minutes without any", .tags(.HG8))
    func quiet() {
        var histogram = LatencyHistogram(at: start)
        for second in 0..<250 { histogram.record(.microseconds(second < 125 ? 5 : 9), at: at(second * 1000)) }
        #expect(histogram.percentile(1, at: at(250_000)) == .microseconds(9))
        #expect(histogram.count(at: at(250_000)) == 150)
        #expect(histogram.percentile(1, at: at(900_000)) == nil)
        #expect(histogram.count(at: at(900_000)) == 0)
        // A duration after that begins anew.
        histogram.record(.microseconds(1), at: at(900_000))
        #expect(histogram.count(at: at(900_000)) == 1)
    }

    @Test("Extreme durations, shares and clocks do not trap", .tags(.BI4))
    func extremes() {
        var histogram = LatencyHistogram(at: start)
        for duration in [Duration.seconds(Int64.max), .seconds(Int64.min), .zero, .nanoseconds(-1), .seconds(4295)] {
            for _ in 0..<20 { histogram.record(duration, at: start) }
        }
        for share in [-1, 0, .nan, .infinity, -.infinity, 2, 1e-300] {
            #expect(histogram.percentile(share, at: start) != nil)
        }
        #expect(histogram.percentile(0.01, at: start) == .zero)
        // The last cell ends at 2^32 µs.
        #expect(histogram.percentile(1, at: start) == .microseconds(4_294_967_295))
        #expect(histogram.percentile(1, at: MonotonicInstant(nanoseconds: .min)) != nil)
        #expect(histogram.percentile(1, at: .distantFuture) == nil)
    }

    @Test("The number of scopes is bounded; the least recently used are removed", .tags(.HG8))
    func scopes() throws {
        let latencies = HedgingLatencies()
        func scope(_ number: Int) throws -> PolicyScope {
            PolicyScope(origin: try ServiceURL("http://api.example").origin, name: "\(number)")
        }
        let kept = latencies.latency(of: try scope(0), at: start)
        for number in 1..<HedgingLatencies.maximumScopes {
            _ = latencies.latency(of: try scope(number), at: at(number))
        }
        #expect(latencies.count == HedgingLatencies.maximumScopes)
        kept.record(.milliseconds(1), at: at(5000))
        _ = latencies.latency(of: try scope(-1), at: at(5001))
        #expect(latencies.count == HedgingLatencies.maximumScopes * 3 / 4 + 1)
        #expect(latencies.latency(of: try scope(0), at: at(5002)) === kept)
        #expect(latencies.latency(of: try scope(1023), at: at(5002)).lastUsed == at(1023))
        #expect(latencies.latency(of: try scope(1), at: at(5002)).lastUsed == at(5002))
    }
}
