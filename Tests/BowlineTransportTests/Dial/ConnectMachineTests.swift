import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The order and the time of connection attempts")
struct ConnectMachineTests {
    typealias Event = ConnectHarness.Event
    typealias Effect = ConnectHarness.Effect

    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var preferred = IPAddress.Family.v6
        /// Each input with its instant in milliseconds, and its effects.
        let steps: [(Int, Event, [Effect])]

        init(_ title: String, preferring preferred: IPAddress.Family = .v6, _ steps: [(Int, Event, [Effect])]) {
            testDescription = title
            self.preferred = preferred
            self.steps = steps
        }
    }

    static let addressRows: [Row] = [
        Row(
            "One literal address needs no timer",
            [(0, .begin(["4a"]), [.connect("4a")]), (9, .connected("4a"), [.connected("4a")])]),
        Row(
            "One literal address that fails ends the connect",
            [(0, .begin(["6a"]), [.connect("6a")]), (9, .failed("6a"), [.failed])]),
        Row("Without an address the connect fails at once", [(0, .begin([]), [.failed])]),
        Row(
            "The families alternate, 250 ms apart, and begin with IPv6",
            [
                (0, .begin(["4a", "4b", "4c", "6a", "6b"]), [.connect("6a"), .timer(250)]),
                (250, .timer, [.connect("4a"), .timer(500)]), (500, .timer, [.connect("6b"), .timer(750)]),
                (750, .timer, [.connect("4b"), .timer(1000)]), (1000, .timer, [.connect("4c")]),
                (1100, .connected("4b"), [.close(["6a", "4a", "6b", "4c"]), .connected("4b")]),
            ]),
        Row(
            "The families alternate and begin with IPv4 if the caller prefers it", preferring: .v4,
            [
                (0, .begin(["6a", "6b", "4a"]), [.connect("4a"), .timer(250)]),
                (250, .timer, [.connect("6a"), .timer(500)]), (500, .timer, [.connect("6b")]),
            ]),
        Row(
            "The delay counts from the last start, even if the timer fires late",
            [
                (0, .begin(["4a", "4b", "4c"]), [.connect("4a"), .timer(250)]),
                (300, .timer, [.connect("4b"), .timer(550)]),
            ]),
        Row(
            "After a failure the next attempt starts at once, and the delay counts from that start",
            [
                (0, .begin(["4a", "4b", "4c"]), [.connect("4a"), .timer(250)]),
                (100, .failed("4a"), [.connect("4b"), .timer(350)]), (350, .timer, [.connect("4c")]),
                (400, .failed("4b"), []), (500, .failed("4c"), [.failed]),
            ]),
        Row(
            "After a failure of an older attempt, too, the next attempt starts at once",
            [
                (0, .begin(["4a", "4b", "4c"]), [.connect("4a"), .timer(250)]),
                (250, .timer, [.connect("4b"), .timer(500)]), (260, .failed("4a"), [.connect("4c"), .timerCancelled]),
            ]),
        Row(
            "An address that is listed several times is tried once",
            [
                (0, .begin(["4a", "4a", "4b", "4a", "4b"]), [.connect("4a"), .timer(250)]),
                (250, .timer, [.connect("4b")]), (300, .failed("4a"), []), (300, .failed("4b"), [.failed]),
            ]),
        Row(
            "Addresses that failed recently come after the good ones of both families",
            [
                (0, .begin(["4a", "4b", "6a", "6b", "4c"], recentlyFailed: 2), [.connect("6a"), .timer(250)]),
                (1, .failed("6a"), [.connect("4a"), .timer(251)]), (2, .failed("4a"), [.connect("4b"), .timer(252)]),
                (3, .failed("4b"), [.connect("6b"), .timer(253)]),
                (4, .failed("6b"), [.connect("4c"), .timerCancelled]),
            ]),
        Row(
            "If every address has failed recently, each is tried all the same",
            [
                (0, .begin(["4a", "6a"], recentlyFailed: 9), [.connect("6a"), .timer(250)]),
                (250, .timer, [.connect("4a")]),
            ]),
        Row(
            "The ninth attempt waits until one of the eight open ones fails",
            [
                (0, .begin("abcdefghij".map { "4\($0)" }), [.connect("4a"), .timer(250)]),
                (250, .timer, [.connect("4b"), .timer(500)]), (500, .timer, [.connect("4c"), .timer(750)]),
                (750, .timer, [.connect("4d"), .timer(1000)]), (1000, .timer, [.connect("4e"), .timer(1250)]),
                (1250, .timer, [.connect("4f"), .timer(1500)]), (1500, .timer, [.connect("4g"), .timer(1750)]),
                (1750, .timer, [.connect("4h")]), (9000, .failed("4c"), [.connect("4i")]),
                (9001, .failed("4i"), [.connect("4j")]), (9002, .failed("4a"), []),
                (
                    9003, .connected("4j"),
                    [.close(["4b", "4d", "4e", "4f", "4g", "4h"]), .connected("4j")]
                ),
            ]),
        Row(
            "The second address costs 250 ms if the first swallows packets",
            [
                (0, .begin(["6a", "4a"]), [.connect("6a"), .timer(250)]), (250, .timer, [.connect("4a")]),
                (251, .connected("4a"), [.close(["6a"]), .connected("4a")]),
            ]),
    ]

    static let lookUpRows: [Row] = [
        Row(
            "IPv6 first: the attempt starts at once, and IPv4's addresses follow",
            [
                (0, .lookUps, []), (10, .found(.v6, ["6a", "6b"]), [.connect("6a"), .timer(260)]),
                (20, .found(.v4, ["4a"]), []), (260, .timer, [.connect("4a"), .timer(510)]),
                (510, .timer, [.connect("6b")]),
            ]),
        Row(
            "IPv4 first: the attempt waits 50 ms for IPv6",
            [
                (0, .lookUps, []), (10, .found(.v4, ["4a"]), [.timer(60)]), (60, .timer, [.connect("4a")]),
                (90, .found(.v6, ["6a"]), [.timer(310)]), (310, .timer, [.connect("6a")]),
            ]),
        Row(
            "IPv4 first: IPv6's addresses come within 50 ms and go first",
            [
                (0, .lookUps, []), (10, .found(.v4, ["4a"]), [.timer(60)]),
                (59, .found(.v6, ["6a"]), [.connect("6a"), .timer(309)]), (309, .timer, [.connect("4a")]),
                (400, .earlierTimer(1), []),
            ]),
        Row(
            "IPv4 first: the attempt starts when IPv6 has no address",
            [
                (0, .lookUps, []), (10, .found(.v4, ["4a"]), [.timer(60)]),
                (20, .found(.v6, []), [.connect("4a"), .timerCancelled]), (60, .earlierTimer(1), []),
            ]),
        Row(
            "IPv4 first: the attempt starts when IPv6's look-up has failed",
            [
                (0, .lookUps, []), (10, .found(.v4, ["4a"]), [.timer(60)]),
                (20, .lookUpFailed(.v6), [.connect("4a"), .timerCancelled]),
            ]),
        Row(
            "IPv4 starts at once if IPv6 has no address",
            [(0, .lookUps, []), (10, .found(.v6, []), []), (20, .found(.v4, ["4a"]), [.connect("4a")])]),
        Row(
            "IPv4 starts at once if IPv6's look-up has failed",
            [(0, .lookUps, []), (10, .lookUpFailed(.v6), []), (20, .found(.v4, ["4a"]), [.connect("4a")])]),
        Row(
            "IPv6 waits 50 ms for IPv4 if the caller prefers IPv4", preferring: .v4,
            [(0, .lookUps, []), (10, .found(.v6, ["6a"]), [.timer(60)]), (60, .timer, [.connect("6a")])]),
        Row(
            "One family with one address needs no timer",
            [
                (0, .lookUps, []), (10, .found(.v6, ["6a"]), [.connect("6a")]), (20, .found(.v4, []), []),
                (30, .connected("6a"), [.connected("6a")]),
            ]),
        Row(
            "A look-up that never answers does not hold the other family",
            [
                (0, .lookUps, []), (10, .found(.v4, ["4a", "4b"]), [.timer(60)]),
                (60, .timer, [.connect("4a"), .timer(310)]), (310, .timer, [.connect("4b")]),
                (320, .connected("4b"), [.close(["4a"]), .connected("4b")]),
            ]),
        Row(
            "A late address waits for the rest of the delay",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a"]), [.connect("6a")]),
                (100, .found(.v4, ["4a"]), [.timer(250)]), (250, .timer, [.connect("4a")]),
            ]),
        Row(
            "A late address starts at once if the delay has passed",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a"]), [.connect("6a")]),
                (250, .found(.v4, ["4a", "4b"]), [.connect("4a"), .timer(500)]),
            ]),
        Row(
            "A late address starts at once if an attempt has failed since the last start",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a", "6b"]), [.connect("6a"), .timer(250)]),
                (250, .timer, [.connect("6b")]), (260, .failed("6a"), []),
                (270, .found(.v4, ["4a"]), [.connect("4a")]),
            ]),
        Row(
            "If all attempts have failed, the connect waits for the other look-up",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a"]), [.connect("6a")]), (5, .failed("6a"), []),
                (900, .found(.v4, ["4a"]), [.connect("4a")]), (905, .failed("4a"), [.failed]),
            ]),
        Row(
            "If all attempts have failed and the other look-up finds nothing, the connect fails",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a"]), [.connect("6a")]), (5, .failed("6a"), []),
                (900, .lookUpFailed(.v4), [.failed]),
            ]),
        Row(
            "If both look-ups fail, the connect fails",
            [(0, .lookUps, []), (10, .lookUpFailed(.v4), []), (20, .lookUpFailed(.v6), [.failed])]),
        Row(
            "If no look-up finds an address, the connect fails",
            [(0, .lookUps, []), (10, .found(.v6, []), []), (20, .found(.v4, []), [.failed])]),
        Row(
            "An IPv6 address that failed recently waits 50 ms for IPv4, and goes after it",
            [
                (0, .lookUps, []), (10, .found(.v6, ["6a"], recentlyFailed: 1), [.timer(60)]),
                (40, .found(.v4, ["4a"]), [.connect("4a"), .timer(290)]), (290, .timer, [.connect("6a")]),
            ]),
        Row(
            "An IPv6 address that failed recently starts after 50 ms if IPv4 stays silent",
            [
                (0, .lookUps, []), (10, .found(.v6, ["6a"], recentlyFailed: 1), [.timer(60)]),
                (60, .timer, [.connect("6a")]), (70, .found(.v4, ["4a"]), [.timer(310)]),
            ]),
        Row(
            "A late good address goes before addresses that failed recently",
            [
                (0, .lookUps, []),
                (0, .found(.v6, ["6a", "6b", "6c"], recentlyFailed: 2), [.connect("6a"), .timer(250)]),
                (100, .found(.v4, ["4a", "4b"]), []), (250, .timer, [.connect("4a"), .timer(500)]),
                (500, .timer, [.connect("4b"), .timer(750)]), (750, .timer, [.connect("6b"), .timer(1000)]),
            ]),
        Row(
            "A look-up's addresses of the wrong family are not tried",
            [
                (0, .lookUps, []), (0, .found(.v6, ["4a", "6a", "4b"]), [.connect("6a")]),
                (10, .found(.v4, ["6b"]), []), (20, .failed("6a"), [.failed]),
            ]),
        Row(
            "The second answer of a look-up is ignored",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a"]), [.connect("6a")]), (5, .found(.v6, ["6b"]), []),
                (6, .lookUpFailed(.v6), []), (10, .found(.v4, []), []), (20, .failed("6a"), [.failed]),
            ]),
    ]

    static let endRows: [Row] = [
        Row(
            "After the winner, late inputs are ignored",
            [
                (0, .lookUps, []), (0, .found(.v6, ["6a", "6b", "6c"]), [.connect("6a"), .timer(250)]),
                (250, .timer, [.connect("6b"), .timer(500)]),
                (260, .connected("6b"), [.close(["6a"]), .timerCancelled, .connected("6b")]),
                (261, .connected("6a"), []), (262, .failed("6a"), []), (263, .found(.v4, ["4a"]), []),
                (264, .timer, []), (265, .cancel, []), (266, .connected("6b"), []),
            ]),
        Row("A cancelled connect does not begin", [(0, .cancel, []), (1, .begin(["4a"]), []), (2, .lookUps, [])]),
        Row(
            "A cancel while the look-ups run ends the connect without an outcome",
            [(0, .lookUps, []), (1, .cancel, []), (2, .found(.v6, ["6a"]), []), (3, .lookUpFailed(.v4), [])]),
        Row(
            "A cancel during the resolution delay cancels the timer",
            [
                (0, .lookUps, []), (1, .found(.v4, ["4a"]), [.timer(51)]), (2, .cancel, [.timerCancelled]),
                (51, .timer, []),
            ]),
        Row(
            "A cancel closes every open attempt, the oldest first",
            [
                (0, .begin(["4a", "4b", "4c", "4d"]), [.connect("4a"), .timer(250)]),
                (250, .timer, [.connect("4b"), .timer(500)]), (300, .failed("4a"), [.connect("4c"), .timer(550)]),
                (301, .cancel, [.close(["4b", "4c"]), .timerCancelled]), (302, .connected("4b"), []),
            ]),
        Row(
            "Only the current timer starts an attempt",
            [
                (0, .begin(["4a", "4b", "4c"]), [.connect("4a"), .timer(250)]),
                (100, .failed("4a"), [.connect("4b"), .timer(350)]), (250, .earlierTimer(1), []),
                (350, .timer, [.connect("4c")]), (351, .timer, []),
            ]),
    ]

    @Test("Known addresses are tried in order, at exact instants", arguments: addressRows)
    func addresses(row: Row) { check(row) }

    @Test("Answers of look-ups, early and late, have their effects at exact instants", arguments: lookUpRows)
    func lookUps(row: Row) { check(row) }

    @Test("After its end, and after a cancel, the connect does nothing", arguments: endRows)
    func ends(row: Row) { check(row) }

    private func check(_ row: Row) {
        var harness = ConnectHarness(preferring: row.preferred)
        for (instant, event, expected) in row.steps {
            let effects = harness.perform(event, at: instant)
            #expect(effects == expected, "\(event) at \(instant) ms")
        }
    }

    @Test("An attempt says when it began")
    func instants() {
        var machine = ConnectStateMachine()
        let first = machine.begin(.addresses([.example(.v6, number: 1)]), now: MonotonicInstant(milliseconds: 7))
        #expect(first.connect?.began == MonotonicInstant(milliseconds: 7))
    }
}
