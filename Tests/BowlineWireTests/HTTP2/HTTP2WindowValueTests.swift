import Testing

@testable import BowlineTransport

/// The windows of both directions, as values.
@Suite struct HTTP2WindowValueTests {
    @Test("A receive window returns consumed bytes when they are half of the window, and not before")
    func halves() {
        var window = HTTP2ReceiveWindow(size: 1_000)
        let arrival = window.received(800)
        #expect(arrival == .counted)
        window.consumed(499)
        let early = window.takeIncrement()
        #expect(early == 0)
        window.consumed(1)
        let due = window.takeIncrement()
        #expect(due == 500)
        #expect(window.available == 700)
        #expect(window.held == 300)
        let again = window.takeIncrement()
        #expect(again == 0)
    }

    @Test("Bytes beyond a receive window are not counted; frames without bytes fit any window")
    func beyond() {
        var window = HTTP2ReceiveWindow(size: 10)
        let tooLarge = window.received(11)
        #expect(tooLarge == .beyondWindow)
        #expect(window.available == 10)
        let exactlyTheWindow = window.received(10)
        #expect(exactlyTheWindow == .counted)
        let oneByteMore = window.received(1)
        #expect(oneByteMore == .beyondWindow)
        let empty = window.received(0)
        #expect(empty == .counted)
    }

    @Test("A reader that reports more bytes than it held returns the bytes it held", arguments: [8, 9, Int.max])
    func tooMuchConsumed(count: Int) {
        var window = HTTP2ReceiveWindow(size: 10)
        _ = window.received(8)
        window.consumed(count)
        let increment = window.takeIncrement()
        #expect(increment == 8)
        #expect(window.available == 10)
        window.consumed(-1)
        #expect(window.owed == 0)
    }

    @Test("A smaller receive window may be negative until the owed bytes are returned")
    func shrunk() {
        var window = HTTP2ReceiveWindow(size: 1_000)
        _ = window.received(400)
        window.consumed(400)
        window.resize(to: 100)
        #expect(window.available == -300)
        let oneByte = window.received(1)
        #expect(oneByte == .beyondWindow)
        let empty = window.received(0)
        #expect(empty == .counted)
        let increment = window.takeIncrement()
        #expect(increment == 400)
        #expect(window.available == 100)
    }

    @Test("Bytes returned within a frame are available only after the frame's end")
    func withinFrame() {
        var window = HTTP2ReceiveWindow(size: 100)
        _ = window.received(80)
        window.consumed(60)
        let increment = window.takeIncrement(isWithinFrame: true)
        #expect(increment == 60)
        #expect(window.available == 20)
        #expect(window.held == 20)
        let beyond = window.received(21)
        #expect(beyond == .beyondWindow)
        window.frameEnded()
        window.frameEnded()
        #expect(window.available == 80)
        #expect(window.held == 20)
    }

    @Test("A receive window of one byte is returned byte by byte")
    func tiny() {
        var window = HTTP2ReceiveWindow(size: 1)
        let unused = window.takeIncrement()
        #expect(unused == 0)
        _ = window.received(1)
        window.consumed(1)
        let increment = window.takeIncrement()
        #expect(increment == 1)
    }

    @Test("A send window grows to 2³¹ − 1 and no further")
    func overflow() {
        var window = HTTP2SendWindow(1)
        let toTheMaximum = window.change(by: 0x7FFF_FFFE)
        #expect(toTheMaximum == .applied)
        #expect(window.available == 0x7FFF_FFFF)
        let beyondTheMaximum = window.change(by: 1)
        #expect(beyondTheMaximum == .overflow)
        #expect(window.available == 0x7FFF_FFFF)
        window.sent(1)
        let backToTheMaximum = window.change(by: 1)
        #expect(backToTheMaximum == .applied)
        let largestChange = window.change(by: .max)
        #expect(largestChange == .overflow)
    }

    @Test("A lowered setting takes a send window below zero")
    func negative() {
        var window = HTTP2SendWindow(100)
        window.sent(80)
        let lowered = window.change(by: -100)
        #expect(lowered == .applied)
        #expect(window.available == -80)
        let raised = window.change(by: 81)
        #expect(raised == .applied)
        #expect(window.available == 1)
    }
}
