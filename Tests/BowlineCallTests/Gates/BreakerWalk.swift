import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// A breaker beside a model that keeps all results in a list.
struct BreakerWalk {
    private struct Pass {
        let pass: BreakerPass
        let isProbe: Bool
        /// The number of changes of state before the attempt began.
        let age: Int
        /// Whether the probe counts as one in flight.
        var hasPermit: Bool
    }

    private let breaker = DrivenBreaker()
    private var passes: [Pass] = []

    // The model.
    private var state = BreakerState.closed
    private var changes = 0
    private var results: [(slice: Int64, isFailure: Bool, isSlow: Bool)] = []
    private var openUntil = MonotonicInstant(nanoseconds: 0)
    private var period = Duration.zero
    private var openings = 0
    private var closedAt = MonotonicInstant(nanoseconds: .min)
    private var permitsEnd = MonotonicInstant(nanoseconds: 0)
    private var succeeded = 0
    private var slow = 0

    init(_ random: inout SeededRandom) {
        breaker.options.minimumAttempts = random.next(in: 1..<8)
        breaker.options.failureRatio = [0.1, 0.5, 1][random.next(in: 0..<3)]
        breaker.options.window = .seconds(random.next(in: 1..<20))
        breaker.options.slowCallDuration = random.nextBool() ? .seconds(1) : nil
        breaker.options.slowCallRatio = [0.3, 1][random.next(in: 0..<2)]
        breaker.options.open = .seconds(random.next(in: 1..<10))
        breaker.options.maximumOpen = .seconds(random.next(in: 10..<60))
        breaker.options.probes = random.next(in: 1..<5)
    }

    private var options: BreakerOptions { breaker.options }
    private var inFlight: Int { passes.count { $0.age == changes && $0.isProbe && $0.hasPermit } }

    /// Performs one event on the machine and the model. Returns the difference, or nil.
    mutating func step(_ random: inout SeededRandom) -> String? {
        breaker.random = random.nextDouble()
        let difference: String?
        switch random.next(in: 0..<100) {
        case 0..<20:
            let most = random.nextBool(probability: 0.1) ? 60_000 : 500
            breaker.advance(by: .milliseconds(random.next(in: 0..<most)))
            difference = nil
        case 20: difference = Self.compare(breaker.isolate(), byHand(.isolated))
        case 21, 22: difference = Self.compare(breaker.reset(), byHand(.closed))
        case 23..<60 where !passes.isEmpty: difference = end(&random)
        default: difference = admit()
        }
        return difference ?? broken()
    }

    private mutating func byHand(_ next: BreakerState) -> BreakerTransition? {
        if state == .isolated, next == .isolated { return nil }
        if next == .closed { openings = 0 }
        let from = state
        change(next)
        return from == next ? nil : BreakerTransition(from: from, to: next)
    }

    private mutating func change(_ next: BreakerState) {
        state = next
        changes += 1
        results = []
        (succeeded, slow) = (0, 0)
        if next == .closed { closedAt = breaker.now }
    }

    private mutating func admit() -> String? {
        let peeked = breaker.peek()
        let decision = breaker.machine.admit(at: breaker.now, options)
        if case .refuse(let refusal) = decision, refusal != peeked { return "admit and peek differ" }
        if case .go = decision, peeked != nil { return "peek refuses what admit lets go" }
        let before = state
        let isAllowed: Bool
        switch state {
        case .closed: isAllowed = true
        case .isolated: isAllowed = false
        case .open:
            isAllowed = breaker.now >= openUntil
            if isAllowed { change(.halfOpen) }
        case .halfOpen:
            let isFree = inFlight + succeeded < options.probes
            isAllowed = isFree || breaker.now >= permitsEnd
            if isAllowed, !isFree {
                for index in passes.indices where passes[index].age == changes { passes[index].hasPermit = false }
            }
        }
        switch decision {
        case .refuse(let refusal):
            if isAllowed { return "\(before): refused with \(refusal.reason) where the model lets it go" }
            if before == .open, refusal.retryAfter != breaker.now.duration(to: openUntil) {
                return "retryAfter differs"
            }
        case .go(let pass, let transition):
            guard isAllowed else { return "\(before): goes where the model refuses" }
            let expected = before == state ? nil : BreakerTransition(from: before, to: state)
            if transition != expected { return "\(transition as Any), not \(expected as Any)" }
            if pass.isProbe != (state == .halfOpen) { return "isProbe is \(pass.isProbe)" }
            if pass.isProbe, inFlight == 0 { permitsEnd = breaker.now.advanced(by: period) }
            passes.append(Pass(pass: pass, isProbe: pass.isProbe, age: changes, hasPermit: true))
        }
        return nil
    }

