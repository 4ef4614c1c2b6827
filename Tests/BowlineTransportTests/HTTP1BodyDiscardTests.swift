import Testing

@testable import BowlineTransport

@Suite("The decision to read the rest of an unwanted body")
struct HTTP1BodyDiscardTests {
    struct Row: Sendable {
        var framing: HTTP1BodyFraming
        var received = 0
        var isDelivered = true
        var isRequestDone = true
        var decision: HTTP1BodyDiscard.Decision
    }

    /// The limit is 100 bytes.
    static let rows: [Row] = [
        Row(framing: .length(100), decision: .discards),
        Row(framing: .length(101), decision: .closes),
        Row(framing: .length(150), received: 50, decision: .discards),
        Row(framing: .length(150), received: 49, decision: .closes),
        Row(framing: .chunked, received: 5000, decision: .discards),
        Row(framing: .untilClose, decision: .closes),
        Row(framing: .length(10), isDelivered: false, decision: .closes),
        Row(framing: .length(10), isRequestDone: false, decision: .closes),
        Row(framing: .chunked, isRequestDone: false, decision: .closes),
    ]

    @Test("Each case is decided as the table says", arguments: rows)
    func decision(row: Row) {
        var discard = HTTP1BodyDiscard()
        discard.headReceived(row.framing)
        _ = discard.received(row.received)
        let decision = discard.abandoned(isDelivered: row.isDelivered, isRequestDone: row.isRequestDone, limit: 100)
        #expect(decision == row.decision)
        #expect(discard.isOn == (row.decision == .discards))
    }

    @Test("A body that is abandoned twice closes its connection")
    func twice() {
        var discard = HTTP1BodyDiscard()
        discard.headReceived(.chunked)
        _ = discard.abandoned(isDelivered: true, isRequestDone: true, limit: 100)
        let again = discard.abandoned(isDelivered: true, isRequestDone: true, limit: 100)
        #expect(again == .closes)
    }

    @Test("Bytes are wanted until the body is abandoned, and then counted against the limit")
    func bytes() {
        var discard = HTTP1BodyDiscard()
        discard.headReceived(.chunked)
        let wanted = discard.received(1000)
        _ = discard.abandoned(isDelivered: true, isRequestDone: true, limit: 100)
        let few = discard.received(60)
        let all = discard.received(40)
        let more = discard.received(1)
        #expect(wanted == .wanted)
        #expect(few == .discarded)
        #expect(all == .discarded)
        #expect(more == .tooMany)
    }
}
