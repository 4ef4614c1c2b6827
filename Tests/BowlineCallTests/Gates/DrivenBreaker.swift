import BowlineCore

@testable import BowlineCall

/// The inputs of the breaker's table.
enum BreakerInput: String, CaseIterable {
    case admit, admitWhenDue, admitWithoutPermit
    case success, failure, ignored, lastSuccess, lastFailure, lastSlow
    case isolate, reset
}

/// A breaker with a clock and default options.
final class DrivenBreaker {
    var machine = BreakerStateMachine()
    var options = BreakerOptions()
    var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
    /// The middle: open periods do not vary.
    var random = 0.5

    var state: BreakerState { machine.state }

    func advance(by duration: Duration) { now = now.advanced(by: duration) }

    func peek() -> BreakerRefusal? { machine.peek(at: now, options) }

    /// Returns the pass of an attempt; nil: it was refused.
    func admitted() -> (pass: BreakerPass, transition: BreakerTransition?)? {
        guard case .go(let pass, let transition) = machine.admit(at: now, options) else { return nil }
        return (pass, transition)
    }

    func end(
        _ pass: BreakerPass, _ result: BreakerResult, took: Duration = .milliseconds(10)
    ) -> BreakerTransition? {
        machine.attemptEnded(pass, result, took: took, at: now, random: random, options)
    }

    /// One attempt that ends at once; nil if it was refused or changes nothing.
    func attempt(_ result: BreakerResult, took: Duration = .milliseconds(10)) -> BreakerTransition? {
        guard let (pass, _) = admitted() else { return nil }
        return end(pass, result, took: took)
    }

    /// Opens a closed breaker.
    func trip() {
        while state == .closed { _ = attempt(.failure) }
    }

    func isolate() -> BreakerTransition? { machine.isolate(at: now) }

    func reset() -> BreakerTransition? { machine.reset(at: now) }

    /// Brings a breaker into a state and gives it one input. nil: the input cannot happen in this state.
    static func made(in state: BreakerState, _ input: BreakerInput) -> DocumentedTransition? {
        let breaker = DrivenBreaker()
        breaker.options.minimumAttempts = 4
        breaker.options.probes = 2
        breaker.options.slowCallDuration = .seconds(1)
        guard let (old, _) = breaker.admitted() else { return nil }
        // A probe of a half-open breaker; in other states, an attempt that began in an earlier state.
        var pass = old
        switch state {
        case .closed:
            for _ in 0..<3 {
                let isBad = input == .lastFailure
                _ = breaker.attempt(isBad ? .failure : .success, took: input == .lastSlow ? .seconds(1) : .zero)
            }
        case .open: breaker.trip()
        case .isolated: _ = breaker.isolate()
        case .halfOpen:
            breaker.trip()
            breaker.advance(by: .seconds(5))
            guard let (probe, _) = breaker.admitted() else { return nil }
            pass = probe
            if input == .lastSuccess { _ = breaker.attempt(.success) }
            if input == .lastSlow { _ = breaker.attempt(.success, took: .seconds(1)) }
            if input == .admitWithoutPermit || input == .admitWhenDue { _ = breaker.admitted() }
        }
        guard let result = breaker.give(input, pass) else { return nil }
        return DocumentedTransition(
            state: "\(state)", input: input.rawValue, result: result, next: "\(breaker.state)")
    }

    private func give(_ input: BreakerInput, _ pass: BreakerPass) -> String? {
        let state = state
        func name(_ transition: BreakerTransition?) -> String { transition == nil ? "nothing" : "transition" }
        switch input {
        case .admitWithoutPermit where state != .halfOpen: return nil
        case .admitWhenDue where state != .open && state != .halfOpen: return nil
        case .lastFailure where state != .closed: return nil
        case .lastSlow where state != .closed && state != .halfOpen: return nil
        case .lastSuccess where state != .halfOpen: return nil
        case .admit, .admitWhenDue, .admitWithoutPermit:
            if input == .admitWhenDue { advance(by: .seconds(5)) }
            switch machine.admit(at: now, options) {
            case .refuse(let refusal): return refusal.reason.rawValue
            case .go(let pass, nil): return pass.isProbe ? "probe" : "pass"
            case .go(let pass, .some): return pass.isProbe ? "probe and transition" : "pass and transition"
            }
        case .success, .lastSuccess: return name(end(pass, .success))
        case .failure, .lastFailure: return name(end(pass, .failure))
        case .lastSlow: return name(end(pass, .success, took: .seconds(1)))
        case .ignored: return name(end(pass, .ignored))
        case .isolate: return name(isolate())
        case .reset: return name(reset())
        }
    }
}