    private mutating func end(_ random: inout SeededRandom) -> String? {
        let pass = passes.remove(at: random.next(in: 0..<passes.count))
        let result = [BreakerResult.success, .success, .failure, .ignored][random.next(in: 0..<4)]
        let took = Duration.milliseconds(random.next(in: 500..<1200))
        let transition = breaker.end(pass.pass, result, took: took)
        guard pass.age == changes, result != .ignored else { return Self.compare(transition, nil) }
        let isSlow = options.slowCallDuration.map { took >= $0 } ?? false
        if state == .halfOpen {
            guard result == .success else { return Self.compare(transition, open()) }
            succeeded += 1
            if isSlow { slow += 1 }
            guard succeeded >= options.probes else { return Self.compare(transition, nil) }
            if slow > 0, Double(slow) >= options.slowCallRatio * Double(succeeded) {
                return Self.compare(transition, open())
            }
            change(.closed)
            return Self.compare(transition, BreakerTransition(from: .halfOpen, to: .closed))
        }
        let slice = breaker.now.nanoseconds / (options.window.saturatingNanoseconds / 10)
        results.append((slice, result == .failure, isSlow))
        results.removeAll { $0.slice <= slice - 10 }
        let failures = results.count { $0.isFailure }
        let slow = results.count { $0.isSlow }
        let all = Double(results.count)
        let isBad =
            failures > 0 && Double(failures) >= options.failureRatio * all
            || options.slowCallDuration != nil && slow > 0 && Double(slow) >= options.slowCallRatio * all
        guard results.count >= options.minimumAttempts, isBad else { return Self.compare(transition, nil) }
        return Self.compare(transition, open())
    }

    private mutating func open() -> BreakerTransition {
        if state == .closed, closedAt.advanced(by: options.window) <= breaker.now { openings = 0 }
        period = options.open
        for _ in 0..<openings { period = min(period * 2, options.maximumOpen) }
        period = min(period, options.maximumOpen)
        openings += 1
        let openFor = Duration.nanoseconds(Int64(Double(period.saturatingNanoseconds) * (0.8 + 0.4 * breaker.random)))
        openUntil = breaker.now.advanced(by: openFor)
        let from = state
        change(.open)
        return BreakerTransition(from: from, to: .open, openFor: openFor)
    }

    private static func compare(_ made: BreakerTransition?, _ expected: BreakerTransition?) -> String? {
        made == expected ? nil : "\(made as Any), not \(expected as Any)"
    }

    /// Checks the rules that hold after every step.
    private func broken() -> String? {
        if breaker.state != state { return "the state is \(breaker.state), not \(state)" }
        switch state {
        case .closed: if breaker.peek() != nil { return "a closed breaker refuses" }
        case .isolated: if breaker.peek()?.reason != .isolated { return "an isolated breaker does not refuse" }
        case .open:
            if (breaker.peek()?.reason == .open) != (breaker.now < openUntil) { return "open at the wrong time" }
            let (least, most) = (period * 0.8, period * 1.2)
            let rest = breaker.now.duration(to: openUntil)
            if rest > most || openUntil.duration(to: breaker.now) > .zero && least < .zero { return "open too long" }
        case .halfOpen:
            if inFlight > options.probes { return "\(inFlight) probes are in flight" }
            if breaker.peek() == nil, breaker.now < permitsEnd, inFlight + succeeded >= options.probes {
                return "a probe too many would go"
            }
        }
        return nil
    }
}
