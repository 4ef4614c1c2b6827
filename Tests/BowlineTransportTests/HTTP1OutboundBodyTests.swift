import Testing

@testable import BowlineTransport

@Suite("The body of an HTTP/1.1 request that is being written")
struct HTTP1OutboundBodyTests {
    typealias Body = HTTP1OutboundBody<String>

    @Test("A waiting writer resumes once")
    func resumed() {
        var body = Body()
        #expect(!body.hasWriter)
        body.storeWriter("writer")
        #expect(body.hasWriter)
        let first = body.resumed()
        let second = body.resumed()
        #expect(first == "writer")
        #expect(second == nil)
        #expect(!body.isStopped)
    }

    @Test("Stopping a body releases its waiting writer once")
    func stopped() {
        var body = Body()
        body.storeWriter("writer")
        let first = body.stop()
        let second = body.stop()
        #expect(first == "writer")
        #expect(second == nil)
        #expect(body.isStopped)
    }

    @Test("The kernel must accept every 256th small write before the next; large writes are not counted")
    func confirmations() {
        var body = Body()
        var needed: [Int] = []
        for index in 1...600 {
            if body.beginWrite(Body.smallWrite) == .needed { needed.append(index) }
            if body.beginWrite(Body.smallWrite + 1) == .needed { needed.append(-index) }
        }
        #expect(needed == [256, 512])
    }

    @Test(
        "The kernel has accepted bytes if fewer bytes wait than before",
        arguments: [(10, 9, true), (10, 10, false), (10, 11, false), (0, 0, false)])
    func moved(before: Int, now: Int, expected: Bool) {
        var body = Body()
        body.mark(unsent: before)
        let moved = body.observed(unsent: now)
        let again = body.observed(unsent: now)
        #expect(moved == expected)
        #expect(!again)
    }

    @Test("Each byte of the body is reported once")
    func reports() {
        var body = Body()
        let none = body.report()
        body.passedToChannel(5)
        let first = body.report()
        let again = body.report()
        body.passedToChannel(7)
        let sum = body.report()
        #expect(none == nil)
        #expect(first == 5)
        #expect(again == nil)
        #expect(sum == 12)
    }
}
