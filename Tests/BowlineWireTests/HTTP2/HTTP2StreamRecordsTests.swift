import Testing

@testable import BowlineTransport

/// The list of a connection's streams, beside a set and a few numbers.
@Suite struct HTTP2StreamRecordsTests {
    @Test("The first stream number is odd and at least 1", arguments: [(1, 1), (2, 3), (7, 7), (0, 1), (-4, 1)])
    func firstNumber(given: Int, first: Int) {
        var records = HTTP2StreamRecords(firstID: given, rememberedLimit: 4)
        let opened = records.open(endsStream: false, sendWindow: 1, receiveWindow: 2)
        #expect(opened == first)
        #expect(records.lastOpened == first)
        #expect(records.index(of: first) == 0)
        #expect(records[0].sendWindow.available == 1)
        #expect(records[0].receiveWindow.available == 2)
    }

    @Test("The settings change both windows of open streams, and no others")
    func windows() {
        var records = HTTP2StreamRecords(firstID: 1, rememberedLimit: 4)
        for _ in 0..<3 { _ = records.open(endsStream: false, sendWindow: 10, receiveWindow: 10) }
        records.reset(at: 0)
        // Its request goes on.
        records.remoteEnded(at: 2)
        let change = records.changeSendWindows(by: -15)
        #expect(change == .applied)
        records.resizeReceiveWindows(to: 30)
        #expect(records.indices.map { records[$0].sendWindow.available } == [10, -5, -5])
        #expect(records.indices.map { records[$0].receiveWindow.available } == [10, 30, 30])
        let overflow = records.changeSendWindows(by: .max)
        #expect(overflow == .overflow)
    }

    @Test("After random events the open streams and the places for resets match a small model")
    func walk() {
        let seed = UInt64.random(in: .min ... .max)
        print("HTTP2StreamRecordsTests seed of walk: \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<100 {
            var records = HTTP2StreamRecords(firstID: 1, rememberedLimit: 5)
            // What is open, what was reset and keeps a place, and what was reset and keeps none.
            var (open, uncovered, covered, remembered) = (Set<Int>(), Set<Int>(), Set<Int>(), Set<Int>())
            var next = 1
            for _ in 0..<200 {
                let drawn = Int.random(in: 0...(next / 2 + 1), using: &random) * 2 + 1
                let index = open.contains(drawn) ? records.index(of: drawn) : nil
                switch Int.random(in: 0..<12, using: &random) {
                case 0..<4:
                    let opened = records.open(endsStream: true, sendWindow: 0, receiveWindow: 0)
                    #expect(opened == next, "seed \(seed)")
                    open.insert(next)
                    next += 2
                case 4..<6:
                    guard let index else { continue }
                    records.remoteEnded(at: index)
                    open.remove(drawn)
                case 6..<8:
                    guard let index else { continue }
                    records.reset(at: index)
                    open.remove(drawn)
                    uncovered.insert(drawn)
                case 8:
                    guard let index else { continue }
                    records.peerReset(at: index)
                    open.remove(drawn)
                    remembered.insert(drawn)
                    Self.forgetOldest(of: &remembered)
                case 9:
                    records.pingSent()
                    covered.formUnion(uncovered)
                    uncovered = []
                case 10:
                    let freed = records.pingAnswered()
                    #expect(freed == covered.count, "seed \(seed)")
                    guard freed > 0 else { continue }
                    remembered.formUnion(covered)
                    covered = []
                    Self.forgetOldest(of: &remembered)
                default:
                    guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
                    records.refuse(above: drawn)
                    remembered.formUnion(open.filter { $0 > drawn })
                    open = open.filter { $0 <= drawn }
                }
                let known = open.union(uncovered).union(covered).union(remembered)
                #expect(records.indices.map { records[$0].id } == known.sorted(), "seed \(seed)")
                #expect(records.openCount == open.count, "seed \(seed)")
                #expect(records.resets == uncovered.count, "seed \(seed)")
                #expect(records.awaitedResets == covered.count, "seed \(seed)")
                #expect(records.occupied == open.count + uncovered.count + covered.count, "seed \(seed)")
                #expect(records.state(of: drawn).isOpen == open.contains(drawn), "seed \(seed)")
                #expect((records.state(of: drawn) == .idle) == (drawn >= next), "seed \(seed)")
            }
        }
    }

    /// The lowest numbers go first.
    private static func forgetOldest(of remembered: inout Set<Int>) {
        remembered = Set(remembered.sorted().suffix(5))
    }
}
