import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("PINGs that check whether an HTTP/2 peer is alive")
struct HTTP2KeepAliveTests {
    private func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    private func keepAlive(_ change: (inout HTTP2Options) -> Void = { _ in }) -> HTTP2KeepAlive {
        var options = HTTP2Options()
        change(&options)
        return HTTP2KeepAlive(options: options)
    }

    @Test("a peer that is silent for 30 s while streams are open gets a PING, and 15 s to answer it", .tags(.H2n))
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

    @Test("An answer ends the wait, and bytes only postpone its end", .tags(.H2n))
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

    @Test(
        "Without streams no PING is sent unless the options ask for it; with keep-alive off none is sent", .tags(.H2n))
    func idle() {
        #expect(keepAlive().deadline(readAt: instant(0), askedAt: instant(0), hasStreams: false) == .distantFuture)
        let wanted = keepAlive { $0.keepsAliveWhenIdle = true }
        #expect(wanted.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: false) == instant(30))
        let off = keepAlive { $0.keepAliveInterval = nil }
        #expect(off.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: true) == .distantFuture)
    }

    @Test(
        "A PING is eventually sent for the places of reset streams, whatever else the peer sends",
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

    @Test("A reset is followed by one PING; the next waits for a message from the peer, or until places run out")
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

    @Test("Without received bytes the silence counts from the opening of the first open stream", .tags(.H2n))
    func silenceOfIdleConnection() {
        let probe = keepAlive()
        #expect(probe.deadline(readAt: instant(0), askedAt: instant(500), hasStreams: true) == instant(530))
    }

    @Test("A new request does not postpone the end of a PING", .tags(.H2n))
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

    @Test("A PING's time begins when the kernel accepts it, and again with each acknowledgement", .tags(.H2n))
    func leaving() {
        var probe = keepAlive()
        _ = probe.doubted(now: instant(10))
        func deadline() -> MonotonicInstant {
            probe.deadline(readAt: instant(0), askedAt: instant(0), hasStreams: true)
        }
        #expect(deadline() == instant(25), "as if the kernel had accepted it")
        probe.kernelAccepted(now: instant(20), blockedSince: instant(9))
        #expect(deadline() == instant(35))
        let foreign = probe.pingAccepted(7, now: instant(30))
        #expect(!foreign)
        let own = probe.pingAccepted(1, now: instant(30))
        #expect(own)
        #expect(deadline() == instant(45))
        // Within a turn of the loop: a kernel that accepts all bytes at once shows nothing about the peer.
        probe.kernelAccepted(now: instant(40), blockedSince: MonotonicInstant(nanoseconds: 39_999_000_000))
        #expect(deadline() == instant(45))
        probe.kernelAccepted(now: instant(40), blockedSince: MonotonicInstant(nanoseconds: 39_900_000_000))
        #expect(deadline() == instant(55))
    }

    /// A PING for a doubt at 10 s, which is sent at once.
    private func doubted() -> HTTP2KeepAlive {
        var probe = keepAlive()
        _ = probe.doubted(now: instant(10))
        _ = probe.pingAccepted(1, now: instant(10))
        return probe
    }

    @Test(
        "During a doubt, bytes other than the answer postpone the end for at most 45 s", .tags(.H2n)
    )
    func missing() {
        var probe = doubted()
        func deadline(readAt: Int64) -> MonotonicInstant {
            probe.deadline(readAt: instant(readAt), askedAt: instant(0), hasStreams: true)
        }
        func passed(_ now: Int64, readAt: Int64) -> HTTP2KeepAlive.Action {
            probe.deadlinePassed(now: instant(now), readAt: instant(readAt), askedAt: instant(0), hasStreams: true)
        }
        #expect(deadline(readAt: 20) == instant(35))
        #expect(deadline(readAt: 50) == instant(55))
        // Another request that times out does not restart the time.
        let second = probe.doubted(now: instant(50))
        #expect(second == nil)
        #expect(deadline(readAt: 50) == instant(55))
        #expect(passed(54, readAt: 54) == .nothing)
        #expect(passed(55, readAt: 54) == .missing)
        // The pool already knows. The remaining requests continue while bytes arrive.
        #expect(deadline(readAt: 54) == instant(69))
        #expect(passed(68, readAt: 54) == .nothing)
        #expect(passed(69, readAt: 54) == .dead)
    }

    @Test("A peer that sends nothing is dead at the usual time, doubted or not", .tags(.H2n))
    func deadInDoubt() {
        var probe = doubted()
        let action = probe.deadlinePassed(now: instant(25), readAt: instant(0), askedAt: instant(0), hasStreams: true)
        #expect(action == .dead)
    }

    @Test("Without a doubt bytes postpone the end without bound; a doubt bounds this from its beginning", .tags(.H2n))
    func doubtDuringPing() {
        var probe = keepAlive()
        _ = probe.deadlinePassed(now: instant(30), readAt: instant(0), askedAt: instant(0), hasStreams: true)
        _ = probe.pingAccepted(1, now: instant(30))
        #expect(probe.deadline(readAt: instant(500), askedAt: instant(0), hasStreams: true) == instant(515))
        let number = probe.doubted(now: instant(500))
        #expect(number == nil)
        #expect(probe.deadline(readAt: instant(540), askedAt: instant(0), hasStreams: true) == instant(545))
        let answered = probe.answered(1)
        #expect(answered)
        #expect(probe.deadline(readAt: instant(540), askedAt: instant(0), hasStreams: true) == instant(570))
    }

    @Test(
        "Behind an upload, a PING's time begins when the kernel accepts the last bytes before it",
        .tags(.H2n))
    func missingBehindUpload() {
        var probe = keepAlive()
        _ = probe.doubted(now: instant(10))
        func deadline() -> MonotonicInstant {
            // The peer sends something all the time.
            probe.deadline(readAt: instant(10_000), askedAt: instant(0), hasStreams: true)
        }
        #expect(deadline() == instant(55))
        probe.kernelAccepted(now: instant(40), blockedSince: instant(9))
        #expect(deadline() == instant(85))
        _ = probe.pingAccepted(1, now: instant(60))
        #expect(deadline() == instant(105))
        probe.kernelAccepted(now: instant(90), blockedSince: instant(70))
        #expect(deadline() == instant(105), "the kernel has accepted the PING before")
    }

    @Test("If the PING for reset streams is not answered, the connection ends, whatever else arrives")
    func missingForResets() {
        var probe = keepAlive()
        let number = probe.streamReset(now: instant(10), isPressing: false)
        #expect(number == 1)
        #expect(probe.deadline(readAt: instant(54), askedAt: instant(0), hasStreams: false) == instant(55))
        let action = probe.deadlinePassed(now: instant(55), readAt: instant(54), askedAt: instant(0), hasStreams: false)
        #expect(action == .missing)
    }
}
