internal import Bowline
internal import BowlineCore
internal import Testing

@testable import BowlineTool

@Suite("The picture of a request's time")
struct TimelineTests {
    private func at(_ milliseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    private var timings: PhaseTimings { timings(DialTimings(total: .milliseconds(30))) }

    private func timings(_ dial: DialTimings) -> PhaseTimings {
        var timings = PhaseTimings()
        timings.started = at(100)
        timings.leased = at(140)
        timings.dialTimings = dial
        timings.sent = at(141)
        timings.firstByte = at(180)
        timings.head = at(181)
        return timings
    }

    @Test("queue, dial, send, wait, head and body follow each other without a gap")
    func phases() {
        let timeline = Timeline(began: at(100), decisions: [], timings: timings, ended: at(200))
        #expect(timeline.spans.map(\.name) == ["queue", "dial", "send", "wait", "head", "body"])
        #expect(timeline.spans.map(\.duration) == [10, 30, 1, 39, 1, 19].map { .milliseconds($0) })
        var reached = Duration.zero
        for span in timeline.spans {
            #expect(span.start == reached)
            reached += span.duration
        }
    }

    @Test("Each step of a dial has its own bar, and the last step ends with the dial")
    func steps() {
        let dial = DialTimings(
            total: .milliseconds(30), resolve: .milliseconds(4), connect: .milliseconds(5), tunnel: .milliseconds(9),
            tls: .microseconds(11_900))
        let timeline = Timeline(began: at(100), decisions: [], timings: timings(dial), ended: at(200))
        #expect(
            timeline.spans.map(\.name) == [
                "queue", "resolve", "connect", "tunnel", "TLS", "send", "wait", "head", "body",
            ])
        #expect(timeline.spans[1..<5].map(\.duration) == [4, 5, 9, 12].map { .milliseconds($0) })
    }

    @Test("A part of a dial that belongs to no step has a bar")
    func otherPart() {
        let dial = DialTimings(total: .milliseconds(30), connect: .milliseconds(5))
        let timeline = Timeline(began: at(100), decisions: [], timings: timings(dial), ended: at(200))
        #expect(timeline.spans.map(\.name) == ["queue", "connect", "dial", "send", "wait", "head", "body"])
        #expect(timeline.spans[2].duration == .milliseconds(25))
    }

    @Test("Failed attempts and the sleeps after them come before the last attempt")
    func retries() {
        let decision = RetryDecision(
            attempt: 1, method: .get, origin: "http://a.test:80", cause: .status(503),
            verdict: .retry(after: .milliseconds(60)), budgetLeft: nil)
        let timeline = Timeline(began: at(0), decisions: [(at(40), decision)], timings: timings, ended: at(200))
        #expect(
            timeline.spans.map(\.name) == [
                "attempt 1: 503", "sleep", "queue", "dial", "send", "wait", "head", "body",
            ])
        #expect(timeline.spans[1].duration == .milliseconds(60))
        let failed = Timeline(began: at(0), decisions: [], timings: nil, ended: at(50))
        #expect(failed.spans.map(\.name) == ["attempt"])
    }

    @Test("Earlier parts of the call that were no retries have their own names")
    func before() {
        let decision = RetryDecision(
            attempt: 1, method: .get, origin: "http://a.test:80", cause: .status(503),
            verdict: .retry(after: .milliseconds(20)), budgetLeft: nil)
        func first(
            _ decisions: [(at: MonotonicInstant, decision: RetryDecision)] = [], redirects: Int = 0, attempts: Int
        ) -> [String] {
            let timeline = Timeline(
                began: at(0), decisions: decisions, timings: timings, redirects: redirects, attempts: attempts,
                ended: at(200))
            return Array(timeline.spans.map(\.name).prefix { $0 != "queue" })
        }
        #expect(first(redirects: 2, attempts: 1) == ["redirects"])
        #expect(first(attempts: 2) == ["attempts"])
        #expect(first(attempts: 1) == ["prepare"])
        #expect(first([(at(40), decision)], attempts: 2) == ["attempt 1: 503", "sleep", "resume"])
        #expect(first([(at(40), decision)], attempts: 3) == ["attempt 1: 503", "sleep", "attempts"])
        #expect(first([(at(40), decision)], redirects: 1, attempts: 1) == ["attempt 1: 503", "sleep", "redirects"])
    }

    @Test("Each bar is at its place in the whole, and each has at least one mark")
    func picture() {
        let lines = Timeline(began: at(100), decisions: [], timings: timings, ended: at(200)).picture(width: 10)
        #expect(
            lines == [
                "queue  |=         |  10.000 ms",
                "dial   | ===      |  30.000 ms",
                "send   |    =     |  1.000 ms",
                "wait   |    ====  |  39.000 ms",
                "head   |        = |  1.000 ms",
                "body   |        ==|  19.000 ms",
            ])
    }
}
