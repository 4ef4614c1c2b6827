import BowlineCore
import BowlineTesting
import Foundation

@testable import BowlineCall

/// A service with workers and a queue, and clients that call it through a concurrency gate each, in virtual time.
///
/// A client's calls come at random times at a rate, whatever the service does. An attempt that finds no free worker
/// waits in the service. The same seed gives the same run.
final class LimitSimulation {
    /// The service, as functions of the seconds since the start.
    struct Service {
        /// How many attempts are served at once.
        var workers: (Double) -> Int = { _ in 20 }
        /// How many attempts wait in the service; further ones are refused with 503 at once.
        var queue = Int.max
        /// How long a worker needs for an attempt, in seconds.
        var serviceTime: (Double, inout SeededRandom) -> Double = { _, _ in 0.05 }
        /// The share of attempts that are refused with 503 at once.
        var refusedShare: (Double) -> Double = { _ in 0 }
    }

    struct Load {
        var clients = 1
        /// Calls per second of all clients.
        var perSecond = 400.0
        /// The time that a call has, in seconds.
        var deadline: Double?
        /// The time that an attempt has, in seconds.
        var timeout = 30.0
    }

    /// What happened in a tenth of a second.
    struct Interval {
        var answered = 0
        /// Attempts that the service refused.
        var refused = 0
        var timedOut = 0
        /// The sum of the clients' limits at the end.
        var limit = 0
    }

    private struct Attempt {
        let client: Int
        let deadline: Double?
        var began = 0.0
        var isOver = false
    }

    private enum Event {
        case call(client: Int)
        case waitEnded(Int)
        case served(Int)
        case answered(Int, isRefused: Bool)
        case timedOut(Int)
    }

    /// The network's part of an attempt, in seconds.
    private static let roundTrip = 0.001

    private let service: Service
    private let load: Load
    private let gates: [DrivenLimit]
    private var random: SeededRandom
    private var events = EventHeap<Event>()
    private var now = 0.0
    private var attempts: [Attempt] = []
    private var busy = 0
    private var waiting: ArraySlice<Int> = []
    private(set) var intervals: [Interval] = []

    init(_ service: Service, _ load: Load, seed: UInt64) {
        self.service = service
        self.load = load
        random = SeededRandom(seed: seed)
        gates = (0..<load.clients).map { _ in DrivenLimit(.adaptive()) }
        for client in gates.indices { events.insert(.call(client: client), at: random.nextDouble() / 100) }
    }

    /// Runs until a number of seconds after the start.
    func run(until end: Double) {
        while let (time, event) = events.next(before: end) {
            while time >= Double(intervals.count) / 10 {
                if let last = intervals.indices.last { intervals[last].limit = limits.reduce(0, +) }
                intervals.append(Interval())
            }
            now = time
            for gate in gates { gate.now = MonotonicInstant(nanoseconds: Int64(now * 1e9)) }
            perform(event)
        }
    }

    // MARK: Results

    /// The clients' limits now.
    var limits: [Int] { gates.map(\.machine.limit) }

    /// Answers per second in an interval of time.
    func goodput(_ seconds: ClosedRange<Double>) -> Double { rate(\.answered, seconds) }

    /// Events per second in an interval of time.
    func rate(_ count: KeyPath<Interval, Int>, _ seconds: ClosedRange<Double>) -> Double {
        let some = slice(seconds)
        return Double(some.reduce(0) { $0 + $1[keyPath: count] }) / Double(max(some.count, 1)) * 10
    }

    /// The average sum of the clients' limits in an interval of time.
    func limit(_ seconds: ClosedRange<Double>) -> Double {
        let some = slice(seconds)
        return Double(some.reduce(0) { $0 + $1.limit }) / Double(max(some.count, 1))
    }

    func lowestLimit(_ seconds: ClosedRange<Double>) -> Int { slice(seconds).map(\.limit).min() ?? 0 }

