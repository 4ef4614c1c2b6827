import BowlineCore
import Testing

@testable import BowlineCall

/// One step at a time; ``LimitSimulationTests`` show what the steps make together.
@Suite("The steps of the adaptive limit")
struct AdaptiveLimitTests {
    /// A limit whose attempts all take the same time, evenly spread.
    private struct Driven {
        var limit: AdaptiveLimit
        var now = MonotonicInstant(nanoseconds: 0)
        var milliseconds = 50
        /// How many attempts are in flight; nil: as many as the limit allows.
        var inFlight: Int?

        init(_ initial: Double) {
            limit = AdaptiveLimit(initial: initial)
        }

        var value: Double { limit.value }

        /// Ends attempts. `kind` makes their results.
        mutating func end(_ count: Int, _ kind: (Duration) -> ConcurrencySample = { .success(latency: $0) }) {
            for _ in 0..<count {
                let inFlight = inFlight ?? Int(limit.value)
                now = now.advanced(by: .milliseconds(milliseconds) / inFlight)
                limit.attemptEnded(
                    kind(.milliseconds(milliseconds)), inFlight: inFlight, at: now, .init(minimum: 1, maximum: 1000))
            }
        }
    }

    private static func refused(_ latency: Duration) -> ConcurrencySample { .overload(latency: latency) }

    @Test("A used limit doubles each round while latency stays the same", .tags(.CO5))
    func doubling() {
        var driven = Driven(20)
        // The first 20 results are ignored, 20 are a round.
        driven.end(39)
        #expect(driven.value == 20)
        driven.end(1)
        #expect(driven.value == 40)
        for (size, next) in [(40, 80.0), (80, 160), (160, 320), (320, 640), (640, 1000), (1000, 1000)] {
            driven.end(size)
            #expect(driven.value == next)
        }
    }

    @Test("A limit grows only if at least half of it is in flight", .tags(.CO5))
    func used() {
        for (inFlight, value) in [(1, 20.0), (9, 20), (10, 40)] {
            var driven = Driven(20)
            driven.inFlight = inFlight
            driven.end(20 + 10)
            #expect(driven.value == value)
        }
    }

    @Test("Results that say nothing change nothing", .tags(.CO7))
    func ignored() {
        var driven = Driven(20)
        driven.end(20 + 19)
        driven.end(1000) { _ in .ignored }
        #expect(driven.value == 20)
    }

    @Test("If all results are signs of overload, the limit falls by a quarter, once per round", .tags(.CO4))
    func overload() {
        for kind in [Self.refused, { .timedOut(latency: $0) }] {
            var driven = Driven(20)
            driven.end(40)
            driven.end(39, kind)
            #expect(driven.value == 40)
            driven.end(1, kind)
            #expect(driven.value == 30)
            // 40 attempts were in flight. A round of overload also lasts as long as an attempt.
            driven.end(40 + 30, kind)
            #expect(driven.value == 30)
            driven.end(2, kind)
            #expect(driven.value == 22.5)
        }
    }

    @Test("Refusals that come at once lower the limit no more often than an attempt takes time", .tags(.CO4))
    func quickRefusals() {
        var driven = Driven(20)
        driven.end(40)
        driven.milliseconds = 1
        var limits: Set<Double> = []
        let end = driven.now.advanced(by: .milliseconds(501))
        while driven.now < end {
            driven.end(1, Self.refused)
            limits.insert(driven.value)
        }
        #expect(limits.count <= 11)
        #expect(driven.value >= 40 * 0.056)
    }

    @Test("A limit that is not reached falls from what is in flight", .tags(.CO4))
    func overloadWhileUnused() {
        var driven = Driven(20)
        driven.inFlight = 4
        driven.end(30)
        driven.end(10, Self.refused)
        #expect(driven.value == 3)
    }

    @Test("After an outage the limit doubles up to three quarters of what it was, and then grows slowly", .tags(.CO4))
    func recovery() {
        var driven = Driven(20)
        driven.end(40)
        driven.end(40 + 20 * 40, Self.refused)
        #expect(driven.value == 1)
        var limits: [Double] = []
        for _ in 0..<100 {
            driven.end(1)
            if limits.last != driven.value { limits.append(driven.value) }
        }
        #expect(limits.prefix(6) == [2, 4, 8, 16, 30, 30 + 30.0.squareRoot() / 2])
    }

    @Test("A few signs of overload slow the growth, and do not stop it", .tags(.CO4))
    func fewSigns() {
        var driven = Driven(100)
        driven.end(200)
        #expect(driven.value == 200)
        driven.end(10, Self.refused)
        driven.end(190)
        #expect(driven.value == (200 + 200.0.squareRoot() / 2) * (1 - 0.05 / 4))
    }

    @Test(
        "Latency that rises above 150 % of the base lowers the limit in proportion, by at most half", .tags(.CO6),
        arguments: [(60, nil), (70, nil), (80, 0.85 * 50 / 80), (200, 0.5)] as [(Int, Double?)])
    func latency(milliseconds: Int, factor: Double?) {
        var driven = Driven(100)
        driven.end(200)
        driven.milliseconds = milliseconds
        var highest = driven.value
        for _ in 0..<5000 {
            driven.end(1)
            if driven.value < highest { break }
            highest = driven.value
        }
        if let factor {
            #expect(abs(driven.value / highest - factor) < 0.1)
        } else {
            #expect(driven.value == highest)
        }
    }

    @Test("Latency that rises a little ends the doubling", .tags(.CO6))
    func endOfDoubling() {
        var driven = Driven(20)
        driven.end(40)
        driven.milliseconds = 65
        driven.end(40 + 80 + 160)
        let value = driven.value
        driven.end(Int(value))
        #expect(driven.value == value + value.squareRoot() / 2)
    }

    @Test("A clock that stands still and latencies of zero do not trap", .tags(.BI2))
    func still() {
        var driven = Driven(20)
        driven.milliseconds = 0
        driven.end(100_000)
        #expect(driven.value == 1000)
        driven.end(100_000, Self.refused)
        #expect(driven.value == 1)
    }
}
