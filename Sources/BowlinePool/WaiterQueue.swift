import DequeModule

/// Names a request that waits for the pool. Ascending in order of arrival.
struct WaiterID: Hashable, Comparable {
    let value: Int

    static func < (lhs: WaiterID, rhs: WaiterID) -> Bool {
        lhs.value < rhs.value
    }
}

/// A request in line for a connection.
struct Waiter {
    let id: WaiterID
    let affinity: Int?
    let requiresFresh: Bool
    let deadline: PoolInstant?
    let since: PoolInstant
}

/// Requests in line, first come first served.
///
/// Those that require a fresh connection stand in a line of their own, so that a returned connection finds its taker,
/// and a new one the first of all, without a search.
struct WaiterQueue {
    private var plain = WaiterLine()
    private var fresh = WaiterLine()

    var count: Int {
        plain.count + fresh.count
    }

    var isEmpty: Bool {
        count == 0
    }

    /// Whether the first in line requires a fresh connection.
    var startsWithFresh: Bool {
        guard let fresh = fresh.first else { return false }
        guard let plain = plain.first else { return true }
        return fresh.id < plain.id
    }

    var hasPlain: Bool {
        plain.count > 0
    }

    var first: Waiter? {
        startsWithFresh ? fresh.first : plain.first
    }

    mutating func insert(_ waiter: Waiter) {
        if waiter.requiresFresh {
            fresh.insert(waiter)
        } else {
            plain.insert(waiter)
        }
    }

    /// Removes the first of all.
    mutating func popFirst() -> Waiter? {
        startsWithFresh ? fresh.popFirst() : plain.popFirst()
    }

    /// Removes the first that takes a used connection.
    mutating func popFirstPlain() -> Waiter? {
        plain.popFirst()
    }

    mutating func remove(_ id: WaiterID) -> Waiter? {
        plain.remove(id) ?? fresh.remove(id)
    }

    /// Removes those whose deadline has come, in order of arrival.
    mutating func removeExpired(now: PoolInstant) -> [Waiter] {
        let expired = plain.removeExpired(now: now) + fresh.removeExpired(now: now)
        return expired.sorted { $0.id < $1.id }
    }

    mutating func removeAll() -> [Waiter] {
        let all = plain.removeAll() + fresh.removeAll()
        return all.sorted { $0.id < $1.id }
    }

    var earliestDeadline: PoolInstant? {
        [plain.earliestDeadline, fresh.earliestDeadline].compactMap { $0 }.min()
    }
}

/// One line of waiters, ascending by id.
///
/// Who leaves from the middle leaves a gap, found by binary search; gaps are closed when they outnumber the waiters.
/// So a storm of cancellations in a long line costs no quadratic time under the pool's lock.
private struct WaiterLine {
    private struct Place {
        let id: WaiterID
        var waiter: Waiter?
    }

    // Invariant: the first place is never a gap; ids ascend.
    private var places = Deque<Place>()
    private(set) var count = 0

    var first: Waiter? {
        places.first?.waiter
    }

    mutating func insert(_ waiter: Waiter) {
        var position = places.count
        // Ids are drawn before the lock is taken, so a neighbour may have overtaken this one by a little.
        while position > 0, places[position - 1].id > waiter.id {
            position -= 1
        }
        places.insert(Place(id: waiter.id, waiter: waiter), at: position)
        count += 1
    }

    mutating func popFirst() -> Waiter? {
        guard let waiter = places.popFirst()?.waiter else { return nil }
        count -= 1
        dropLeadingGaps()
        return waiter
    }

    mutating func remove(_ id: WaiterID) -> Waiter? {
        var low = 0
        var high = places.count
        while low < high {
            let middle = low + (high - low) / 2
            if places[middle].id < id {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < places.count, places[low].id == id, let waiter = places[low].waiter else { return nil }
        places[low].waiter = nil
        count -= 1
        dropLeadingGaps()
        if places.count > 2 * count + 16 {
            places.removeAll { $0.waiter == nil }
        }
        return waiter
    }

    mutating func removeExpired(now: PoolInstant) -> [Waiter] {
        var expired: [Waiter] = []
        places.removeAll { place in
            guard let waiter = place.waiter else { return true }
            guard let deadline = waiter.deadline, deadline <= now else { return false }
            expired.append(waiter)
            return true
        }
        count = places.count
        return expired
    }

    mutating func removeAll() -> [Waiter] {
        let all = places.compactMap(\.waiter)
        places.removeAll()
        count = 0
        return all
    }

    var earliestDeadline: PoolInstant? {
        var earliest: PoolInstant?
        for place in places {
            guard let deadline = place.waiter?.deadline else { continue }
            earliest = min(earliest ?? deadline, deadline)
        }
        return earliest
    }

    private mutating func dropLeadingGaps() {
        while let place = places.first, place.waiter == nil {
            places.removeFirst()
        }
    }
}