    private func slice(_ seconds: ClosedRange<Double>) -> ArraySlice<Interval> {
        let first = Int((seconds.lowerBound * 10).rounded())
        let last = Int((seconds.upperBound * 10).rounded())
        return intervals.dropLast().prefix(last).dropFirst(first)
    }

    // MARK: Events

    private func perform(_ event: Event) {
        switch event {
        case .call(let client):
            let pause = -log(1 - random.nextDouble()) * Double(load.clients) / load.perSecond
            events.insert(.call(client: client), at: now + pause)
            attempts.append(Attempt(client: client, deadline: load.deadline.map { now + $0 }))
            enter(attempts.count - 1)
        case .waitEnded(let index): _ = gates[attempts[index].client].waitEnded(UInt64(index))
        case .served(let index):
            busy -= 1
            events.insert(.answered(index, isRefused: false), at: now + Self.roundTrip / 2)
            if busy < service.workers(now), let next = waiting.popFirst() { serve(next) }
        case .answered(let index, let isRefused):
            guard !attempts[index].isOver else { return }
            intervals[intervals.count - 1].answered += isRefused ? 0 : 1
            intervals[intervals.count - 1].refused += isRefused ? 1 : 0
            let latency = Duration.nanoseconds(Int64((now - attempts[index].began) * 1e9))
            leave(index, isRefused ? .overload(latency: latency) : .success(latency: latency))
        case .timedOut(let index):
            guard !attempts[index].isOver else { return }
            intervals[intervals.count - 1].timedOut += 1
            leave(index, .timedOut(latency: .nanoseconds(Int64((now - attempts[index].began) * 1e9))))
        }
    }

    private func enter(_ index: Int) {
        let attempt = attempts[index]
        let deadline = attempt.deadline.map { MonotonicInstant(nanoseconds: Int64($0 * 1e9)) }
        switch gates[attempt.client].enter(UInt64(index), deadline: deadline) {
        case .admitted: begin(index)
        case .waits(let until, _): events.insert(.waitEnded(index), at: Double(until.nanoseconds) / 1e9)
        case .refused: break
        }
    }

    private func begin(_ index: Int) {
        attempts[index].began = now
        let deadline = attempts[index].deadline ?? .infinity
        events.insert(.timedOut(index), at: min(now + load.timeout, deadline))
        if random.nextDouble() < service.refusedShare(now)
            || busy >= service.workers(now) && waiting.count >= service.queue
        {
            events.insert(.answered(index, isRefused: true), at: now + Self.roundTrip)
        } else if busy < service.workers(now) {
            serve(index)
        } else {
            waiting.append(index)
        }
    }

    /// The service also serves attempts whose client has given up.
    private func serve(_ index: Int) {
        busy += 1
        events.insert(.served(index), at: now + Self.roundTrip / 2 + service.serviceTime(now, &random))
    }

    private func leave(_ index: Int, _ sample: ConcurrencySample) {
        attempts[index].isOver = true
        for ticket in gates[attempts[index].client].left(sample).admitted { begin(Int(ticket)) }
    }
}

/// Events in the order of their times; equal times in the order in which they were inserted.
private struct EventHeap<Event> {
    private var entries: [(time: Double, number: Int, event: Event)] = []
    private var inserted = 0

    mutating func insert(_ event: Event, at time: Double) {
        inserted += 1
        entries.append((time, inserted, event))
        var child = entries.count - 1
        while child > 0, isEarlier(child, (child - 1) / 2) {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Removes the next event, if its time is before `end`.
    mutating func next(before end: Double) -> (Double, Event)? {
        guard let first = entries.first, first.time < end else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            var earliest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && isEarlier(child, earliest) {
                earliest = child
            }
            if earliest == parent { return (first.time, first.event) }
            entries.swapAt(parent, earliest)
            parent = earliest
        }
    }

    private func isEarlier(_ left: Int, _ right: Int) -> Bool {
        (entries[left].time, entries[left].number) < (entries[right].time, entries[right].number)
    }
}
