import BowlineCore
import Testing

@testable import BowlineCall

@Suite("The estimate of an endpoint's latency")
struct PeakLatencyTests {
    private static let average = 20e6

    private static func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    /// The estimate in milliseconds.
    private func estimate(_ latency: PeakLatency, at milliseconds: Int64) -> Double {
        latency.nanoseconds(at: Self.at(milliseconds), average: Self.average) / 1e6
    }

    @Test("It rises at once, falls slowly, and moves towards the average without news")
    func course() {
        var latency = PeakLatency()
        #expect(latency.isUnknown)
        #expect(estimate(latency, at: 0) == 20)
        latency.succeeded(after: .milliseconds(100), at: Self.at(0), average: Self.average)
        #expect(estimate(latency, at: 0) == 100)
        latency.succeeded(after: .milliseconds(20), at: Self.at(1000), average: Self.average)
        #expect((85...95).contains(estimate(latency, at: 1000)))
        #expect((19...22).contains(estimate(latency, at: 60_000)))
    }

    @Test("A cancelled attempt counts as twice as long, a failed one as it is; both can only raise the estimate")
    func unfinished() {
        var cancelled = PeakLatency()
        cancelled.wasCancelled(after: .milliseconds(60), at: Self.at(0), average: Self.average)
        #expect(estimate(cancelled, at: 0) == 120)
        cancelled.wasCancelled(after: .milliseconds(1), at: Self.at(0), average: Self.average)
        #expect(estimate(cancelled, at: 0) == 120)
        var failed = PeakLatency()
        failed.failed(after: .milliseconds(60), at: Self.at(0), average: Self.average)
        #expect(estimate(failed, at: 0) == 60)
        failed.failed(after: .milliseconds(1), at: Self.at(0), average: Self.average)
        #expect(estimate(failed, at: 0) == 60)
    }
}
