import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The HTTP/1.1 connection's machine")
struct ConnectionMachineTests {
    /// What can happen to a connection, in the order given.
    enum Event: Hashable {
        case start, startClosing, wrote, received, requestFinished, responseEnded, unusable, close
        case head(Int, bodyBegun: Bool)
        case lastingHead(seconds: Int)
    }

    @Test(
        "a sequence of events leaves the connection reusable or not",
        arguments: [
            ([.start, .wrote, .requestFinished, .received, .responseEnded], .reuse(keepAlive: nil)),
            ([.start, .wrote, .received, .responseEnded, .requestFinished], .reuse(keepAlive: nil)),
            ([.start, .wrote, .received, .responseEnded], .continues),
            ([.start, .wrote, .requestFinished], .continues),
            ([.startClosing, .wrote, .requestFinished, .received, .responseEnded], .close(.connectionCloseRequested)),
            ([.start, .wrote, .requestFinished, .received, .unusable, .responseEnded], .close(.leftoverBytes)),
            ([.startClosing, .wrote, .received, .head(200, bodyBegun: true), .responseEnded], .continues),
            (
                [.startClosing, .wrote, .received, .head(200, bodyBegun: true), .responseEnded, .requestFinished],
                .close(.connectionCloseRequested)
            ),
            (
                [.startClosing, .wrote, .received, .head(413, bodyBegun: true), .responseEnded],
                .close(.connectionCloseRequested)
            ),
            (
                [.start, .wrote, .received, .head(413, bodyBegun: true), .responseEnded],
                .close(.requestUnfinished)
            ),
            (
                [.start, .wrote, .received, .head(200, bodyBegun: false), .responseEnded],
                .close(.requestUnfinished)
            ),
            (
                [.start, .wrote, .received, .head(200, bodyBegun: true), .responseEnded, .requestFinished],
                .reuse(keepAlive: nil)
            ),
            (
                [.start, .wrote, .requestFinished, .received, .lastingHead(seconds: 7), .responseEnded],
                .reuse(keepAlive: .seconds(7))
            ),
            ([.requestFinished], .continues),
            ([.responseEnded], .continues),
            ([.start, .close, .responseEnded], .continues),
            ([.start, .close, .requestFinished], .continues),
        ] as [([Event], HTTP1ConnectionStateMachine.Afterwards)]
    )
    func afterwards(events: [Event], expected: HTTP1ConnectionStateMachine.Afterwards) {
        var machine = HTTP1ConnectionStateMachine()
        var last = HTTP1ConnectionStateMachine.Afterwards.continues
        for event in events { last = Self.apply(event, to: &machine) ?? last }
        #expect(last == expected)
        let isIdle = machine.isIdle
        let isReused = if case .reuse = expected { true } else { false }
        #expect(isIdle == (isReused || !events.contains { $0 == .start || $0 == .startClosing }))
    }

    @Test(
        "progress says how far the request got",
        arguments: [
            ([.start], "neverSent"),
            ([.start, .wrote], "ambiguous"),
            ([.start, .wrote, .requestFinished], "ambiguous"),
            ([.start, .wrote, .received], "responseStarted"),
        ] as [([Event], String)]
    )
    func progress(events: [Event], expected: String) {
        var machine = HTTP1ConnectionStateMachine()
        for event in events { _ = Self.apply(event, to: &machine) }
        let firstClose = machine.close()?.rawValue
        #expect(firstClose == expected)
        let secondClose = machine.close()
        #expect(secondClose == nil)
    }

    @Test("a connection that is busy or closed takes no request")
    func refusal() {
        var machine = HTTP1ConnectionStateMachine()
        let startsWhileIdle = machine.start(unusable: nil)
        #expect(startsWhileIdle)
        let startsWhileBusy = machine.start(unusable: nil)
        #expect(!startsWhileBusy)
        _ = machine.close()
        let startsWhileClosed = machine.start(unusable: nil)
        #expect(!startsWhileClosed)
    }

    private static func apply(
        _ event: Event, to machine: inout HTTP1ConnectionStateMachine
    ) -> HTTP1ConnectionStateMachine.Afterwards? {
        switch event {
        case .start: _ = machine.start(unusable: nil)
        case .startClosing: _ = machine.start(unusable: .connectionCloseRequested)
        case .wrote: machine.wrote()
        case .received: machine.received()
        case .requestFinished: return machine.requestFinished()
        case .responseEnded: return machine.responseEnded()
        case .unusable: machine.becameUnusable(.leftoverBytes)
        case .close: _ = machine.close()
        case .head(let status, let begun):
            _ = machine.headReceived(Self.head(status), hasBodyBegun: begun)
        case .lastingHead(let seconds):
            _ = machine.headReceived(Self.head(200, keepAliveTimeout: seconds), hasBodyBegun: true)
        }
        return nil
    }

    private static func head(
        _ status: Int, isConnect: Bool = false, isUntilClose: Bool = false, keepAlive: Bool = true,
        keepAliveTimeout: Int? = nil
    ) -> HTTP1ConnectionStateMachine.Head {
        HTTP1ConnectionStateMachine.Head(
            status: status, isConnect: isConnect, isUntilClose: isUntilClose,
            persistence: HTTP1ResponseHead.Persistence(keepAlive: keepAlive, keepAliveTimeout: keepAliveTimeout))
    }

    struct HeadRow: Sendable {
        var head: HTTP1ConnectionStateMachine.Head
        var isRequestDone = true
        var decision = UploadDecision.goesOn
        var afterwards: HTTP1ConnectionStateMachine.Afterwards
    }

    static let headRows: [HeadRow] = [
        HeadRow(head: head(200), afterwards: .reuse(keepAlive: nil)),
        HeadRow(head: head(500, keepAliveTimeout: 5), afterwards: .reuse(keepAlive: .seconds(5))),
        HeadRow(head: head(200, keepAlive: false), afterwards: .close(.connectionCloseRequested)),
        HeadRow(head: head(200, isUntilClose: true, keepAlive: false), afterwards: .close(.eofDelimitedBody)),
        HeadRow(head: head(101), afterwards: .close(.upgraded)),
        HeadRow(head: head(200, isConnect: true), afterwards: .close(.upgraded)),
        HeadRow(head: head(403, isConnect: true), afterwards: .reuse(keepAlive: nil)),
        HeadRow(head: head(413), isRequestDone: false, decision: .stops, afterwards: .close(.requestUnfinished)),
        // The first reason is kept.
        HeadRow(
            head: head(413, keepAlive: false), isRequestDone: false, decision: .stops,
            afterwards: .close(.connectionCloseRequested)),
    ]

    @Test("A response head determines whether its connection is reused", arguments: headRows)
    func heads(row: HeadRow) {
        var machine = HTTP1ConnectionStateMachine()
        _ = machine.start(unusable: nil)
        machine.wrote()
        if row.isRequestDone { _ = machine.requestFinished() }
        machine.received()
        let decision = machine.headReceived(row.head, hasBodyBegun: true)
        let afterwards = machine.responseEnded()
        #expect(decision == row.decision)
        #expect(afterwards == row.afterwards)
    }

    @Test("A head on an idle connection changes nothing")
    func headWhileIdle() {
        var machine = HTTP1ConnectionStateMachine()
        let decision = machine.headReceived(Self.head(500, keepAlive: false), hasBodyBegun: true)
        #expect(decision == .goesOn)
        #expect(machine.progress == .neverSent)
    }
}
