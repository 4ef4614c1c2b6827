import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("When an HTTP/2 peer is asked whether it is there")
struct HTTP2KeepAliveTests {
    private func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    private func keepAlive(_ change: (inout HTTP2Options) -> Void = { _ in }) -> HTTP2KeepAlive {
        var options = HTTP2Options()
        change(&options)
        return HTTP2KeepAlive(options: options)
    }

    @Test("H2n a peer that is silent for 30 s while streams are open gets a PING, and 15 s to answer it")
    func silence() {
        var probe = keepAlive()
        #expect(probe.deadline(readAt: instant(0), occasion: .streams) == instant(30))
        let early = probe.deadlinePassed(now: instant(29), readAt: instant(0), occasion: .streams)
        #expect(early == .nothing)
        let due = probe.deadlinePassed(now: instant(30), readAt: instant(0), occasion: .streams)
        #expect(due == .ping(1))
        #expect(probe.deadline(readAt: instant(0), occasion: .streams) == instant(45))
        let late = probe.deadlinePassed(now: instant(45), readAt: instant(0), occasion: .streams)
        #expect(late == .dead)
    }

    @Test("H2n an answer ends the wait; so does nothing but bytes put it off")
    func answers() {
        var probe = keepAlive()
        _ = probe.deadlinePassed(now: instant(30), readAt: instant(0), occasion: .streams)
        let foreign = probe.answered(77)
        #expect(!foreign)
        #expect(probe.deadline(readAt: instant(40), occasion: .streams) == instant(55), "bytes came")
        let own = probe.answered(1)
        #expect(own)
        #expect(probe.deadline(readAt: instant(40), occasion: .streams) == instant(70))
    }

    @Test("H2n without streams nobody is asked, unless it is wanted; never when it is off")
    func idle() {
        #expect(keepAlive().deadline(readAt: instant(0), occasion: .none) == .distantFuture)
        let wanted = keepAlive { $0.keepsAliveWhenIdle = true }
        #expect(wanted.deadline(readAt: instant(0), occasion: .none) == instant(30))
        let off = keepAlive { $0.keepAliveInterval = nil }
        #expect(off.deadline(readAt: instant(0), occasion: .streams) == .distantFuture)
    }

    @Test("Places of reset streams that no PING covers are asked for in the end, also when keep-alive is off")
    func forgottenResets() {
        #expect(keepAlive().deadline(readAt: instant(5), occasion: .resets) == instant(35))
        var off = keepAlive { $0.keepAliveInterval = nil }
        #expect(off.deadline(readAt: instant(5), occasion: .resets) == instant(35))
        let due = off.deadlinePassed(now: instant(35), readAt: instant(5), occasion: .resets)
        #expect(due == .ping(1))
    }

    @Test("A reset is followed by one PING; the next waits for a message of the peer's, or for places to run out")
    func resets() {
        var probe = keepAlive()
        let first = probe.streamReset(now: instant(1), isPressing: false)
        #expect(first == 1)
        let second = probe.streamReset(now: instant(1), isPressing: true)
        #expect(second == nil, "one is on its way")
        _ = probe.answered(1)
        let third = probe.streamReset(now: instant(2), isPressing: false)
        #expect(third == nil, "the peer has sent nothing since")
        let pressing = probe.streamReset(now: instant(2), isPressing: true)
        #expect(pressing == 2)
        _ = probe.answered(2)
        let mayAsk = probe.receivedMessage()
        #expect(mayAsk)
        let fourth = probe.streamReset(now: instant(3), isPressing: false)
        #expect(fourth == 3)
    }
}
