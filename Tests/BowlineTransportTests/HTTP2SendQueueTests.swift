import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The unwritten part of a request's body")
struct HTTP2SendQueueTests {
    @Test("Random chunks and random takes: the bytes come out in order, and the counts are right")
    func walk() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<50 {
            var queue = HTTP2SendQueue()
            var (given, taken) = ([UInt8](), [UInt8]())
            for _ in 0..<100 {
                if Bool.random(using: &random) {
                    let count = [0, 1, 10, 1000, 5000].randomElement(using: &random) ?? 0
                    let chunk = (0..<count).map { UInt8(truncatingIfNeeded: given.count + $0) }
                    given += chunk
                    queue.append(ByteBuffer(bytes: chunk))
                } else if queue.byteCount > 0 {
                    let wanted = Int.random(in: 1...queue.byteCount, using: &random)
                    let piece = queue.take(wanted)
                    #expect(piece.readableBytes > 0, "seed \(seed)")
                    #expect(piece.readableBytes <= wanted, "seed \(seed)")
                    taken += Array(piece.readableBytesView)
                }
                #expect(queue.byteCount == given.count - taken.count, "seed \(seed)")
                #expect(queue.isDue == (queue.byteCount > 0), "seed \(seed)")
            }
            while queue.byteCount > 0 { taken += Array(queue.take(queue.byteCount).readableBytesView) }
            #expect(given == taken, "seed \(seed)")
        }
    }

    @Test("The queue is due while bytes or an end wait, and not after they are dropped")
    func due() throws {
        var queue = HTTP2SendQueue()
        #expect(!queue.isDue)
        #expect(queue.cost == 0)
        queue.ending = .withBody
        #expect(queue.isDue)
        queue.ending = .written
        #expect(!queue.isDue)
        queue.append(ByteBuffer(string: "abc"))
        #expect(queue.isDue)
        #expect(queue.byteCount == 3)
        queue.ending = .withTrailers(try CheckedTrailers([:]))
        queue.drop()
        #expect(!queue.isDue)
        #expect(queue.byteCount == 0)
    }

    /// A piece of a body as text: its size, and how the stream ends with it or behind it.
    private func describe(_ piece: HTTP2SendQueue.Piece?) -> String {
        guard let piece else { return "nothing" }
        return
            "\(piece.bytes.readableBytes)\(piece.endsStream ? " end" : "")\(piece.trailers == nil ? "" : " trailers")"
    }

    /// The waiting bytes, the ending, the limit, and the piece that is written.
    @Test(
        "The next piece follows the queued bytes, the ending and the limit",
        arguments: [
            (5, "open", 3, "3"), (5, "open", 5, "5"), (5, "open", 9, "5"), (5, "open", 0, "nothing"),
            (0, "open", 9, "nothing"),
            (5, "body", 3, "3"), (5, "body", 5, "5 end"), (5, "body", 0, "nothing"), (0, "body", 0, "0 end"),
            (5, "trailers", 4, "4"), (5, "trailers", 9, "5 trailers"), (0, "trailers", 0, "0 trailers"),
            (5, "written", 9, "5"), (0, "written", 9, "nothing"),
        ])
    func pieces(waiting: Int, ending: String, limit: Int, expected: String) throws {
        var queue = HTTP2SendQueue()
        queue.append(ByteBuffer(repeating: 1, count: waiting))
        queue.ending =
            switch ending {
            case "body": .withBody
            case "trailers": .withTrailers(try CheckedTrailers([:]))
            case "written": .written
            default: .open
            }
        let piece = describe(queue.next(upTo: limit))
        #expect(piece == expected)
        let again = describe(queue.next(upTo: 0))
        #expect(again == "nothing" || expected == "nothing", "the end is written once")
    }

    /// A queue of a hundred bytes, of which the channel has sixty.
    private func partlyWritten() -> HTTP2SendQueue {
        var queue = HTTP2SendQueue()
        queue.append(ByteBuffer(repeating: 1, count: 100))
        _ = queue.next(upTo: 60)
        return queue
    }

    @Test("Bytes in the channel count as unsent until the kernel has accepted them")
    func unsent() {
        var queue = partlyWritten()
        #expect(queue.bytesInChannel == 60)
        #expect(queue.byteCount == 40)
        #expect(queue.cost == 40)
        #expect(queue.unsentCost == 100)
        queue.sent(50)
        #expect(queue.bytesInChannel == 10)
        #expect(queue.unsentCost == 50)
    }

    @Test("Bytes that the kernel has accepted count as progress until the progress is forgotten")
    func progress() {
        var queue = partlyWritten()
        #expect(!queue.hasProgress)
        #expect(queue.sentBytes == 0)
        queue.sent(50)
        #expect(queue.hasProgress)
        #expect(queue.sentBytes == 50)
        queue.forgetProgress()
        #expect(!queue.hasProgress)
        #expect(queue.sentBytes == 50)
    }
}

@Suite("Written bytes that the kernel has not accepted")
struct HTTP2SentMarksTests {
    private final class Body {}

    private func describe(_ mark: HTTP2SentMarks<Body>.Mark?, _ bodies: [Body]) -> String {
        switch mark {
        case .body(let body, let count, let isLast):
            "\(bodies.firstIndex { $0 === body } ?? -1): \(count)\(isLast ? " last" : "")"
        case .ping(let number): "ping \(number)"
        case nil: "none"
        }
    }

    @Test("Taking a flush takes all earlier flushes; pieces of one body in a flush are one mark")
    func flushes() {
        let bodies = [Body(), Body()]
        var marks = HTTP2SentMarks<Body>()
        #expect(marks.isEmpty)
        let nothing = marks.flush()
        #expect(nothing == nil)
        marks.add(.body(bodies[0], count: 5, isLast: false))
        marks.add(.body(bodies[0], count: 6, isLast: true))
        marks.add(.body(bodies[1], count: 7, isLast: false))
        #expect(!marks.awaitsKernel)
        let first = marks.flush()
        #expect(marks.awaitsKernel)
        // The same body as the last, in the next flush: a mark of its own.
        marks.add(.body(bodies[1], count: 8, isLast: false))
        marks.add(.ping(3))
        let second = marks.flush()
        let unflushed = marks.flush()
        #expect(unflushed == nil)
        marks.add(.ping(4))
        var seen: [String] = []
        while let mark = marks.next(upTo: first ?? 0) { seen.append(describe(mark, bodies)) }
        #expect(seen == ["0: 11 last", "1: 7"])
        seen = []
        while let mark = marks.next(upTo: second ?? 0) { seen.append(describe(mark, bodies)) }
        #expect(seen == ["1: 8", "ping 3"])
        #expect(!marks.isEmpty)
        #expect(!marks.awaitsKernel)
        marks.removeAll()
        let gone = marks.next(upTo: 100)
        #expect(describe(gone, bodies) == "none")
        marks.add(.ping(5))
        let later = marks.flush()
        let last = marks.next(upTo: later ?? 0)
        #expect(describe(last, bodies) == "ping 5")
    }
}
