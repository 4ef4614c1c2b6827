internal import BowlineCore
internal import DequeModule

/// Names a waiter. Ids ascend in order of arrival.
struct WaiterID: Hashable, Comparable {
    let value: Int

    static func < (lhs: WaiterID, rhs: WaiterID) -> Bool {
        lhs.value < rhs.value
    }
}

/// A request that waits for a connection.
struct Waiter {
    let id: WaiterID
    let affinity: Int?
    let requiresFresh: Bool
    /// When the request must be over. `nil`: no deadline.
    let deadline: MonotonicInstant?
    /// When the request stops waiting, unless a dial is under way for it. `nil`: no limit.
    let limit: MonotonicInstant?
    let since: MonotonicInstant
    /// How many rounds of dials had failed when the request came; see `DialRounds`.
    let failedRounds: Int
    /// How many dials had been started when the request came.
    let dialsBefore: Int
}

/// The waiters of a pool, in the order of their arrival.
///
/// Waiters that require a fresh connection are in a line of their own. So the pool finds the waiter for a released
/// connection, or for a new one, without a search.
struct WaiterQueue {
    private var plain = WaiterLine()
    private var fresh = WaiterLine()
    // One entry for each waiter that has a deadline or a limit, and some for waiters that have left.
    private var alarms = WaiterAlarms()
    // Waiters whose limit has passed, and some that have left.
    private var overdue: [WaiterID] = []

    var count: Int {
        plain.count + fresh.count
    }

    var isEmpty: Bool {
        count == 0
    }

    /// Whether the first waiter requires a fresh connection.
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
        setAlarm([waiter.deadline, waiter.limit].compactMap { $0 }.min(), for: waiter.id)
        if alarms.count > 2 * count + 16 {
            alarms = alarms.filter { find($0) != nil }
        }
    }

    /// Removes and returns the first waiter.
    mutating func popFirst() -> Waiter? {
        startsWithFresh ? fresh.popFirst() : plain.popFirst()
    }

    /// Removes and returns the first waiter that accepts a used connection.
    mutating func popFirstPlain() -> Waiter? {
        plain.popFirst()
    }

    mutating func remove(_ id: WaiterID) -> Waiter? {
        plain.remove(id) ?? fresh.remove(id)
    }

    /// Removes and returns the waiters whose deadline has passed, in order of arrival. Marks the waiters whose limit
    /// has passed as overdue.
    mutating func removeExpired(now: MonotonicInstant) -> [Waiter] {
        var expired: [Waiter] = []
        while let alarm = alarms.first, alarm.at <= now {
            alarms.popFirst()
            guard let waiter = find(alarm.waiter) else { continue }
            if let deadline = waiter.deadline, deadline <= now {
                expired += [remove(waiter.id)].compactMap { $0 }
            } else {
                overdue.append(waiter.id)
                setAlarm(waiter.deadline, for: waiter.id)
            }
        }
        if overdue.count > 2 * count + 16 {
            overdue = overdue.filter { find($0) != nil }
        }
        return expired.sorted { $0.id < $1.id }
    }

    /// Marks the waiters whose limit has passed as overdue, before the timer does.
    mutating func markOverdue(now: MonotonicInstant) {
        var kept: [WaiterAlarms.Alarm] = []
        while let alarm = alarms.first, alarm.at <= now {
            alarms.popFirst()
            guard let waiter = find(alarm.waiter) else { continue }
            if let limit = waiter.limit, limit <= now { overdue.append(waiter.id) }
            if let deadline = waiter.deadline {
                kept.append(.init(at: max(deadline, alarm.at), waiter: waiter.id))
            }
        }
        // The timer still has to remove the waiters whose deadline has passed.
        for alarm in kept { alarms.add(alarm) }
    }

    /// Whether the limit of a waiter may have passed.
    var hasOverdue: Bool { !overdue.isEmpty }

    /// Removes and returns the overdue waiters behind the first `covered` waiters, in order of arrival.
    ///
    /// - Parameter dial: Only the waiters that came before this dial was started.
    mutating func removeOverdue(behind covered: Int, withDialsBefore dial: Int = .max) -> [Waiter] {
        guard !overdue.isEmpty, covered < count else { return [] }
        overdue = overdue.filter { find($0) != nil }
        guard !overdue.isEmpty, let first = id(behind: covered) else { return [] }
        let late = overdue.filter { id in id >= first && find(id).map { $0.dialsBefore < dial } ?? false }.sorted()
        let removed = Set(late)
        overdue.removeAll { removed.contains($0) }
        return late.compactMap { remove($0) }
    }

    mutating func removeAll() -> [Waiter] {
        let all = plain.removeAll() + fresh.removeAll()
        alarms = WaiterAlarms()
        overdue = []
        return all.sorted { $0.id < $1.id }
    }

    /// The next instant at which a deadline or a limit passes.
    mutating func nextAlarm() -> MonotonicInstant? {
        while let alarm = alarms.first {
            if find(alarm.waiter) != nil { return alarm.at }
            alarms.popFirst()
        }
        return nil
    }

    private mutating func setAlarm(_ instant: MonotonicInstant?, for id: WaiterID) {
        if let instant { alarms.add(.init(at: instant, waiter: id)) }
    }

    private func find(_ id: WaiterID) -> Waiter? {
        plain.find(id) ?? fresh.find(id)
    }

    /// Returns the waiter behind the first `number` waiters.
    private func id(behind number: Int) -> WaiterID? {
        var plain = self.plain.ids.makeIterator()
        var fresh = self.fresh.ids.makeIterator()
        var next = (plain: plain.next(), fresh: fresh.next())
        for _ in 0..<number {
            if let id = next.fresh, next.plain.map({ id < $0 }) ?? true {
                next.fresh = fresh.next()
            } else {
                next.plain = plain.next()
            }
        }
        return [next.plain, next.fresh].compactMap { $0 }.min()
    }
}

/// One line of waiters, ascending by id.
///
/// A waiter that leaves from the middle is found by binary search, and leaves a gap. The gaps are removed when they
/// outnumber the waiters. Therefore, even many cancellations in a long line do not take quadratic time under the pool's
/// lock.
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
        // Ids are made before the lock is taken, so a waiter with a slightly higher id may be in line already.
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

    func find(_ id: WaiterID) -> Waiter? {
        index(of: id).flatMap { places[$0].waiter }
    }

    /// The ids of the waiters in line, the first one first.
    var ids: some Sequence<WaiterID> {
        places.lazy.filter { $0.waiter != nil }.map(\.id)
    }

    mutating func remove(_ id: WaiterID) -> Waiter? {
        guard let index = index(of: id), let waiter = places[index].waiter else { return nil }
        places[index].waiter = nil
        count -= 1
        dropLeadingGaps()
        if places.count > 2 * count + 16 {
            places.removeAll { $0.waiter == nil }
        }
        return waiter
    }

    mutating func removeAll() -> [Waiter] {
        let all = places.compactMap(\.waiter)
        places.removeAll()
        count = 0
        return all
    }

    private func index(of id: WaiterID) -> Int? {
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
        return low < places.count && places[low].id == id ? low : nil
    }

    private mutating func dropLeadingGaps() {
        while let place = places.first, place.waiter == nil {
            places.removeFirst()
        }
    }
}
