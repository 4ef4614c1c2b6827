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
    }

    /// What happened in a tenth of a second.
    struct Interval {
        var answered = 0
        /// Attempts that the service refused.
        var refused = 0
        var timedOut = 0
        /// The sum of the clients' limits after the last result.
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
    private var events = EventQueue()
    private var now = 0.0
    private var attempts: [Attempt] = []
    private var busy = 0
    private var waiting: ArraySlice<Int> = []
    /// The sum of the clients' limits.
    private var limit: Int
    private(set) var intervals: [Interval] = []

    init(_ service: Service, _ load: Load, seed: UInt64) {
        self.service = service
        self.load = load
        random = SeededRandom(seed: seed)
        gates = (0..<load.clients).map { _ in DrivenLimit(.adaptive()) }
        limit = gates.reduce(0) { $0 + $1.machine.limit }
        for client in gates.indices { events.insert(.call(client: client), at: random.nextDouble() / 100) }
    }

    /// Runs until a number of seconds after the start.
    func run(until end: Double) {
        while let (time, event) = events.next(before: end) {
            while time >= Double(intervals.count) / 10 { intervals.append(Interval()) }
            now = time
            perform(event)
        }
    }

    // MARK: Results

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
        case .waitEnded(let index): _ = gate(of: index).waitEnded(UInt64(index))
        case .served(let index):
            busy -= 1
            events.insert(.answered(index, isRefused: false), at: now + Self.roundTrip / 2)
            if busy < service.workers(now), let next = waiting.popFirst() { serve(next) }
        case .answered(let index, let isRefused):
            guard !attempts[index].isOver else { return }
            if isRefused {
                intervals[intervals.count - 1].refused += 1
            } else {
                intervals[intervals.count - 1].answered += 1
            }
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
        switch gate(of: index).enter(UInt64(index), deadline: deadline) {
        case .admitted: begin(index)
        case .waits(let until, _): events.insert(.waitEnded(index), at: Double(until.nanoseconds) / 1e9)
        case .refused: break
        }
    }

    private func begin(_ index: Int) {
        attempts[index].began = now
        if let deadline = attempts[index].deadline { events.insert(.timedOut(index), at: deadline) }
        let isFull = busy >= service.workers(now) && waiting.count >= service.queue
        if isFull || random.nextDouble() < service.refusedShare(now) {
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
        let gate = gate(of: index)
        let before = gate.machine.limit
        for ticket in gate.left(sample).admitted { begin(Int(ticket)) }
        limit += gate.machine.limit - before
        intervals[intervals.count - 1].limit = limit
    }

    private func gate(of index: Int) -> DrivenLimit {
        let gate = gates[attempts[index].client]
        gate.now = MonotonicInstant(nanoseconds: Int64(now * 1e9))
        return gate
    }
}

extension LimitSimulation {
    /// Events in the order of their times; equal times in the order in which they were inserted.
    private struct EventQueue {
        private struct Entry {
            let time: Double
            let number: Int
            let event: Event

            func isBefore(_ other: Entry) -> Bool {
                time < other.time || time == other.time && number < other.number
            }
        }

        /// A binary heap.
        private var entries: [Entry] = []
        private var inserted = 0

        mutating func insert(_ event: Event, at time: Double) {
            inserted += 1
            let entry = Entry(time: time, number: inserted, event: event)
            var child = entries.count
            entries.append(entry)
            while child > 0 {
                let parent = (child - 1) / 2
                guard entry.isBefore(entries[parent]) else { break }
                entries[child] = entries[parent]
                child = parent
            }
            entries[child] = entry
        }

        /// Removes the next event, if its time is before `end`.
        mutating func next(before end: Double) -> (Double, Event)? {
            guard let first = entries.first, first.time < end, let last = entries.popLast() else { return nil }
            guard !entries.isEmpty else { return (first.time, first.event) }
            var parent = 0
            while true {
                var child = 2 * parent + 1
                guard child < entries.count else { break }
                if child + 1 < entries.count, entries[child + 1].isBefore(entries[child]) { child += 1 }
                guard entries[child].isBefore(last) else { break }
                entries[parent] = entries[child]
                parent = child
            }
            entries[parent] = last
            return (first.time, first.event)
        }
    }
}
