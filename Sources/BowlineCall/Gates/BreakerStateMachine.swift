internal import BowlineCore

/// Decides whether attempts to a scope go, from the results of earlier attempts.
///
/// | state | input | result | next |
/// |---|---|---|---|
/// | closed | admit | pass | closed |
/// | closed | success, failure, ignored | nothing | closed |
/// | closed | lastFailure, lastSlow | transition | open |
/// | closed | isolate | transition | isolated |
/// | closed | reset | nothing | closed |
/// | open | admit | open | open |
/// | open | admitWhenDue | probe and transition | halfOpen |
/// | open | success, failure, ignored | nothing | open |
/// | open | isolate | transition | isolated |
/// | open | reset | transition | closed |
/// | halfOpen | admit | probe | halfOpen |
/// | halfOpen | admitWithoutPermit | probing | halfOpen |
/// | halfOpen | admitWhenDue | probe | halfOpen |
/// | halfOpen | success, ignored | nothing | halfOpen |
/// | halfOpen | lastSuccess | transition | closed |
/// | halfOpen | lastSlow, failure | transition | open |
/// | halfOpen | isolate | transition | isolated |
/// | halfOpen | reset | transition | closed |
/// | isolated | admit | isolated | isolated |
/// | isolated | success, failure, ignored | nothing | isolated |
/// | isolated | isolate | nothing | isolated |
/// | isolated | reset | transition | closed |
///
/// - closed: The results of a sliding window are counted. `lastFailure` and `lastSlow` are the results with which the
///   share of failed or slow attempts reaches its limit. A result of an attempt that began in an earlier state, or
///   before the last change of state, changes nothing. The table's results in `open` and `isolated` are such ones.
/// - open: `admitWhenDue` comes after the open period.
/// - halfOpen: At most `probes` attempts are in flight or have succeeded (`admitWithoutPermit`: there are as many). An
///   ignored result gives its permit to another attempt. Probes that have not ended one open period after the first of
///   them lose their permits (`admitWhenDue`), so that probes that never end do not keep the breaker half open. Their
///   results still count. After `probes` successes the breaker closes, unless too many of them were slow (`lastSlow`).
///
/// The open period doubles with each opening, up to `maximumOpen`. It begins with `open` again after the breaker was
/// closed for a whole window, or after `reset`.
struct BreakerStateMachine: ~Copyable {
    private(set) var state = BreakerState.closed
    /// Counts the changes of state.
    private var epoch: UInt64 = 0

    // closed
    private var window = BreakerWindow()
    private var closedAt: MonotonicInstant?
    /// How often the breaker opened since it was last closed for a whole window.
    private var openings = 0
    /// How long a successful attempt takes on average, in nanoseconds; 0: not known.
    private var usualNanoseconds = 0.0

    // open
    private var openUntil = MonotonicInstant(nanoseconds: .min)
    /// The open period without its random part, in nanoseconds.
    private var openPeriod: Int64 = 0

    // half-open
    /// Counts the times that probes have lost their permits.
    private var batch: UInt64 = 0
    private var batchEnds = MonotonicInstant(nanoseconds: .min)
    private var probesInFlight = 0
    private var probesSucceeded = 0
    private var probesSlow = 0

    init() {}

    /// Returns why `admit` would refuse an attempt now; nil: it would let the attempt go. Changes nothing.
    func peek(at now: MonotonicInstant, _ options: BreakerOptions) -> BreakerRefusal? {
        switch state {
        case .closed: return nil
        case .isolated: return BreakerRefusal(reason: .isolated, retryAfter: nil)
        case .open:
            guard now < openUntil else { return nil }
            return BreakerRefusal(reason: .open, retryAfter: now.duration(to: openUntil))
        case .halfOpen:
            guard !hasPermit(options), now < batchEnds else { return nil }
            let usual = Duration.nanoseconds(Int64(min(usualNanoseconds, 0x1p62)))
            return BreakerRefusal(reason: .probing, retryAfter: usual > .zero ? usual : nil)
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
            if !hasPermit(options) {
                probesInFlight = 0
                batch &+= 1
            }
            return .go(probe(at: now), nil)
        }
    }

