import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// A concurrency gate beside a model that keeps those that wait in one list and searches it.
///
/// The model takes an adaptive limit from the machine, and the expected latency from ``ExpectedLatency``.
final class LimitWalk {
    typealias Ticket = ConcurrencyStateMachine.Ticket

    private struct Waiting {
        let ticket: Ticket
        let priority: RequestPriority
        let until: MonotonicInstant
    }

    private let gate: DrivenLimit
    private var nextTicket: Ticket = 0
    private var began: [Ticket: MonotonicInstant] = [:]
    private var ended: Set<Ticket> = []

    // The model.
    private var inFlight: [Ticket] = []
    private var queue: [Waiting] = []
    private var expected = ExpectedLatency()
    /// When attempts have ended since the queue was empty.
    private var leaves: [MonotonicInstant] = []
    private var fixedLimit: Int?
    private var highestLimit = 0
    private var longestQueue = 0

    init(_ random: inout SeededRandom) {
        let limit = random.next(in: 1..<8)
        let isFixed = random.nextBool()
        gate = DrivenLimit(isFixed ? .fixed(limit) : .adaptive(initial: limit, minimum: 1, maximum: limit * 3))
        if isFixed { fixedLimit = limit }
        changeOptions(&random)
    }

    private func changeOptions(_ random: inout SeededRandom) {
        gate.options.maximumWaiting = [0, 1, 2, 5, 20][random.next(in: 0..<5)]
        gate.options.maximumWait = .milliseconds([0, 10, 100, 1000][random.next(in: 0..<4)])
        if case .fixed = gate.options.limit { gate.options.limit = .fixed(random.next(in: 1..<8)) }
        longestQueue = max(longestQueue, gate.options.maximumWaiting)
    }

    /// Performs one event on the machine and the model. Returns the difference, or nil.
    func step(_ random: inout SeededRandom) -> String? {
        let difference: String?
        switch random.next(in: 0..<100) {
        case 0..<20:
            gate.advance(by: .milliseconds(random.next(in: 0..<30)))
            difference = nil
        case 20 where random.nextBool(probability: 0.3):
            changeOptions(&random)
            difference = nil
        case 21..<28 where !queue.isEmpty: difference = endWait(queue[random.next(in: 0..<queue.count)].ticket)
        case 28 where nextTicket > 0: difference = endWait(Ticket(random.next(in: 0..<Int(nextTicket))))
        case 29..<60 where !inFlight.isEmpty: difference = leave(&random)
        default: difference = enter(&random)
        }
        return difference ?? broken()
    }

    /// Ends all attempts. Returns the difference, or nil.
    func finish(_ random: inout SeededRandom) -> String? {
        while !queue.isEmpty, random.nextBool(probability: 0.9) {
            if let difference = endWait(queue[0].ticket) { return difference }
        }
        while !inFlight.isEmpty {
            if let difference = leave(&random) ?? broken() { return difference }
        }
        if gate.machine.inFlight != 0 || gate.machine.waiting != 0 { return "the counts are not zero" }
        return ended.count == Int(nextTicket) ? nil : "\(nextTicket) tickets, but \(ended.count) have ended"
    }

    // MARK: Events

    private func enter(_ random: inout SeededRandom) -> String? {
        let ticket = nextTicket
        nextTicket += 1
        let priority = RequestPriority.allCases[random.next(in: 0..<3)]
        let deadline =
            random.nextBool() ? gate.now.advanced(by: .milliseconds(random.next(in: 0..<400))) : nil
        let entry = gate.entry(ticket, priority, deadline: deadline)
        fixedLimit = if case .fixed(let limit) = gate.options.limit { limit } else { nil }
        let limit = limit
        highestLimit = max(highestLimit, limit)
        if inFlight.count < limit, queue.isEmpty {
            admit(ticket)
            return entry == ConcurrencyEntry(decision: .admitted) ? nil : "\(entry) where the model admits"
        }
        let model = waitOrRefusal(ticket, priority, deadline)
        return entry == model ? nil : "\(entry), not \(model)"
    }

