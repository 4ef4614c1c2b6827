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

    @Test("H2a streams above GOAWAY's last id are taken out, the others stay")
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

    @Test("Random events: what is open is what a set says")
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
                let (count, isEmpty) = (table.count, table.isEmpty)
                #expect(count == open.count && isEmpty == open.isEmpty, "seed \(seed)")
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
