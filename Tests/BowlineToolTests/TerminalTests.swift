internal import Bowline
internal import BowlinePlatform
internal import Testing

@testable import BowlineTool

@Suite("Output at a terminal")
struct TerminalTests {
    private static func instant(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test("Output that cannot be written is reported with the system's reason, except if the reader has gone")
    func brokenOutput() {
        #expect(Console.complaint(ENOSPC) == "cannot write the output: No space left on device")
        #expect(Console.complaint(EPIPE) == nil)
    }

    @Test("The progress bar appears for work that takes a second, and is drawn at most ten times a second")
    func pace() {
        var bar = ProgressBar(requests: 100, began: Self.instant(0))
        #expect(bar.advance(requests: 10, bytes: 0, now: Self.instant(999)) == nil)
        #expect(bar.advance(requests: 10, bytes: 0, now: Self.instant(1000)) != nil)
        #expect(bar.advance(requests: 10, bytes: 0, now: Self.instant(1099)) == nil)
        let text = bar.advance(requests: 20, bytes: 0, now: Self.instant(1100))
        #expect(text?.contains(" 50 %, 50 of 100 requests") == true)
    }

    @Test("The bar of a single request shows its body")
    func body() {
        var bar = ProgressBar(requests: 1, began: Self.instant(0))
        bar.announce(bytes: 64 << 20)
        let text = bar.advance(requests: 0, bytes: 16 << 20, now: Self.instant(2000))
        #expect(text == "[#######.......................] 25 %, 16 of 64 MiB, 2.000 s")
        var unknown = ProgressBar(requests: 1, began: Self.instant(0))
        #expect(unknown.advance(requests: 0, bytes: 5 << 20, now: Self.instant(2000)) == "5 MiB, 2.000 s")
    }

    @Test("A line has a request's outcome and its connection")
    func line() {
        var outcome = JSONOutputTests.outcome()
        outcome.response?.trailers = [.init(name: "T", value: "1")]
        #expect(
            outcome.readable(isVerbose: false)
                == "    0  200      1.234 ms    1109 bytes  HTTP/1.1 on connection 1, new"
                + "  sent again on a new connection  http://a.test/"
        )
        #expect(outcome.readable(isVerbose: true).hasSuffix("       trailer T: 1\n       sha256 of the body: ab"))
        let error = ServiceError(.connectionRefused, "nobody there", phase: .connecting)
        #expect(
            JSONOutputTests.outcome(failure: Failure(error), hasResponse: false).readable(isVerbose: true)
                == "    0  connectionRefused (neverSent, connecting)      1.234 ms  http://a.test/  - nobody there"
        )
    }

    @Test("The table has the requests that were not begun, and why connections closed")
    func table() {
        var tally = Tally()
        tally.record(.refusal)
        tally.record(.failure("connectionClosed"))
        let text = JSONOutputTests.summary(tally).readable
        #expect(text.contains("2: 0 succeeded, 1 failed, 1 refused by the shutdown"))
        #expect(text.contains("closed: idleTimeout 2, stale 1"))
        #expect(!text.contains("not begun"))
        #expect(JSONOutputTests.summary(Tally()).readable.contains("2 of 2 not begun"))
    }
}

@Suite("Processors that a pinned process may use")
struct UsableCoresTests {
    @Test(
        "The processors are the bits of the kernel's mask",
        arguments: [
            ("Name:\tbowline\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n", 2), ("Cpus_allowed:\t2\n", 1),
            ("Cpus_allowed:\tff,ffffffff\n", 40), ("Cpus_allowed:\t0\n", nil), ("Name:\tbowline\n", nil),
        ] as [(String, Int?)])
    func mask(text: String, count: Int?) {
        #expect(UsableCores.count(inStatus: text) == count)
    }

    @Test("There is at least one processor here")
    func here() {
        #expect(UsableCores.count >= 1)
    }
}
