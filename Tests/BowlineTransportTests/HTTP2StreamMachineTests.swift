import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("One exchange over HTTP/2")
struct HTTP2StreamMachineTests {
    enum Event: Sendable {
        case wrote, requestFinished, requestStopped
        case informational, head, headWithLength(Int64), headEnd, status(Int), trailers, section
        case data(Int)
        case end
    }

    enum Result: Equatable, Sendable {
        case fine(HTTP2StreamStateMachine.Afterwards, RequestProgress)
        case violation
        case limit
    }

    static let rows: [([Event], Result)] = [
        ([], .fine(.continues, .neverSent)),
        ([.wrote], .fine(.continues, .ambiguous)),
        ([.wrote, .requestFinished], .fine(.continues, .ambiguous)),
        ([.wrote, .informational], .fine(.continues, .responseStarted)),
        ([.wrote, .requestFinished, .head], .fine(.continues, .responseStarted)),
        ([.wrote, .requestFinished, .head, .data(3), .end], .fine(.close, .responseStarted)),
        ([.wrote, .requestFinished, .head, .data(3), .trailers, .end], .fine(.close, .responseStarted)),
        ([.wrote, .requestFinished, .informational, .informational, .headEnd], .fine(.close, .responseStarted)),
        ([.wrote, .head, .end], .fine(.continues, .responseStarted)),
        ([.wrote, .head, .end, .requestFinished], .fine(.close, .responseStarted)),
        ([.wrote, .head, .requestStopped, .end], .fine(.reset, .responseStarted)),
        ([.wrote, .headWithLength(3), .requestFinished, .data(1), .data(2), .end], .fine(.close, .responseStarted)),
        // Frames after the end do nothing.
        ([.wrote, .requestFinished, .headEnd, .head, .data(1), .end], .fine(.close, .responseStarted)),
        // H2i
        ([.wrote, .headWithLength(3), .data(2), .end], .violation),
        ([.wrote, .headWithLength(3), .data(4)], .violation),
        // H2r
        ([.wrote, .informational, .data(1)], .violation),
        ([.wrote, .informational, .informational, .informational], .limit),
        ([.wrote, .status(101)], .violation),
        ([.wrote, .end], .violation),
        // H2s
        ([.wrote, .head, .section], .violation),
        // A body where none is allowed.
        ([.wrote, .status(204), .data(1)], .violation),
        ([.wrote, .status(304), .data(0), .requestFinished, .end], .fine(.close, .responseStarted)),
    ]

    @Test("Each sequence of events leads where the table says", .tags(.H2i, .H2r, .H2s), arguments: rows)
    func sequences(events: [Event], expected: Result) {
        var machine = HTTP2StreamStateMachine(isHead: false, maximumInformational: 2)
        var result: Result?
        for event in events where result == nil { result = Self.apply(event, to: &machine) }
        #expect((result ?? .fine(machine.afterwards, machine.progress)) == expected, "\(events)")
    }

    @Test("a response to HEAD has a length and no body", .tags(.H2i))
    func head() {
        var machine = HTTP2StreamStateMachine(isHead: true, maximumInformational: 2)
        machine.wrote()
        machine.requestFinished()
        #expect(machine.receivedSection(status: 200, contentLength: 5000, isEnd: true) == .head(expected: nil))
        #expect(machine.ended() == nil)
        #expect(machine.afterwards == .close)
    }

    @Test("A response before the request's end stops the upload, unless it is a success that has begun", .tags(.H2v))
    func earlyAnswers() {
        for (status, hasBegun, decision) in [
            (200, true, UploadDecision.goesOn), (204, false, .stops), (404, true, .stops), (500, false, .stops),
        ] {
            var machine = HTTP2StreamStateMachine(isHead: false, maximumInformational: 2)
            #expect(machine.decideUpload(status: status, hasBodyBegun: hasBegun) == decision)
            #expect(machine.isRequestStopped == (decision == .stops))
        }
        var done = HTTP2StreamStateMachine(isHead: false, maximumInformational: 2)
        done.requestFinished()
        let decision = done.decideUpload(status: 404, hasBodyBegun: true)
        #expect(decision == .goesOn)
        #expect(done.isRequestStopped == false)
    }

    private static func apply(_ event: Event, to machine: inout HTTP2StreamStateMachine) -> Result? {
        func section(_ status: Int?, _ length: Int64? = nil, isEnd: Bool = false) -> Result? {
            switch machine.receivedSection(status: status, contentLength: length, isEnd: isEnd) {
            case .violation: .violation
            case .limit: .limit
            default: nil
            }
        }
        switch event {
        case .wrote: machine.wrote()
        case .requestFinished: machine.requestFinished()
        case .requestStopped: machine.requestStopped()
        case .informational: return section(103)
        case .head: return section(200)
        case .headWithLength(let length): return section(200, length)
        case .headEnd: return section(200, isEnd: true) ?? machine.ended().map { _ in .violation }
        case .status(let status): return section(status)
        case .trailers: return section(nil, isEnd: true)
        case .section: return section(nil)
        case .data(let count): return machine.receivedData(count).map { _ in .violation }
        case .end: return machine.ended().map { _ in .violation }
        }
        return nil
    }
}
