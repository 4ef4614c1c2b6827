import Testing

@testable import BowlineTransport

/// The transition table of a stream, cell by cell: what a frame or a call does in each state.
@Suite struct HTTP2StreamStateTests {
    enum Input: CaseIterable {
        case headers, data, headersWithEnd, dataWithEnd, reset, windowUpdate, priority, goAwayBelow, violation
        case weEnd, weReset
    }

    enum Outcome: Equatable {
        /// The stream's state afterwards; the caller sees an event or not.
        case state(HTTP2StreamState, seen: SessionHarness.Seen?)
        case connection(HTTP2ErrorCode)
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let before: HTTP2StreamState
        let input: Input
        let outcome: Outcome

        init(_ before: HTTP2StreamState, _ input: Input, _ after: HTTP2StreamState, _ seen: SessionHarness.Seen? = nil)
        {
            self.before = before
            self.input = input
            outcome = .state(after, seen: seen)
        }

        init(_ before: HTTP2StreamState, _ input: Input, endsAll code: HTTP2ErrorCode) {
            self.before = before
            self.input = input
            outcome = .connection(code)
        }

        var testDescription: String { "\(before), \(input)" }
    }

    /// The stream under test.
    private static let stream = 3
    private static let head = SessionHarness.Seen.headers(stream, ["x: y"], ends: false)
    private static let lastHead = SessionHarness.Seen.headers(stream, ["x: y"], ends: true)
    private static let piece = SessionHarness.Seen.data(stream, "d", ends: false)
    private static let lastPiece = SessionHarness.Seen.data(stream, "d", ends: true)
    private static let wasReset = SessionHarness.Seen.reset(stream, .cancel)
    private static let opened = SessionHarness.Seen.windowOpened(stream)
    private static let goAway = SessionHarness.Seen.goAway(1, .noError)
    private static let late = SessionHarness.Seen.streamFailed(stream, .streamClosed)
    private static let failed = SessionHarness.Seen.streamFailed(stream, .protocolError)

