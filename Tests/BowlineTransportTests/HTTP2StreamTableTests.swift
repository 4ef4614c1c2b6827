import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("The streams of one HTTP/2 connection")
struct HTTP2StreamTableTests {
    @Test("Streams are numbered 1, 3, 5 … and found by their numbers")
    func numbers() {
        var table = HTTP2StreamTable<TestStream>()
        let opened = [table.open(TestStream.init), table.open(TestStream.init), table.open(TestStream.init)]
        #expect(opened.map { $0?.id } == [1, 3, 5])
        #expect(table[3]?.id == 3)
        #expect(table[2] == nil)
        #expect(table[7] == nil)
    }

    @Test("H2z after the last number no stream is opened")
    func exhaustion() {
        var table = HTTP2StreamTable<TestStream>(firstID: 0x7FFF_FFFD)
        let opened = [table.open(TestStream.init), table.open(TestStream.init), table.open(TestStream.init)]
        #expect(opened.map { $0?.id } == [0x7FFF_FFFD, 0x7FFF_FFFF, nil])
        #expect(table.isExhausted == true)
    }

    @Test("H2a streams above GOAWAY's last id are taken out, the others stay")
    func refused() {
        var table = HTTP2StreamTable<TestStream>()
        for _ in 0..<4 { _ = table.open(TestStream.init) }
        let refused = table.refuse(above: 3)
        #expect(refused.map(\.id) == [5, 7])
        #expect(refused.filter(\.isOpen).isEmpty)
        #expect(table.streams.map(\.id) == [1, 3])
        #expect(table.streams.filter(\.isOpen).count == 2)
        let none = table.refuse(above: 0x7FFF_FFFF)
        #expect(none.isEmpty)
    }

    @Test("A reset stream keeps its place until a PING that was sent after it is answered")
    func resets() {
        var table = HTTP2StreamTable<TestStream>()
        for _ in 0..<3 { _ = table.open(TestStream.init) }
        table.reset(1)
        table.pingSent()
        table.reset(3)
        #expect(table.occupied == 3)
        let first = table.pingAnswered()
        #expect(first == 1)
        #expect(table.occupied == 2)
        let unasked = table.pingAnswered()
        #expect(unasked == 0, "nothing was asked since")
        table.pingSent()
        let second = table.pingAnswered()
        #expect(second == 1)
        #expect(table.occupied == 1)
    }

    @Test("Random events: what is open, and what is kept for resets, is what a set and two counts say")
    func walk() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var table = HTTP2StreamTable<TestStream>()
            var (open, resets, awaited, next) = (Set<Int>(), 0, 0, 1)
            var all: [TestStream] = []
            for _ in 0..<200 {
                let someone = Int.random(in: 0...(next / 2 + 1), using: &random) * 2 + 1
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4:
                    let opened = table.open(TestStream.init)
                    #expect(opened?.id == next, "seed \(seed)")
                    all += opened.map { [$0] } ?? []
                    open.insert(next)
                    next += 2
                case 4..<6:
                    let wasOpen = table.close(someone)
                    #expect(wasOpen == (open.remove(someone) != nil), "seed \(seed)")
                case 6:
                    let wasOpen = table.reset(someone)
                    #expect(wasOpen == open.contains(someone), "seed \(seed)")
                    if open.remove(someone) != nil { resets += 1 }
                case 7:
                    table.pingSent()
                    (awaited, resets) = (awaited + resets, 0)
                case 8:
                    let freed = table.pingAnswered()
                    #expect(freed == awaited, "seed \(seed)")
                    awaited = 0
                default:
                    guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
                    let refused = table.refuse(above: someone)
                    #expect(refused.map(\.id) == open.filter { $0 > someone }.sorted(), "seed \(seed)")
                    open = open.filter { $0 <= someone }
                }
                #expect(table.streams.map(\.id) == open.sorted(), "seed \(seed)")
                #expect(all.allSatisfy { $0.isOpen == open.contains($0.id) }, "seed \(seed)")
                #expect(table.occupied == open.count + resets + awaited, "seed \(seed)")
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
