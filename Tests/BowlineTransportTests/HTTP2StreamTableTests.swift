import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("The streams of one HTTP/2 connection")
struct HTTP2StreamTableTests {
    @Test("Streams are found by their numbers")
    func numbers() {
        var table = HTTP2StreamTable<TestStream>()
        for id in [1, 3, 5] { table.opened(TestStream(id: id), as: id) }
        #expect(table.streams.map(\.id) == [1, 3, 5])
        #expect(table[3]?.id == 3)
        #expect(table[2] == nil)
        #expect(table[7] == nil)
    }

    @Test("Streams above GOAWAY's last id are removed, the others stay", .tags(.H2a))
    func refused() {
        var table = HTTP2StreamTable<TestStream>()
        for id in [1, 3, 5, 7] { table.opened(TestStream(id: id), as: id) }
        let refused = table.refuse(above: 3)
        #expect(refused.map(\.id) == [5, 7])
        #expect(refused.filter(\.isOpen).isEmpty)
        #expect(table.streams.map(\.id) == [1, 3])
        #expect(table.streams.filter(\.isOpen).count == 2)
        let none = table.refuse(above: 0x7FFF_FFFF)
        #expect(none.isEmpty)
    }

    @Test("Waiting streams are opened in order, without a stream that was taken back")
    func held() {
        var table = HTTP2StreamTable<TestStream>()
        let streams = (0..<3).map { _ in TestStream(id: 0) }
        for stream in streams { table.hold(stream) }
        #expect(table.isEmpty == false)
        #expect(table.streams.isEmpty)
        table.removeUnopened(streams[1])
        #expect(!streams[1].isOpen)
        #expect(table.held.map(ObjectIdentifier.init) == [0, 2].map { ObjectIdentifier(streams[$0]) })
        let first = table.popHeld()
        #expect(first === streams[0])
        #expect(first?.isOpen == true)
    }

    /// Puts an open stream and then a waiting stream into the table. Returns them in this order.
    private func fill(_ table: inout HTTP2StreamTable<TestStream>) -> (open: TestStream, waiting: TestStream) {
        let (open, waiting) = (TestStream(id: 0), TestStream(id: 0))
        table.hold(open)
        table.hold(waiting)
        _ = table.popHeld()
        table.opened(open, as: 1)
        return (open, waiting)
    }

    @Test("Removing the waiting streams closes them, and the open streams stay")
    func removedWaiting() {
        var table = HTTP2StreamTable<TestStream>()
        let streams = fill(&table)
        let removed = table.removeAllHeld()
        #expect(removed.count == 1)
        #expect(removed.first === streams.waiting)
        #expect(!streams.waiting.isOpen)
        #expect(table.isEmpty == false)
        #expect(streams.open.isOpen)
    }

    @Test("Removing the open streams closes them; without open and waiting streams the table is empty")
    func removedOpen() {
        var table = HTTP2StreamTable<TestStream>()
        let streams = fill(&table)
        _ = table.removeAllHeld()
        let removed = table.removeAllOpen()
        #expect(removed.count == 1)
        #expect(removed.first === streams.open)
        #expect(!streams.open.isOpen)
        let (isEmpty, none) = (table.isEmpty, table.popHeld())
        #expect(isEmpty)
        #expect(none == nil)
    }

    @Test("A stream that was taken for opening and cannot be opened is taken back")
    func takenBack() {
        var table = HTTP2StreamTable<TestStream>()
        let stream = TestStream(id: 0)
        table.hold(stream)
        _ = table.popHeld()
        table.removeUnopened(stream)
        #expect(!stream.isOpen)
        #expect(table.isEmpty == true)
    }

    @Test("The peer may know the streams that were open when the channel got the output, and no later stream")
    func written() {
        var table = HTTP2StreamTable<TestStream>()
        /// Which of these streams are written, and whether any was.
        func facts() -> ([Int], Bool) { ([1, 3, 5].filter { table.isWritten($0) }, table.hasWritten) }
        table.passedOutputToChannel()
        #expect(facts().1 == false, "there was no request in it")
        table.opened(TestStream(id: 1), as: 1)
        #expect(facts() == ([], false))
        table.passedOutputToChannel()
        #expect(facts().0.contains(1))
        #expect(facts().1 == true)
        table.opened(TestStream(id: 3), as: 3)
        table.opened(TestStream(id: 5), as: 5)
        #expect(facts() == ([1], true))
        _ = table.removeAllOpen()
        #expect(facts() == ([1], true), "the end of the connection changes nothing")
        table.passedOutputToChannel()
        #expect(facts() == ([1, 3, 5], true))
    }

    @Test("All open streams are visited once, beginning after a given number", arguments: [0, 3, 4, 7])
    func order(after id: Int) {
        var table = HTTP2StreamTable<TestStream>()
        for id in [1, 3, 5, 7] { table.opened(TestStream(id: id), as: id) }
        var visited: [Int] = []
        table.forEach(after: id) { visited.append($0.id) }
        #expect(visited == [1, 3, 5, 7].filter { $0 > id } + [1, 3, 5, 7].filter { $0 <= id })
    }

    @Test("After random events the open streams are those of a model set")
    func walk() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var table = HTTP2StreamTable<TestStream>()
            var (open, next) = (Set<Int>(), 1)
            var all: [TestStream] = []
            for _ in 0..<200 {
                let someone = Int.random(in: 0...(next / 2 + 1), using: &random) * 2 + 1
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    let stream = TestStream(id: next)
                    table.opened(stream, as: next)
                    all.append(stream)
                    open.insert(next)
                    next += 2
                case 5..<9:
                    let wasOpen = table.close(someone)
                    #expect(wasOpen == (open.remove(someone) != nil), "seed \(seed)")
                default:
                    guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
                    let refused = table.refuse(above: someone)
                    #expect(refused.map(\.id) == open.filter { $0 > someone }.sorted(), "seed \(seed)")
                    open = open.filter { $0 <= someone }
                }
                #expect(table.streams.map(\.id) == open.sorted(), "seed \(seed)")
                let isEmpty = table.isEmpty
                #expect(isEmpty == open.isEmpty, "seed \(seed)")
                #expect(all.allSatisfy { $0.isOpen == open.contains($0.id) }, "seed \(seed)")
                #expect((table[someone] != nil) == open.contains(someone), "seed \(seed)")
            }
        }
    }
}

private final class TestStream: HTTP2TableStream {
    let id: Int
    var isOpen = true

    init(id: Int) {
        self.id = id
    }
}