    private func waitOrRefusal(
        _ ticket: Ticket, _ priority: RequestPriority, _ deadline: MonotonicInstant?
    ) -> ConcurrencyEntry {
        let options = gate.options
        var until = gate.now.advanced(by: options.maximumWait)
        var reason = GateRefusal.Reason.waitTooLong
        if let deadline {
            let latest = deadline.advanced(by: .zero - expected.most)
            if latest < until { (until, reason) = (latest, .deadline) }
        }
        func refusal(_ reason: GateRefusal.Reason) -> ConcurrencyEntry {
            ended.insert(ticket)
            return ConcurrencyEntry(decision: .refused(reason, retryAfter: interval.map { $0 * queue.count }))
        }
        let ahead = queue.count { $0.priority >= priority }
        if until <= gate.now { return refusal(reason) }
        if let interval, interval * (ahead + 1) > gate.now.duration(to: until) * 2 { return refusal(reason) }
        if options.maximumWaiting == 0 { return refusal(.queueFull) }
        if priority == .sheddable, Double(queue.count) >= Double(options.maximumWaiting) / 2 { return refusal(.shed) }
        var displaced: Ticket?
        if queue.count >= options.maximumWaiting {
            let lowest = queue.map(\.priority).min() ?? .critical
            guard lowest < priority, let index = queue.lastIndex(where: { $0.priority == lowest }) else {
                return refusal(.queueFull)
            }
            displaced = queue.remove(at: index).ticket
            if let displaced { ended.insert(displaced) }
        }
        queue.append(Waiting(ticket: ticket, priority: priority, until: until))
        return ConcurrencyEntry(decision: .waits(until: until, thenRefused: reason), displaced: displaced)
    }

    private func leave(_ random: inout SeededRandom) -> String? {
        let ticket = inFlight.remove(at: random.next(in: 0..<inFlight.count))
        let latency = (began[ticket] ?? gate.now).duration(to: gate.now)
        if !ended.insert(ticket).inserted { return "ticket \(ticket) ends twice" }
        if !queue.isEmpty { leaves.append(gate.now) }
        let release: ConcurrencyRelease
        switch random.next(in: 0..<6) {
        case 0: release = gate.left(.ignored)
        case 1: release = gate.left(.overload(latency: latency))
        case 2:
            release = gate.left(.timedOut(latency: latency))
            if expected.isReached(by: latency) { expected.add(latency) }
        default:
            release = gate.left(.success(latency: latency))
            expected.add(latency)
        }
        let limit = limit
        highestLimit = max(highestLimit, limit)
        var model = ConcurrencyRelease()
        while inFlight.count < limit, let highest = queue.map(\.priority).max(),
            let index = queue.firstIndex(where: { $0.priority == highest })
        {
            let waiting = queue.remove(at: index)
            if waiting.until > gate.now {
                admit(waiting.ticket)
                model.admitted.append(waiting.ticket)
            } else {
                ended.insert(waiting.ticket)
                model.expired.append(waiting.ticket)
            }
        }
        if queue.isEmpty { leaves = [] }
        return release == model ? nil : "\(release), not \(model)"
    }

    private func endWait(_ ticket: Ticket) -> String? {
        let wasWaiting = gate.waitEnded(ticket)
        let index = queue.firstIndex { $0.ticket == ticket }
        if let index {
            queue.remove(at: index)
            ended.insert(ticket)
            if queue.isEmpty { leaves = [] }
        }
        return wasWaiting == (index != nil) ? nil : "waitEnded returns \(wasWaiting)"
    }

    // MARK: The model's values

    private func admit(_ ticket: Ticket) {
        inFlight.append(ticket)
        began[ticket] = gate.now
    }

    /// A fixed limit is that of the last attempt that entered.
    private var limit: Int { fixedLimit ?? gate.machine.limit }

    /// The average time between two attempts that end: of the last 16 to 31.
    private var interval: Duration? {
        let blocks = (leaves.count - 1) / 16
        guard blocks >= 1 else { return nil }
        let first = (blocks - 1) * 16
        let interval = leaves[first].duration(to: gate.now) / (leaves.count - 1 - first)
        return interval > .zero ? interval : nil
    }

    /// Checks the rules that hold after every step.
    private func broken() -> String? {
        let machine = (gate.machine.inFlight, gate.machine.waiting)
        if machine != (inFlight.count, queue.count) { return "counts \(machine), not \((inFlight.count, queue.count))" }
        if inFlight.count > highestLimit { return "\(inFlight.count) in flight at a limit of \(highestLimit)" }
        if queue.count > longestQueue { return "\(queue.count) wait" }
        if !queue.isEmpty, inFlight.isEmpty { return "attempts wait although none is in flight" }
        if case .adaptive(_, let minimum, let maximum) = gate.options.limit,
            !(minimum...maximum).contains(gate.machine.limit)
        {
            return "the limit is \(gate.machine.limit)"
        }
        return nil
    }
}