    static let table: [Row] = [
        Row(.idle, .headers, endsAll: .protocolError),
        Row(.idle, .data, endsAll: .protocolError),
        Row(.idle, .headersWithEnd, endsAll: .protocolError),
        Row(.idle, .dataWithEnd, endsAll: .protocolError),
        Row(.idle, .reset, endsAll: .protocolError),
        Row(.idle, .windowUpdate, endsAll: .protocolError),
        Row(.idle, .priority, .idle),
        Row(.idle, .goAwayBelow, .idle, goAway),
        Row(.idle, .violation, endsAll: .protocolError),
        Row(.idle, .weEnd, .idle),
        Row(.idle, .weReset, .idle),

        Row(.open, .headers, .open, head),
        Row(.open, .data, .open, piece),
        Row(.open, .headersWithEnd, .halfClosedRemote, lastHead),
        Row(.open, .dataWithEnd, .halfClosedRemote, lastPiece),
        Row(.open, .reset, .reset, wasReset),
        Row(.open, .windowUpdate, .open, opened),
        Row(.open, .priority, .open),
        Row(.open, .goAwayBelow, .reset, goAway),
        Row(.open, .violation, .reset, failed),
        Row(.open, .weEnd, .halfClosedLocal),
        Row(.open, .weReset, .reset),

        Row(.halfClosedLocal, .headers, .halfClosedLocal, head),
        Row(.halfClosedLocal, .data, .halfClosedLocal, piece),
        Row(.halfClosedLocal, .headersWithEnd, .closed, lastHead),
        Row(.halfClosedLocal, .dataWithEnd, .closed, lastPiece),
        Row(.halfClosedLocal, .reset, .reset, wasReset),
        Row(.halfClosedLocal, .windowUpdate, .halfClosedLocal),
        Row(.halfClosedLocal, .priority, .halfClosedLocal),
        Row(.halfClosedLocal, .goAwayBelow, .reset, goAway),
        Row(.halfClosedLocal, .violation, .reset, failed),
        Row(.halfClosedLocal, .weEnd, .halfClosedLocal),
        Row(.halfClosedLocal, .weReset, .reset),

        Row(.halfClosedRemote, .headers, .resetEnded, late),
        Row(.halfClosedRemote, .data, .resetEnded, late),
        Row(.halfClosedRemote, .headersWithEnd, .resetEnded, late),
        Row(.halfClosedRemote, .dataWithEnd, .resetEnded, late),
        Row(.halfClosedRemote, .reset, .reset, wasReset),
        Row(.halfClosedRemote, .windowUpdate, .halfClosedRemote, opened),
        Row(.halfClosedRemote, .priority, .halfClosedRemote),
        Row(.halfClosedRemote, .goAwayBelow, .reset, goAway),
        Row(.halfClosedRemote, .violation, .resetEnded, failed),
        Row(.halfClosedRemote, .weEnd, .closed),
        Row(.halfClosedRemote, .weReset, .resetEnded),

        Row(.reset, .headers, .reset),
        Row(.reset, .data, .reset),
        Row(.reset, .headersWithEnd, .resetEnded),
        Row(.reset, .dataWithEnd, .resetEnded),
        Row(.reset, .reset, .reset),
        Row(.reset, .windowUpdate, .reset),
        Row(.reset, .priority, .reset),
        Row(.reset, .goAwayBelow, .reset, goAway),
        Row(.reset, .violation, .reset),
        Row(.reset, .weEnd, .reset),
        Row(.reset, .weReset, .reset),

        Row(.resetEnded, .headers, endsAll: .streamClosed),
        Row(.resetEnded, .data, endsAll: .streamClosed),
        Row(.resetEnded, .headersWithEnd, endsAll: .streamClosed),
        Row(.resetEnded, .dataWithEnd, endsAll: .streamClosed),
        Row(.resetEnded, .reset, .resetEnded),
        Row(.resetEnded, .windowUpdate, .resetEnded),
        Row(.resetEnded, .priority, .resetEnded),
        Row(.resetEnded, .goAwayBelow, .resetEnded, goAway),
        Row(.resetEnded, .violation, .resetEnded),
        Row(.resetEnded, .weEnd, .resetEnded),
        Row(.resetEnded, .weReset, .resetEnded),

        Row(.closed, .headers, endsAll: .streamClosed),
        Row(.closed, .data, endsAll: .streamClosed),
        Row(.closed, .headersWithEnd, endsAll: .streamClosed),
        Row(.closed, .dataWithEnd, endsAll: .streamClosed),
        Row(.closed, .reset, .closed),
        Row(.closed, .windowUpdate, .closed),
        Row(.closed, .priority, .closed),
        Row(.closed, .goAwayBelow, .closed, goAway),
        Row(.closed, .violation, .closed),
        Row(.closed, .weEnd, .closed),
        Row(.closed, .weReset, .closed),
    ]

    @Test("Each state and input have the result that the table says", arguments: table)
    func row(_ row: Row) throws {
        let harness = try Self.harness(in: row.before)
        #expect(harness.state(of: Self.stream) == row.before)
        let seen = try Self.perform(row.input, harness)
        let written = try harness.written()
        switch row.outcome {
        case .state(let after, let event):
            #expect(seen == (event.map { [$0] } ?? []))
            #expect(harness.state(of: Self.stream) == after)
            #expect(harness.isClosing == (row.input == .goAwayBelow))
            // RST_STREAM goes out where we reset, and where the peer broke a rule of the stream.
            let isOurs = row.input == .weReset && row.before.isOpen
            let failure = seen.contains(Self.late) || seen.contains(Self.failed)
            #expect(written.contains(where: \.isReset) == (isOurs || failure))
        case .connection(let code):
            #expect(seen == [.connectionFailed(code)])
            #expect(written == [.goAway(lastStream: 0, code: code)])
        }
        #expect(harness.openCount == (harness.isOpen(Self.stream) ? 1 : 0))
    }

    @Test("The table has one row for each state and input")
    func isComplete() {
        for before in HTTP2StreamState.allCases {
            for input in Input.allCases {
                #expect(Self.table.count { $0.before == before && $0.input == input } == 1, "\(before), \(input)")
            }
        }
    }

