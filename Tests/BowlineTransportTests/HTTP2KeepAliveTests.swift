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
        #expect(probe.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: true) == instant(30))
        let early = probe.deadlinePassed(now: instant(29), readAt: instant(0), askedAt: instant(0), hasStreams: true)
        #expect(early == .nothing)
        let due = probe.deadlinePassed(now: instant(30), readAt: instant(0), askedAt: instant(0), hasStreams: true)
        #expect(due == .ping(1))
        #expect(probe.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: true) == instant(45))
        let late = probe.deadlinePassed(now: instant(45), readAt: instant(0), askedAt: instant(0), hasStreams: true)
        #expect(late == .dead)
    }

    @Test("H2n an answer ends the wait; so does nothing but bytes put it off")
    func answers() {
        var probe = keepAlive()
        _ = probe.deadlinePassed(now: instant(30), readAt: instant(0), askedAt: instant(0), hasStreams: true)
        let foreign = probe.answered(77)
        #expect(!foreign)
        #expect(probe.deadline(readAt: instant(40), askedAt: instant(0), hasStreams: true) == instant(55), "bytes came")
        let own = probe.answered(1)
        #expect(own)
        #expect(probe.deadline(readAt: instant(40), askedAt: instant(0), hasStreams: true) == instant(70))
    }

    @Test("H2n without streams nobody is asked, unless it is wanted; never when it is off")
    func idle() {
        #expect(keepAlive().deadline(readAt: instant(0), askedAt: instant(0), hasStreams: false) == .distantFuture)
        let wanted = keepAlive { $0.keepsAliveWhenIdle = true }
        #expect(wanted.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: false) == instant(30))
        let off = keepAlive { $0.keepAliveInterval = nil }
        #expect(off.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: true) == .distantFuture)
    }

    @Test(
        "Places of reset streams that no PING covers are asked for in the end, whatever else the peer sends",
        arguments: [Duration.seconds(30), nil])
    func forgottenResets(interval: Duration?) {
        var probe = keepAlive { $0.keepAliveInterval = interval }
        _ = probe.streamReset(now: instant(1), isPressing: false)
        _ = probe.answered(1)
        let second = probe.streamReset(now: instant(5), isPressing: false)
        #expect(second == nil)
        #expect(probe.deadline(readAt: instant(34), askedAt: instant(0), hasStreams: false) == instant(35))
        let due = probe.deadlinePassed(now: instant(35), readAt: instant(34), askedAt: instant(0), hasStreams: false)
        #expect(due == .ping(2))
        _ = probe.answered(2)
        #expect(probe.deadline(readAt: instant(36), askedAt: instant(0), hasStreams: false) == .distantFuture)
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

    @Test("H2n without bytes the silence runs from when the first open stream was opened")
    func silenceOfIdleConnection() {
        let probe = keepAlive()
        #expect(probe.deadline(readAt: instant(0), askedAt: instant(500), hasStreams: true) == instant(530))
    }

    @Test("H2n a request that comes meanwhile does not put off the end of a PING")
    func requestsMeanwhile() {
        var probe = keepAlive()
        let number = probe.doubted(now: instant(10))
        #expect(number == 1)
        let second = probe.doubted(now: instant(11))
        #expect(second == nil, "one is on its way")
        #expect(probe.deadline(readAt: instant(0), askedAt: instant(24), hasStreams: true) == instant(25))
        let action = probe.deadlinePassed(
            now: instant(25), readAt: instant(0), askedAt: instant(24), hasStreams: true)
        #expect(action == .dead)
    }

    @Test("H2n a PING's time begins when it has left, and again with each sign that the peer acknowledges")
    func leaving() {
        var probe = keepAlive()
        _ = probe.doubted(now: instant(10))
        func deadline() -> MonotonicInstant {
            probe.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: true)
        }
        #expect(deadline() == instant(25), "as if it had left")
        probe.taken(now: instant(20), blockedSince: instant(9))
        #expect(deadline() == instant(35))
        let foreign = probe.left(7, now: instant(30))
        #expect(!foreign)
        let own = probe.left(1, now: instant(30))
        #expect(own)
        #expect(deadline() == instant(45))
        // Within a turn of the loop: a network that takes all at once says nothing of the peer.
        probe.taken(now: instant(40), blockedSince: MonotonicInstant(nanoseconds: 39_999_000_000))
        #expect(deadline() == instant(45))
        probe.taken(now: instant(40), blockedSince: MonotonicInstant(nanoseconds: 39_900_000_000))
        #expect(deadline() == instant(55))
    }
}
