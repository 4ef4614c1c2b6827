import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("How the kernel accepts an HTTP/2 connection's bytes")
struct HTTP2KernelProgressTests {
    private func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    struct Look: Sendable {
        let waiting: Int
        let hasAccepted: Bool
    }

    @Test(
        "The kernel has accepted bytes if fewer bytes wait than were written",
        arguments: [
            [
                Look(waiting: 100, hasAccepted: false), Look(waiting: 99, hasAccepted: true),
                Look(waiting: 99, hasAccepted: false),
            ],
            // TLS adds to the bytes that wait.
            [
                Look(waiting: 120, hasAccepted: false), Look(waiting: 100, hasAccepted: false),
                Look(waiting: 40, hasAccepted: true),
            ],
            [Look(waiting: 0, hasAccepted: true), Look(waiting: 0, hasAccepted: false)],
        ])
    func looks(looks: [Look]) {
        var progress = HTTP2KernelProgress(now: instant(0))
        progress.passedToChannel(100)
        progress.mark(waiting: 100)
        for (second, look) in looks.enumerated() {
            let hasAccepted = progress.observed(waiting: look.waiting, now: instant(Int64(second + 1)))
            #expect(hasAccepted == look.hasAccepted)
            #expect(progress.hasAccepted(since: instant(Int64(second))) == look.hasAccepted)
        }
    }

    @Test("New bytes do not hide the bytes that the kernel accepted")
    func added() {
        var progress = HTTP2KernelProgress(now: instant(0))
        progress.passedToChannel(100)
        progress.mark(waiting: 100)
        progress.passedToChannel(50)
        let hasAccepted = progress.observed(waiting: 149, now: instant(1))
        #expect(hasAccepted)
    }

    @Test("A mark forgets the bytes that the kernel accepted before it")
    func mark() {
        var progress = HTTP2KernelProgress(now: instant(0))
        progress.passedToChannel(100)
        progress.mark(waiting: 30)
        let before = progress.observed(waiting: 30, now: instant(1))
        #expect(!before)
        #expect(!progress.hasAccepted(since: instant(0)))
    }

    @Test("A flush that the kernel accepted completely is progress at its own instant")
    func flush() {
        var progress = HTTP2KernelProgress(now: instant(0))
        progress.acceptedFlush(now: instant(5))
        #expect(progress.hasAccepted(since: instant(4)))
        #expect(!progress.hasAccepted(since: instant(5)))
    }

    @Test("The connection is blocked from the first time the channel accepts nothing until it accepts bytes again")
    func blocked() {
        var progress = HTTP2KernelProgress(now: instant(0))
        #expect(progress.blockedSince == nil)
        progress.passedToChannel(100)
        progress.becameBlocked(waiting: 100, now: instant(1))
        progress.becameBlocked(waiting: 80, now: instant(2))
        #expect(progress.blockedSince == instant(1))
        let hasAccepted = progress.observed(waiting: 90, now: instant(3))
        #expect(hasAccepted, "counted from the first")
        progress.becameWritable()
        #expect(progress.blockedSince == nil)
        progress.becameBlocked(waiting: 90, now: instant(4))
        #expect(progress.blockedSince == instant(4))
    }
}
