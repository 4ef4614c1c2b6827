import BowlineCore
import Testing

@testable import BowlineTesting

@Suite("Sleepers of virtual time")
struct SleeperHeapTests {
    private func instant(_ nanoseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(nanoseconds))
    }

    @Test("Sleepers wake in the order of their deadlines, and of their arrival if the deadlines are equal")
    func order() {
        var heap = SleeperHeap<String>()
        for (name, deadline) in [("c", 30), ("a", 10), ("d", 30), ("b", 20), ("e", 30)] {
            let ticket = heap.reserve()
            #expect(heap.insert(name, ticket, until: instant(deadline)) == true)
        }
        #expect(heap.earliest == instant(10))
        #expect(heap.removeDue(at: instant(9)) == [])
        #expect(heap.removeDue(at: instant(20)) == ["a", "b"])
        #expect(heap.earliest == instant(30))
        #expect(heap.removeDue(at: instant(1000)) == ["c", "d", "e"])
        #expect(heap.earliest == nil)
    }

    @Test("A withdrawn sleeper does not wake, and its ticket finds nothing later")
    func withdrawn() {
        var heap = SleeperHeap<String>()
        let first = heap.reserve()
        _ = heap.insert("first", first, until: instant(10))
        let second = heap.reserve()
        _ = heap.insert("second", second, until: instant(20))
        #expect(heap.withdraw(first) == "first")
        #expect(heap.withdraw(first) == nil)
        // The slot is used again, but the old ticket is not valid for it.
        let third = heap.reserve()
        _ = heap.insert("third", third, until: instant(15))
        #expect(heap.withdraw(first) == nil)
        #expect(heap.removeDue(at: instant(20)) == ["third", "second"])
        #expect(heap.withdraw(second) == nil)
    }

    @Test("A ticket that was withdrawn before its sleep cannot be used")
    func withdrawnBefore() {
        var heap = SleeperHeap<String>()
        let ticket = heap.reserve()
        #expect(heap.withdraw(ticket) == nil)
        #expect(heap.insert("late", ticket, until: instant(1)) == false)
        #expect(heap.removeDue(at: .distantFuture) == [])
    }

    @Test("A random walk of 20,000 steps agrees with a sorted list")
    func randomWalk() {
        var random = SeededRandom.fromEnvironment()
        var heap = SleeperHeap<Int>()
        var model: [(deadline: Int, number: Int, ticket: SleeperHeap<Int>.Ticket)] = []
        var now = 0
        for number in 0..<20_000 {
            switch random.next(in: 0..<4) {
            case 0, 1:
                let deadline = now + random.next(in: 1..<50)
                let ticket = heap.reserve()
                #expect(heap.insert(number, ticket, until: instant(deadline)) == true)
                let place = model.firstIndex { $0.deadline > deadline } ?? model.endIndex
                model.insert((deadline, number, ticket), at: place)
            case 2:
                guard !model.isEmpty else { continue }
                let chosen = model.remove(at: random.next(in: 0..<model.count))
                #expect(heap.withdraw(chosen.ticket) == chosen.number)
            default:
                now += random.next(in: 0..<10)
                let due = model.filter { $0.deadline <= now }
                model.removeAll { $0.deadline <= now }
                #expect(heap.removeDue(at: instant(now)) == due.map(\.number))
            }
            #expect(heap.count == model.count)
            #expect(heap.earliest == model.first.map { instant($0.deadline) })
        }
    }
}
