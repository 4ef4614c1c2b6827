import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The HTTP/1.1 connection's machine")
struct ConnectionMachineTests {
    /// What can happen to a connection, in the order given.
    enum Event: Hashable {
        case start, startClosing, wrote, received, requestFinished, responseEnded, unusable, close
        case head(success: Bool, bodyBegun: Bool)
    }

    @Test(
        "a sequence of events leaves the connection reusable or not",
        arguments: [
            ([.start, .wrote, .requestFinished, .received, .responseEnded], .reuse),
            ([.start, .wrote, .received, .responseEnded, .requestFinished], .reuse),
            ([.start, .wrote, .received, .responseEnded], .goOn),
            ([.start, .wrote, .requestFinished], .goOn),
            ([.startClosing, .wrote, .requestFinished, .received, .responseEnded], .close(.connectionCloseRequested)),
            ([.start, .wrote, .requestFinished, .received, .unusable, .responseEnded], .close(.leftoverBytes)),
            (
                [.start, .wrote, .received, .head(success: false, bodyBegun: true), .responseEnded],
                .close(.requestUnfinished)
            ),
            (
                [.start, .wrote, .received, .head(success: true, bodyBegun: false), .responseEnded],
                .close(.requestUnfinished)
            ),
            (
                [.start, .wrote, .received, .head(success: true, bodyBegun: true), .responseEnded, .requestFinished],
                .reuse
            ),
            ([.requestFinished], .goOn),
            ([.responseEnded], .goOn),
            ([.start, .close, .responseEnded], .goOn),
            ([.start, .close, .requestFinished], .goOn),
        ] as [([Event], HTTP1ConnectionStateMachine.Afterwards)]
    )
    func afterwards(events: [Event], expected: HTTP1ConnectionStateMachine.Afterwards) {
        var machine = HTTP1ConnectionStateMachine()
        var last = HTTP1ConnectionStateMachine.Afterwards.goOn
        for event in events { last = Self.apply(event, to: &machine) ?? last }
        #expect(last == expected)
        let result1 = machine.isIdle
        #expect(result1 == (expected == .reuse || !events.contains { $0 == .start || $0 == .startClosing }))
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
        let result2 = machine.close()?.rawValue
        #expect(result2 == expected)
        let result3 = machine.close()
        #expect(result3 == nil)
    }

    @Test("a connection that is busy or closed takes no request")
    func refusal() {
        var machine = HTTP1ConnectionStateMachine()
        let result4 = machine.start(unusable: nil)
        #expect(result4)
        let result5 = machine.start(unusable: nil)
        #expect(!result5)
        _ = machine.close()
        let result6 = machine.start(unusable: nil)
        #expect(!result6)
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
        case .head(let success, let begun): _ = machine.headReceived(isSuccess: success, hasBodyBegun: begun)
        }
        return nil
    }
}