    /// An attempt has ended.
    ///
    /// - Parameters:
    ///   - took: How long the attempt took.
    ///   - random: A random number from 0 up to but not including 1, for the open period.
    mutating func attemptEnded(
        _ pass: BreakerPass, _ result: BreakerResult, took: Duration, at now: MonotonicInstant, random: Double,
        _ options: BreakerOptions
    ) -> BreakerTransition? {
        guard pass.epoch == epoch else { return nil }
        if pass.isProbe, pass.batch == batch { probesInFlight = max(0, probesInFlight - 1) }
        guard result != .ignored else { return nil }
        if result == .success { noteUsual(took) }
        let isSlow = options.slowCallDuration.map { took >= $0 } ?? false
        if pass.isProbe { return probeEnded(result, isSlow: isSlow, at: now, random: random, options) }
        window.record(isFailure: result == .failure, isSlow: isSlow, at: now, window: options.window)
        return Self.isTooBad(window.counts, options) ? open(at: now, random: random, options) : nil
    }

    /// Refuses all attempts until `reset`.
    mutating func isolate(at now: MonotonicInstant) -> BreakerTransition? {
        state == .isolated ? nil : change(to: .isolated)
    }

    /// Lets attempts go, and forgets all results.
    mutating func reset(at now: MonotonicInstant) -> BreakerTransition? {
        openings = 0
        closedAt = now
        let transition = change(to: .closed)
        return transition.from == .closed ? nil : transition
    }

    // MARK: Decisions

    private static func isTooBad(_ counts: BreakerWindow.Counts, _ options: BreakerOptions) -> Bool {
        guard counts.attempts >= options.minimumAttempts else { return false }
        return reaches(options.failureRatio, counts.failures, of: counts.attempts)
            || options.slowCallDuration != nil && reaches(options.slowCallRatio, counts.slow, of: counts.attempts)
    }

    /// A share of nothing never reaches a ratio. Middleware may set a ratio of 0, which the options do not allow.
    private static func reaches(_ ratio: Double, _ count: Int, of all: Int) -> Bool {
        count > 0 && Double(count) >= ratio * Double(all)
    }

    private func hasPermit(_ options: BreakerOptions) -> Bool {
        probesInFlight < max(1, options.probes) - probesSucceeded
    }

    private mutating func probe(at now: MonotonicInstant) -> BreakerPass {
        if probesInFlight == 0 { batchEnds = now.advanced(by: .nanoseconds(openPeriod)) }
        probesInFlight += 1
        return BreakerPass(epoch: epoch, batch: batch, isProbe: true)
    }

    private mutating func probeEnded(
        _ result: BreakerResult, isSlow: Bool, at now: MonotonicInstant, random: Double, _ options: BreakerOptions
    ) -> BreakerTransition? {
        guard result == .success else { return open(at: now, random: random, options) }
        probesSucceeded += 1
        if isSlow { probesSlow += 1 }
        guard probesSucceeded >= options.probes else { return nil }
        if Self.reaches(options.slowCallRatio, probesSlow, of: probesSucceeded) {
            return open(at: now, random: random, options)
        }
        closedAt = now
        return change(to: .closed)
    }

    private mutating func noteUsual(_ took: Duration) {
        let nanoseconds = Double(max(took.saturatingNanoseconds, 0))
        usualNanoseconds += (nanoseconds - usualNanoseconds) / (usualNanoseconds > 0 ? 16 : 1)
    }

    private mutating func open(
        at now: MonotonicInstant, random: Double, _ options: BreakerOptions
    ) -> BreakerTransition {
        if state == .closed, let closedAt, closedAt.advanced(by: options.window) <= now { openings = 0 }
        openPeriod = Self.period(after: openings, options)
        openings = min(openings + 1, 62)
        let factor = 0.8 + 0.4 * (random >= 0 && random <= 1 ? random : 0.5)
        let openFor = Duration.nanoseconds(Int64(min(Double(openPeriod) * factor, 0x1p62)))
        openUntil = now.advanced(by: openFor)
        var transition = change(to: .open)
        transition.openFor = openFor
        return transition
    }

    private static func period(after openings: Int, _ options: BreakerOptions) -> Int64 {
        let first = max(options.open.saturatingNanoseconds, 0)
        let (doubled, overflowed) = first.multipliedReportingOverflow(by: 1 << openings)
        return max(0, min(overflowed ? .max : doubled, options.maximumOpen.saturatingNanoseconds))
    }

    private mutating func change(to next: BreakerState) -> BreakerTransition {
        let transition = BreakerTransition(from: state, to: next)
        state = next
        epoch &+= 1
        window.clear()
        (batch, probesInFlight, probesSucceeded, probesSlow) = (0, 0, 0, 0)
        return transition
    }
}

/// An admission by the breaker. Give it back with the attempt's result.
struct BreakerPass: Equatable, Sendable {
    fileprivate let epoch: UInt64
    fileprivate let batch: UInt64
    /// Whether the attempt is a probe of a half-open breaker.
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
