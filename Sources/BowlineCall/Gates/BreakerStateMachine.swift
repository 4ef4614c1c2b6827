internal import BowlineCore

/// An admission by the breaker. Give it back with the attempt's result.
struct BreakerPass: Equatable, Sendable {
    /// Which period of the breaker admitted the attempt.
    fileprivate let epoch: UInt64
    /// Which batch of probes the attempt belongs to.
    fileprivate let batch: UInt64
    /// Whether the attempt is a probe.
    let isProbe: Bool
}

/// Why the breaker refuses an attempt.
struct BreakerRefusal: Equatable, Sendable {
    let reason: GateRefusal.Reason
    /// After which time an attempt may be admitted; nil: not known.
    let retryAfter: Duration?
}

enum BreakerDecision: Equatable, Sendable {
    /// The attempt goes. The transition, if there is one: the breaker is half open now.
    case go(BreakerPass, BreakerTransition?)
    case refuse(BreakerRefusal)
}

enum BreakerResult: Equatable, Sendable {
    case success, failure
    /// Says nothing about the service: cancelled, or refused by the client itself.
    case ignored
}

/// A change of the breaker's state.
struct BreakerTransition: Equatable, Sendable {
    let from: BreakerState
    let to: BreakerState
    /// How long the breaker stays open; nil: it is not open, or until `reset`.
    var openFor: Duration?
}

/// Decides whether attempts to a scope go, after the results of earlier attempts.
struct BreakerStateMachine {
    private(set) var state = BreakerState.closed
    private var epoch: UInt64 = 0
    private var window = BreakerWindow()
    private var openUntil = MonotonicInstant(nanoseconds: .min)
    private var openPeriod = Duration.zero
    private var openings = 0
    private var batch: UInt64 = 0
    private var batchEnds = MonotonicInstant(nanoseconds: .min)
    private var probesInFlight = 0
    private var probesSucceeded = 0

    init() {}

    /// Whether `admit` would refuse an attempt now. Changes nothing.
    func peek(at now: MonotonicInstant, _ options: BreakerOptions) -> BreakerRefusal? {
        switch state {
        case .closed: return nil
        case .isolated: return BreakerRefusal(reason: .isolated, retryAfter: nil)
        case .open:
            guard now < openUntil else { return nil }
            return BreakerRefusal(reason: .open, retryAfter: now.duration(to: openUntil))
        case .halfOpen:
            guard probesInFlight + probesSucceeded >= max(1, options.probes), now < batchEnds else { return nil }
            return BreakerRefusal(reason: .probing, retryAfter: nil)
        }
    }

    /// An attempt wants to go.
    mutating func admit(at now: MonotonicInstant, _ options: BreakerOptions) -> BreakerDecision {
        if let refusal = peek(at: now, options) { return .refuse(refusal) }
        switch state {
        case .closed, .isolated: return .go(BreakerPass(epoch: epoch, batch: 0, isProbe: false), nil)
        case .open:
            let transition = change(to: .halfOpen)
            return .go(probe(at: now), transition)
        case .halfOpen:
            if probesInFlight + probesSucceeded >= max(1, options.probes) {
                probesInFlight = 0
                batch += 1
            }
            return .go(probe(at: now), nil)
        }
    }

    /// An attempt has ended.
    mutating func attemptEnded(
        _ pass: BreakerPass, _ result: BreakerResult, took: Duration, at now: MonotonicInstant, random: Double,
        _ options: BreakerOptions
    ) -> BreakerTransition? {
        guard pass.epoch == epoch else { return nil }
        if pass.isProbe, pass.batch == batch { probesInFlight -= 1 }
        guard result != .ignored else { return nil }
        if pass.isProbe {
            guard result == .success else { return open(at: now, random: random, options) }
            probesSucceeded += 1
            guard probesSucceeded >= max(1, options.probes) else { return nil }
            openings = 0
            return change(to: .closed)
        }
        let isSlow = options.slowCallDuration.map { took >= $0 } ?? false
        window.record(isFailure: result == .failure, isSlow: isSlow, at: now, window: options.window)
        let counts = window.counts
        guard counts.attempts >= options.minimumAttempts else { return nil }
        let attempts = Double(counts.attempts)
        guard
            Double(counts.failures) >= options.failureRatio * attempts
                || options.slowCallDuration != nil && Double(counts.slow) >= options.slowCallRatio * attempts
        else { return nil }
        return open(at: now, random: random, options)
    }

    /// Opens the breaker by hand, until `reset`.
    mutating func isolate(at now: MonotonicInstant) -> BreakerTransition? {
        state == .isolated ? nil : change(to: .isolated)
    }

    /// Closes the breaker by hand, and forgets all results.
    mutating func reset(at now: MonotonicInstant) -> BreakerTransition? {
        openings = 0
        let transition = change(to: .closed)
        return transition.from == .closed ? nil : transition
    }

    private mutating func probe(at now: MonotonicInstant) -> BreakerPass {
        if probesInFlight == 0 { batchEnds = now.advanced(by: openPeriod) }
        probesInFlight += 1
        return BreakerPass(epoch: epoch, batch: batch, isProbe: true)
    }

    private mutating func open(at now: MonotonicInstant, random: Double, _ options: BreakerOptions) -> BreakerTransition {
        openPeriod = max(.zero, min(options.open * (1 << min(openings, 20)), options.maximumOpen))
        openings += 1
        let openFor = openPeriod * (0.8 + 0.4 * random)
        openUntil = now.advanced(by: openFor)
        var transition = change(to: .open)
        transition.openFor = openFor
        return transition
    }

    private mutating func change(to next: BreakerState) -> BreakerTransition {
        let transition = BreakerTransition(from: state, to: next)
        state = next
        epoch += 1
        window.clear()
        probesInFlight = 0
        probesSucceeded = 0
        batch = 0
        return transition
    }
}