    /// The error is one of the stream (RFC 9113 §6.3), which is answered with RST_STREAM. That must not be sent for an idle
    /// stream (§6.4), so that the connection ends (§5.4.1), nor for a closed one (§5.1).
    @Test(
        "PRIORITY of a wrong length resets an open stream, and ends the connection on an idle one",
        arguments: [4, 6, 0])
    func priorityOfWrongLength(length: Int) throws {
        let frame = SessionHarness.frame(2, stream: Self.stream, [UInt8](repeating: 0, count: length))
        for state in HTTP2StreamState.allCases {
            let harness = try Self.harness(in: state)
            let seen = harness.receive(raw: frame)
            let written = try harness.written()
            switch state {
            case .idle:
                #expect(seen == [.connectionFailed(.frameSizeError)])
                #expect(harness.violation?.rule.description == "RFC 9113 §6.3")
                #expect(written == [.goAway(lastStream: 0, code: .frameSizeError)])
            case .open, .halfClosedLocal, .halfClosedRemote:
                #expect(seen == [.streamFailed(Self.stream, .frameSizeError)], "\(state)")
                #expect(written == [.reset(stream: Self.stream, code: .frameSizeError)], "\(state)")
            case .reset, .resetEnded, .closed:
                #expect(seen.isEmpty, "\(state)")
                #expect(written.isEmpty, "\(state)")
                #expect(harness.state(of: Self.stream) == state)
            }
            // What follows the frame is read: its payload is skipped.
            let next = harness.receive { $0.ping(7) }
            #expect(next == (state == .idle ? [] : [.ping]), "\(state)")
        }
    }

    @Test(
        "A stream with an even number is idle, whatever streams have been opened",
        arguments: [Input.headers, .data, .reset])
    func evenNumber(input: Input) throws {
        let harness = try SessionHarness.ready()
        for _ in 0..<5 { try harness.open() }
        #expect(try Self.perform(input, harness, stream: 4) == [.connectionFailed(.protocolError)])
    }

    /// Stream 1 has ended; stream 3 is in the state; no others are.
    private static func harness(in state: HTTP2StreamState) throws -> SessionHarness {
        let harness = try SessionHarness.ready()
        try harness.open()
        harness.receiveHead(on: 1, ends: true)
        switch state {
        case .idle: break
        case .open: try harness.open(ends: false)
        case .halfClosedLocal: try harness.open(ends: true)
        case .halfClosedRemote:
            try harness.open(ends: false)
            harness.receiveHead(on: stream, ends: true)
        case .reset:
            try harness.open(ends: false)
            harness.reset(stream)
        case .resetEnded:
            try harness.open(ends: false)
            harness.receiveHead(on: stream, ends: true)
            harness.reset(stream)
        case .closed:
            try harness.open(ends: true)
            harness.receiveHead(on: stream, ends: true)
        }
        _ = try harness.written()
        return harness
    }

    private static func perform(
        _ input: Input, _ harness: SessionHarness, stream: Int = HTTP2StreamStateTests.stream
    ) throws -> [SessionHarness.Seen] {
        switch input {
        case .headers: return harness.receiveHead(["x: y"], on: stream)
        case .headersWithEnd: return harness.receiveHead(["x: y"], on: stream, ends: true)
        case .data: return harness.receiveData(1, on: stream)
        case .dataWithEnd: return harness.receiveData(1, on: stream, ends: true)
        case .reset: return harness.receive { $0.reset(stream: stream, code: .cancel) }
        case .windowUpdate: return harness.receive { $0.windowUpdate(stream: stream, increment: 1) }
        case .priority: return harness.receive(raw: SessionHarness.frame(2, stream: stream, [0, 0, 0, 0, 1]))
        case .goAwayBelow: return harness.receive { $0.goAway(lastStream: 1, code: .noError) }
        case .violation: return harness.receive(raw: SessionHarness.frame(8, stream: stream, [0, 0, 0, 0]))
        case .weEnd: harness.send(0, ends: true, on: stream)
        case .weReset: harness.reset(stream)
        }
        return []
    }
}

extension HTTP2ReceivedFrame {
    var isReset: Bool {
        if case .reset = self { true } else { false }
    }
}
