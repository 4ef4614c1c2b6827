internal import BowlineCore

/// The instants at which waiters have to be checked, the earliest first. A binary heap.
///
/// A waiter that leaves the queue leaves its entry behind. The queue drops such an entry when the entry comes to the
/// front, and drops all of them when they outnumber the waiters. So neither a leaving waiter nor the timer has to
/// search the queue.
struct WaiterAlarms {
    struct Alarm: Comparable {
        let at: MonotonicInstant
        let waiter: WaiterID

        static func < (lhs: Alarm, rhs: Alarm) -> Bool {
            lhs.at == rhs.at ? lhs.waiter < rhs.waiter : lhs.at < rhs.at
        }
    }

    // Invariant: no entry is earlier than its parent, at half its index.
    private var heap: [Alarm] = []

    var count: Int { heap.count }
    var first: Alarm? { heap.first }

    mutating func add(_ alarm: Alarm) {
        heap.append(alarm)
        var index = heap.count - 1
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    @discardableResult
    mutating func popFirst() -> Alarm? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var index = 0
        while true {
            let children = (2 * index + 1)..<min(2 * index + 3, max(heap.count, 2 * index + 1))
            guard let least = children.min(by: { heap[$0] < heap[$1] }), heap[least] < heap[index] else { return first }
            heap.swapAt(index, least)
            index = least
        }
    }

    /// Returns the alarms of the waiters for which `isWanted` returns true.
    func filter(_ isWanted: (WaiterID) -> Bool) -> WaiterAlarms {
        var kept = WaiterAlarms()
        // A sorted array is a heap.
        kept.heap = heap.filter { isWanted($0.waiter) }.sorted()
        return kept
    }
}
