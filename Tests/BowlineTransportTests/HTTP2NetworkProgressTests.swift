import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("How the network takes an HTTP/2 connection's bytes")
struct HTTP2NetworkProgressTests {
    private func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    struct Look: Sendable {
        let waiting: Int
        let hasMoved: Bool
    }

    @Test(
        "The network has made progress when it took bytes, including bytes written meanwhile",
        arguments: [
            [
                Look(waiting: 100, hasMoved: false), Look(waiting: 99, hasMoved: true),
                Look(waiting: 99, hasMoved: false),
            ],
            // TLS adds to the bytes that wait.
            [
                Look(waiting: 120, hasMoved: false), Look(waiting: 100, hasMoved: false),
                Look(waiting: 40, hasMoved: true),
            ],
            [Look(waiting: 0, hasMoved: true), Look(waiting: 0, hasMoved: false)],
        ])
    func looks(looks: [Look]) {
        var progress = HTTP2NetworkProgress(now: instant(0))
        progress.passedToChannel(100)
        progress.mark(waiting: 100)
        for (second, look) in looks.enumerated() {
            let hasMoved = progress.observed(waiting: look.waiting, now: instant(Int64(second + 1)))
            #expect(hasMoved == look.hasMoved)
            #expect(progress.hasMoved(since: instant(Int64(second))) == look.hasMoved)
        }
    }

    @Test("New bytes do not hide the bytes that the network took")
    func added() {
        var progress = HTTP2NetworkProgress(now: instant(0))
        progress.passedToChannel(100)
        progress.mark(waiting: 100)
        progress.passedToChannel(50)
        let hasMoved = progress.observed(waiting: 149, now: instant(1))
        #expect(hasMoved)
    }

    @Test("A mark forgets the bytes taken before it")
    func mark() {
        var progress = HTTP2NetworkProgress(now: instant(0))
        progress.passedToChannel(100)
        progress.mark(waiting: 30)
        let before = progress.observed(waiting: 30, now: instant(1))
        #expect(!before)
        #expect(!progress.hasMoved(since: instant(0)))
    }

    @Test("A flush that the network took completely is progress at its own instant")
    func flush() {
        var progress = HTTP2NetworkProgress(now: instant(0))
        progress.tookFlush(now: instant(5))
        #expect(progress.hasMoved(since: instant(4)))
        #expect(!progress.hasMoved(since: instant(5)))
    }

    @Test("The connection is blocked from the first time the channel accepts nothing until it accepts bytes again")
    func blocked() {
        var progress = HTTP2NetworkProgress(now: instant(0))
        #expect(progress.blockedSince == nil)
        progress.passedToChannel(100)
        progress.becameBlocked(waiting: 100, now: instant(1))
        progress.becameBlocked(waiting: 80, now: instant(2))
        #expect(progress.blockedSince == instant(1))
        let hasMoved = progress.observed(waiting: 90, now: instant(3))
        #expect(hasMoved, "counted from the first")
        progress.becameWritable()
        #expect(progress.blockedSince == nil)
        progress.becameBlocked(waiting: 90, now: instant(4))
        #expect(progress.blockedSince == instant(4))
    }
}
