import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("Whether the frame handler writes HEADERS at once")
struct HTTP2WriteGateTests {
    enum Event: Sendable, Equatable {
        case unwritable, writable, flushed
    }

    struct Row: Sendable {
        let before: [Event]
        let event: Event
        let isOpen: Bool
        var asksForFlush = false
    }

    /// The transition table: a way into each state, an event, and what it leads to.
    static let rows = [
        Row(before: [], event: .unwritable, isOpen: false),
        Row(before: [], event: .writable, isOpen: true),
        Row(before: [], event: .flushed, isOpen: true),
        Row(before: [.unwritable], event: .unwritable, isOpen: false),
        Row(before: [.unwritable], event: .writable, isOpen: false, asksForFlush: true),
        Row(before: [.unwritable], event: .flushed, isOpen: false),
        Row(before: [.unwritable, .writable], event: .unwritable, isOpen: false),
        Row(before: [.unwritable, .writable], event: .writable, isOpen: false),
        Row(before: [.unwritable, .writable], event: .flushed, isOpen: true),
        // Unwritable again before the flush: that flush has sent nothing.
        Row(before: [.unwritable, .writable, .unwritable], event: .flushed, isOpen: false),
        Row(before: [.unwritable, .writable, .unwritable], event: .writable, isOpen: false, asksForFlush: true),
    ]

    @Test("each event in each state", arguments: rows.indices)
    func transition(index: Int) {
        let row = Self.rows[index]
        var gate = HTTP2WriteGate()
        for event in row.before { _ = Self.apply(event, to: &gate) }
        let asks = Self.apply(row.event, to: &gate)
        #expect(gate.isOpen == row.isOpen)
        #expect(asks == row.asksForFlush)
    }

    @Test("it is blocked from the first event that says so until the channel is writable")
    func blocked() {
        var gate = HTTP2WriteGate()
        gate.becameUnwritable(now: MonotonicInstant(nanoseconds: 5))
        gate.becameUnwritable(now: MonotonicInstant(nanoseconds: 7))
        #expect(gate.blockedSince == MonotonicInstant(nanoseconds: 5))
        _ = gate.becameWritable()
        #expect(gate.blockedSince == nil)
    }

    private static func apply(_ event: Event, to gate: inout HTTP2WriteGate) -> Bool {
        switch event {
        case .unwritable: gate.becameUnwritable(now: MonotonicInstant(nanoseconds: 1))
        case .writable: return gate.becameWritable()
        case .flushed: gate.flushed()
        }
        return false
    }
}
