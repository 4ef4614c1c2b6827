internal import BowlineCore

/// The sleepers of virtual time, ordered by deadline. Sleepers with the same deadline are in the order of their arrival.
struct SleeperHeap<Sleeper: Sendable>: Sendable {
    /// Names one sleep, from before it begins until after it has ended.
    struct Ticket: Sendable, Hashable {
        fileprivate let slot: Int
        fileprivate let generation: Int
    }

    private struct Slot: Sendable {
        /// Raised each time the slot is freed, so that an old ticket finds nothing.
        var generation = 0
        /// The index in `nodes`; nil: the sleep has not begun.
        var position: Int?
        var sleeper: Sleeper?
    }

    private struct Node: Sendable {
        let deadline: MonotonicInstant
        let arrival: Int
        let slot: Int

        func precedes(_ other: Node) -> Bool {
            deadline == other.deadline ? arrival < other.arrival : deadline < other.deadline
        }
    }

    // Invariant: a binary heap, whose first node is the earliest. `slots[node.slot].position` is the node's index.
    private var nodes: [Node] = []
    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var arrivals = 0

    /// The number of sleepers.
    var count: Int { nodes.count }

    /// The earliest deadline.
    var earliest: MonotonicInstant? { nodes.first?.deadline }

    /// Returns a ticket for a sleep that may follow.
    mutating func reserve() -> Ticket {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = slots.count
            slots.append(Slot())
        }
        return Ticket(slot: slot, generation: slots[slot].generation)
    }

    /// Adds a sleeper.
    ///
    /// - Returns: false: the ticket was withdrawn before.
    mutating func insert(_ sleeper: Sleeper, _ ticket: Ticket, until deadline: MonotonicInstant) -> Bool {
        guard isValid(ticket), slots[ticket.slot].position == nil else { return false }
        slots[ticket.slot].sleeper = sleeper
        arrivals += 1
        nodes.append(Node(deadline: deadline, arrival: arrivals, slot: ticket.slot))
        slots[ticket.slot].position = nodes.count - 1
        rise(from: nodes.count - 1)
        return true
    }

    /// Withdraws a ticket, and removes its sleeper.
    ///
    /// - Returns: the sleeper; nil: the sleep has ended, or had not begun.
    mutating func withdraw(_ ticket: Ticket) -> Sleeper? {
        guard isValid(ticket) else { return nil }
        if let position = slots[ticket.slot].position { removeNode(at: position) }
        return free(ticket.slot)
    }

    /// Removes the sleepers whose deadline is `instant` or earlier, in order.
    mutating func removeDue(at instant: MonotonicInstant) -> [Sleeper] {
        var due: [Sleeper] = []
        while let first = nodes.first, first.deadline <= instant {
            removeNode(at: 0)
            if let sleeper = free(first.slot) { due.append(sleeper) }
        }
        return due
    }

    private func isValid(_ ticket: Ticket) -> Bool {
        slots.indices.contains(ticket.slot) && slots[ticket.slot].generation == ticket.generation
    }

    private mutating func free(_ slot: Int) -> Sleeper? {
        let sleeper = slots[slot].sleeper
        slots[slot] = Slot(generation: slots[slot].generation + 1)
        freeSlots.append(slot)
        return sleeper
    }

    private mutating func removeNode(at position: Int) {
        let last = nodes.removeLast()
        guard position < nodes.count else { return }
        place(last, at: position)
        rise(from: position)
        sink(from: position)
    }

    private mutating func rise(from position: Int) {
        var position = position
        while position > 0 {
            let parent = (position - 1) / 2
            guard nodes[position].precedes(nodes[parent]) else { return }
            swap(position, parent)
            position = parent
        }
    }

    private mutating func sink(from position: Int) {
        var position = position
        while true {
            var earliest = position
            for child in (2 * position + 1)...(2 * position + 2) where child < nodes.count {
                if nodes[child].precedes(nodes[earliest]) { earliest = child }
            }
            guard earliest != position else { return }
            swap(position, earliest)
            position = earliest
        }
    }

    private mutating func swap(_ left: Int, _ right: Int) {
        let node = nodes[left]
        place(nodes[right], at: left)
        place(node, at: right)
    }

    private mutating func place(_ node: Node, at position: Int) {
        nodes[position] = node
        slots[node.slot].position = position
    }
}
