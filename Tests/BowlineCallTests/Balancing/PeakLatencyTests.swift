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

    @Test(
        "The time of a cancelled attempt is added if it is longer than the average; those in flight together count once"
    )
    func cancelled() {
        var latency = PeakLatency()
        latency.wasCancelled(after: .milliseconds(20), at: Self.at(0), average: Self.average)
        #expect(latency.isUnknown)
        latency.wasCancelled(after: .milliseconds(60), at: Self.at(0), average: Self.average)
        #expect(!latency.isUnknown)
        #expect(estimate(latency, at: 0) == 120)
        // These two were in flight together with the first one.
        latency.wasCancelled(after: .milliseconds(60), at: Self.at(0), average: Self.average)
        #expect(estimate(latency, at: 0) == 120)
        latency.wasCancelled(after: .milliseconds(90), at: Self.at(30), average: Self.average)
        #expect((149...150).contains(estimate(latency, at: 30)))
        // Without news the added times are forgotten as others are.
        #expect((19...22).contains(estimate(latency, at: 60_000)))
    }

    @Test("A failed attempt counts as it is, and can only raise the estimate")
    func failed() {
        var failed = PeakLatency()
        failed.failed(after: .milliseconds(60), at: Self.at(0), average: Self.average)
        #expect(estimate(failed, at: 0) == 60)
        failed.failed(after: .milliseconds(1), at: Self.at(0), average: Self.average)
        #expect(estimate(failed, at: 0) == 60)
    }
}
