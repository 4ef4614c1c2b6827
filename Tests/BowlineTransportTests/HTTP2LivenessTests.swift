import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("Doubts about an HTTP/2 peer")
struct HTTP2LivenessTests {
    private static func instant(_ seconds: Double) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(seconds * 1_000_000_000))
    }

    private func instant(_ seconds: Double) -> MonotonicInstant { Self.instant(seconds) }

    /// The last bytes arrived at 10 s.
    private func makeLiveness() -> HTTP2Liveness {
        var liveness = HTTP2Liveness(options: HTTP2Options(), now: Self.instant(0))
        liveness.received(now: Self.instant(10))
        return liveness
    }

    struct TimeLimit: CustomTestStringConvertible, Sendable {
        let code: ServiceError.Code
        let silentSince: Double?
        let now: Double
        let isDoubted: Bool

        var testDescription: String { "\(code.rawValue), asked at \(silentSince ?? -1) s, passed at \(now) s" }
    }

    @Test(
        "A request that timed out raises a doubt, unless bytes arrived since it was sent or its time was short",
        arguments: [
            TimeLimit(code: .responseHeadTimeout, silentSince: 10, now: 11, isDoubted: true),
            TimeLimit(code: .responseHeadTimeout, silentSince: 12, now: 13, isDoubted: true),
            TimeLimit(code: .responseHeadTimeout, silentSince: 9.9, now: 13, isDoubted: false),
            TimeLimit(code: .responseHeadTimeout, silentSince: nil, now: 13, isDoubted: false),
            TimeLimit(code: .bodyIdleTimeout, silentSince: 12, now: 12.05, isDoubted: true),
            TimeLimit(code: .deadlineExceeded, silentSince: 12, now: 12.05, isDoubted: false),
            TimeLimit(code: .deadlineExceeded, silentSince: 12, now: 12.1, isDoubted: true),
            TimeLimit(code: .attemptTimeout, silentSince: 12, now: 12.05, isDoubted: false),
        ])
    func timeLimits(limit: TimeLimit) {
        var liveness = makeLiveness()
        let isTold = liveness.timedOut(
            limit.code, silentSince: limit.silentSince.map { instant($0) }, now: instant(limit.now))
        #expect(isTold == limit.isDoubted)
        #expect(liveness.isDoubted == limit.isDoubted)
    }

    @Test("The pool learns of each doubt, and one PING goes out for all of them")
    func onePing() {
        var liveness = makeLiveness()
        let first = liveness.timedOut(.responseHeadTimeout, silentSince: instant(11), now: instant(13))
        let number = liveness.pingForDoubt(now: instant(13))
        let second = liveness.timedOut(.responseHeadTimeout, silentSince: instant(12), now: instant(14))
        let none = liveness.pingForDoubt(now: instant(14))
        #expect(first)
        #expect(second)
        #expect(number == 1)
        #expect(none == nil)
    }

    @Test("Without a doubt no PING is due")
    func noDoubt() {
        var liveness = makeLiveness()
        let number = liveness.pingForDoubt(now: instant(11))
        #expect(number == nil)
    }

    @Test("the answer to the PING ends the doubt; an earlier number, or a second answer, means nothing")
    func answers() {
        var liveness = makeLiveness()
        liveness.probed()
        #expect(liveness.isDoubted)
        let number = liveness.pingForDoubt(now: instant(11))
        let foreign = liveness.answered(7)
        #expect(foreign == .stale)
        #expect(liveness.isDoubted)
        let own = liveness.answered(number ?? 0)
        #expect(own == .confirmed)
        #expect(!liveness.isDoubted)
        let again = liveness.answered(number ?? 0)
        #expect(again == .stale)
    }

    @Test("an answer without a doubt confirms nothing; bytes do not end a doubt")
    func plainAnswer() {
        var liveness = makeLiveness()
        let number = liveness.streamReset(places: 1, of: 100, now: instant(11))
        let answer = liveness.answered(number ?? 0)
        #expect(answer == .answered)
        liveness.probed()
        liveness.received(now: instant(12))
        #expect(liveness.isDoubted)
    }

    /// The number of places that reset streams keep, and the number of all places.
    @Test(
        "The PING for a second reset waits for a message from the peer, until half of the places are in use",
        arguments: [(1, 100, false), (49, 100, false), (50, 100, true), (1, 1, true), (1, 3, true), (1, 4, false)])
    func pressing(places: Int, limit: Int, isPressing: Bool) {
        var liveness = makeLiveness()
        let first = liveness.streamReset(places: 0, of: 100, now: instant(11))
        _ = liveness.answered(first ?? 0)
        let second = liveness.streamReset(places: places, of: limit, now: instant(12))
        #expect(second == (isPressing ? 2 : nil))
    }

    @Test("A message from the peer sends the PING that resets wait for")
    func message() {
        var liveness = makeLiveness()
        let first = liveness.streamReset(places: 1, of: 100, now: instant(11))
        _ = liveness.answered(first ?? 0)
        let none = liveness.receivedMessage(resets: 0)
        #expect(none == nil)
        let second = liveness.receivedMessage(resets: 1)
        #expect(second == 2)
        let onItsWay = liveness.receivedMessage(resets: 1)
        #expect(onItsWay == nil)
    }

    @Test("The silence of an idle connection counts from its next request")
    func becameBusy() {
        var liveness = makeLiveness()
        #expect(liveness.deadline(hasStreams: true) == instant(40))
        liveness.becameBusy(now: instant(500))
        #expect(liveness.deadline(hasStreams: true) == instant(530))
        #expect(liveness.deadline(hasStreams: false) == .distantFuture)
        let action = liveness.deadlinePassed(now: instant(530), hasStreams: true)
        #expect(action == .ping(1))
        let isAwaited = liveness.pingAccepted(1, now: instant(531))
        #expect(isAwaited)
        #expect(liveness.deadline(hasStreams: true) == instant(546))
        liveness.kernelAccepted(now: instant(540), blockedSince: instant(532))
        #expect(liveness.deadline(hasStreams: true) == instant(555))
    }
}
