import Testing

@testable import BowlineTransport

@Suite("Whether an HTTP/2 connection opens streams, and how it ends")
struct HTTP2ConnectionMachineTests {
    enum Event: Sendable {
        case retire, refused, close, arrived, leasesEnd(Int), goAway(held: Bool), poolReleased
    }

    /// Whether it opens streams, is retired, is closed and closes when it is idle; and what the last event led to.
    struct Outcome: Equatable, Sendable {
        var opens = true
        var retired = false
        var closed = false
        var closesWhenIdle = false
        var last: Bool?
    }

    static let rows: [([Event], Outcome)] = [
        ([], Outcome()),
        // Retired, once.
        ([.retire], Outcome(opens: false, retired: true, last: true)),
        ([.retire, .retire], Outcome(opens: false, retired: true, last: false)),
        // The second refused stream ends the connection.
        ([.refused], Outcome(last: false)),
        ([.refused, .refused], Outcome(last: true)),
        // Closed, once; it retires no more.
        ([.close], Outcome(opens: false, closed: true, last: true)),
        ([.close, .close], Outcome(opens: false, closed: true, last: false)),
        ([.close, .retire], Outcome(opens: false, closed: true, last: false)),
        ([.retire, .close], Outcome(opens: false, closed: true, last: true)),
        // GOAWAY is due with the last lease.
        ([.goAway(held: false)], Outcome(last: false)),
        ([.leasesEnd(0), .goAway(held: false)], Outcome(opens: false, last: true)),
        ([.leasesEnd(2), .arrived, .goAway(held: false)], Outcome(last: false)),
        ([.leasesEnd(2), .arrived, .arrived, .goAway(held: false)], Outcome(opens: false, last: true)),
        ([.arrived, .arrived, .leasesEnd(2), .goAway(held: false)], Outcome(opens: false, last: true)),
        ([.leasesEnd(0), .goAway(held: true)], Outcome(last: false)),
        ([.leasesEnd(0), .goAway(held: true), .goAway(held: false)], Outcome(opens: false, last: true)),
        ([.leasesEnd(0), .goAway(held: false), .goAway(held: false)], Outcome(opens: false, last: false)),
        ([.retire, .leasesEnd(0), .goAway(held: false)], Outcome(opens: false, retired: true, last: true)),
        ([.leasesEnd(0), .close, .goAway(held: false)], Outcome(opens: false, closed: true, last: false)),
        // Without a pool.
        ([.poolReleased], Outcome(closesWhenIdle: true)),
        ([.retire, .poolReleased], Outcome(opens: false, retired: true, closesWhenIdle: true, last: true)),
        ([.poolReleased, .close], Outcome(opens: false, closed: true, last: true)),
    ]

    @Test("Each sequence of events leads where the table says", arguments: rows)
    func sequences(events: [Event], expected: Outcome) {
        var machine = HTTP2ConnectionStateMachine()
        var last: Bool?
        for event in events {
            switch event {
            case .retire: last = machine.retire()
            case .refused: last = machine.streamRefused()
            case .close: last = machine.close(.goAway)
            case .arrived: machine.leaseArrived()
            case .leasesEnd(let count): machine.limitLeases(to: count)
            case .goAway(let held): last = machine.takeGoAway(hasHeldRequests: held)
            case .poolReleased: machine.poolReleased()
            }
        }
        let outcome = Outcome(
            opens: machine.opensStreams, retired: machine.isRetired, closed: machine.isClosed,
            closesWhenIdle: machine.closesWhenIdle, last: last)
        #expect(outcome == expected, "\(events)")
    }

    @Test("the reason of the first close stays")
    func firstReason() {
        var machine = HTTP2ConnectionStateMachine()
        #expect(machine.closeReason == nil)
        _ = machine.close(.keepAliveFailed)
        _ = machine.close(.forced)
        #expect(machine.closeReason == .keepAliveFailed)
    }

    @Test("a GOAWAY that was sent stays sent when the connection closes")
    func goAwayOnce() {
        var machine = HTTP2ConnectionStateMachine()
        machine.limitLeases(to: 0)
        let before = machine.hasSentGoAway
        _ = machine.takeGoAway(hasHeldRequests: false)
        _ = machine.close(.shutdown)
        let after = machine.hasSentGoAway
        #expect([before, after] == [false, true])
    }

    @Test("Listeners learn of the end of the last request, once for each period with requests")
    func idle() {
        var machine = HTTP2ConnectionStateMachine()
        let atStart = machine.becameIdle()
        machine.requestBegan()
        machine.requestBegan()
        let first = machine.becameIdle()
        let again = machine.becameIdle()
        machine.requestBegan()
        let second = machine.becameIdle()
        #expect([atStart, first, again, second] == [false, true, false, true])
    }
}
