internal import BowlineCore

/// What the rate gate does with an attempt.
enum RateDecision: Equatable, Sendable {
    /// The attempt goes.
    case go(RateReservation)
    /// The attempt waits. Call ``RateStateMachine/woke(_:at:deadline:_:)`` at this time.
    case wait(until: MonotonicInstant, RateReservation)
    /// The attempt does not go. `retryAfter`: when it could go.
    case refuse(GateRefusal.Reason, retryAfter: Duration?)
}

/// An attempt's turn. Give it back with ``RateStateMachine/withdrawn(_:at:)`` if the attempt is not sent.
struct RateReservation: Equatable, Sendable {
    /// When the attempt may go.
    fileprivate let due: MonotonicInstant
    /// The attempt does not wait beyond this time.
    fileprivate let waitEnds: MonotonicInstant
    /// The attempt's token; nil: there is no rate, the gate was only closed.
    fileprivate let token: TokenSchedule.Token?
    /// How often the gate had been opened by hand. Turns from before the last time count no longer.
    fileprivate let era: UInt32
}

/// The knobs of the rate gate for one attempt.
struct RateRule: Equatable, Sendable {
    /// The rate; nil: none. Then only a pause that the service asked for makes attempts wait.
    var pace: TokenSchedule.Pace?
    /// The most tokens at once while the service's quota limits the rate.
    var burst: Int
    /// How long an attempt may wait. Zero or more.
    var maximumWait: Duration
}

/// What a response says about the rate of further requests.
struct RateAdvice: Equatable, Sendable {
    /// What is left of the service's quota.
    enum Quota: Equatable, Sendable {
        /// The response does not say.
        case unknown
        /// Enough: the rate is not limited.
        case ample
        /// `remaining` requests, 1 or more, for this time.
        case low(remaining: Int64, window: Duration)
    }

    /// For how long no attempt may go; zero: attempts may go.
    var pause = Duration.zero
    var quota = Quota.unknown
}

/// Decides when attempts to a scope go: a token bucket, the pauses that the service asks for, and its quota.
///
/// The bucket is a virtual schedule (``TokenSchedule``): an attempt that must wait gets the time of its turn at once, so
/// that the gate needs no queue and no timer. Attempts that waited look at the gate again when they wake, because it may
/// have been closed meanwhile. When a closed gate opens, attempts go at the rate. Without a rate they are spread over a
/// short time, so that they do not all go at once.
///
/// | state | input | decision | next state |
/// |---|---|---|---|
/// | open | take | go, wait, refuse | open |
/// | open | woke | go, wait, refuse | open |
/// | open | withdrawn | – | open |
/// | open | answered | – | open, slowed, closed |
/// | open | reset | – | open |
/// | slowed | take | go, wait, refuse | slowed |
/// | slowed | woke | go, wait, refuse | slowed |
/// | slowed | withdrawn | – | slowed |
/// | slowed | answered | – | open, slowed, closed |
/// | slowed | reset | – | open |
/// | closed | take | wait, refuse | closed |
/// | closed | woke | wait, refuse | closed |
/// | closed | withdrawn | – | closed |
/// | closed | answered | – | closed |
/// | closed | reset | – | open |
///
/// - *open*: attempts go at the rate of the options.
/// - *slowed*: the service's quota is running low, and attempts go at the rate that the rest of it allows.
/// - *closed*: the service has asked for a pause.
///
/// The end of a pause or of a quota's window changes the state without an input.
struct RateStateMachine {
    enum State: String, CaseIterable, Sendable {
        case open, slowed, closed
    }

    /// The rate that the rest of the quota allows.
    private struct Quota {
        /// The nanoseconds from one request to the next.
        let interval: Int64
        let remaining: Int64
        let ends: MonotonicInstant
    }

    /// The longest time that one advice slows the gate for. A service says anew with each response.
    private static let longestWindow = Duration.seconds(3600)
    /// Without a rate, attempts that came at once are spread over a quarter of the pause, but at least and at most this.
    private static let shortestSpread: Int64 = 20_000_000
    private static let longestSpread: Int64 = 1_000_000_000
    /// The fractional parts of this number's multiples are spread evenly, without a source of random numbers.
    private static let goldenRatio = 0.618_033_988_749_894_9

    private var schedule = TokenSchedule()
    private var closedUntil: MonotonicInstant?
    /// The nanoseconds of the pause.
    private var pause: Int64 = 0
    /// The place in the spread of the next attempt that waits, from 0 up to 1.
    private var place = 0.0
    private var quota: Quota?
    private var era: UInt32 = 0

    func state(at now: MonotonicInstant) -> State {
        if isClosed(at: now) { return .closed }
        return slowed(at: now) == nil ? .open : .slowed
    }

    /// For how long the gate stays closed; nil: it is not closed.
    func closedFor(at now: MonotonicInstant) -> Duration? {
        closedUntil.flatMap { now < $0 ? now.duration(to: $0) : nil }
    }

    /// The attempts per second that the service's quota allows; nil: it does not slow the gate.
    func quotaRate(at now: MonotonicInstant) -> Double? {
        slowed(at: now).map { 1e9 / Double($0.interval) }
    }

    /// Whether the gate has nothing to remember: it is open, and its bucket is full.
    func isIdle(at now: MonotonicInstant) -> Bool { state(at: now) == .open && schedule.isFull(at: now) }

    // MARK: Inputs

    /// An attempt wants to go.
    ///
    /// - Parameters:
    ///   - waitEnds: The attempt waits at most until this instant.
    ///   - deadline: The call's deadline; an attempt that would go at this time or later is refused.
    mutating func take(
        at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant?, _ rule: RateRule
    ) -> RateDecision {
        decide(at: now, waitEnds: waitEnds, deadline: deadline, rule)
    }

    /// An attempt has waited until its turn.
    mutating func woke(
        _ reservation: RateReservation, at now: MonotonicInstant, deadline: MonotonicInstant?, _ rule: RateRule
    ) -> RateDecision {
        if isClosed(at: now) || reservation.era != era {
            withdrawn(reservation, at: now)
            return decide(at: now, waitEnds: reservation.waitEnds, deadline: deadline, rule)
        }
        if let deadline, deadline <= now {
            withdrawn(reservation, at: now)
            return .refuse(.deadline, retryAfter: nil)
        }
        return now < reservation.due ? .wait(until: reservation.due, reservation) : .go(reservation)
    }

    /// An attempt that has a turn is not sent: its token returns.
    mutating func withdrawn(_ reservation: RateReservation, at now: MonotonicInstant) {
        if let token = reservation.token, reservation.era == era { schedule.giveBack(token, at: now) }
    }

    /// A response has arrived.
    ///
    /// - Parameter random: From 0 up to 1. Used only if `advice.pause` is above zero.
    mutating func answered(_ advice: RateAdvice, at now: MonotonicInstant, random: Double) {
        if advice.pause > .zero { close(until: now.advanced(by: advice.pause), at: now, random: random) }
        switch advice.quota {
        case .unknown: break
        case .ample: quota = nil
        case .low(let remaining, let window):
            let window = min(window, Self.longestWindow)
            quota = Quota(
                interval: max(window.saturatingNanoseconds / max(remaining, 1), 1), remaining: remaining,
                ends: now.advanced(by: window))
        }
    }

    /// The gate opens, by hand, with a full bucket. Attempts that wait get new turns when they look at the gate again.
    mutating func reset() {
        let era = era &+ 1
        self = RateStateMachine()
        self.era = era
    }

    // MARK: Decisions

    private func isClosed(at now: MonotonicInstant) -> Bool { closedUntil.map { now < $0 } ?? false }

    private func slowed(at now: MonotonicInstant) -> Quota? {
        quota.flatMap { now < $0.ends ? $0 : nil }
    }

    private mutating func close(until end: MonotonicInstant, at now: MonotonicInstant, random: Double) {
        guard closedUntil.map({ $0 < end }) ?? true else { return }
        closedUntil = end
        pause = now.duration(to: end).saturatingNanoseconds
        place = (0..<1).contains(random) ? random : 0
    }

    private mutating func decide(
        at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant?, _ rule: RateRule
    ) -> RateDecision {
        let isClosed = isClosed(at: now)
        let pace = pace(at: now, rule)
        var due = pace.map { schedule.next(at: now, opening: closedUntil, $0) } ?? now
        if isClosed, pace == nil, let closedUntil { due = closedUntil }
        if due > now {
            if let deadline, due >= deadline { return .refuse(.deadline, retryAfter: now.duration(to: due)) }
            if due > waitEnds {
                return .refuse(isClosed ? .closedByService : .waitTooLong, retryAfter: now.duration(to: due))
            }
            if pace == nil { due = afterPause(due, at: now, waitEnds: waitEnds, deadline: deadline) }
        }
        let token = pace.map { schedule.take(at: now, opening: closedUntil, $0) }
        let reservation = RateReservation(due: due, waitEnds: waitEnds, token: token, era: era)
        return due > now ? .wait(until: due, reservation) : .go(reservation)
    }

    /// The pace of the options, or of the service's quota if that is slower.
    ///
    /// The quota makes no attempt wait longer than `maximumWait` for the attempt before it: as long as something is left
    /// of the quota, a program that sends one request after another is slowed down and not refused.
    private func pace(at now: MonotonicInstant, _ rule: RateRule) -> TokenSchedule.Pace? {
        guard let quota = slowed(at: now) else { return rule.pace }
        let interval = min(quota.interval, rule.maximumWait.saturatingNanoseconds)
        guard interval > rule.pace?.interval ?? 0 else { return rule.pace }
        // Half of what is left may go at once.
        return TokenSchedule.Pace(interval: interval, burst: Int(min(Int64(rule.burst), quota.remaining / 2)))
    }

    /// Returns when an attempt that waits for the end of a pause goes: at the earliest when the gate opens, and if
    /// possible one pause after the attempt came. The wait uses at most half of the time from the opening to the
    /// deadline, so that time is left for the answer.
    private mutating func afterPause(
        _ opening: MonotonicInstant, at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant?
    ) -> MonotonicInstant {
        var room = opening.duration(to: waitEnds).saturatingNanoseconds
        if let deadline { room = min(room, opening.duration(to: deadline).saturatingNanoseconds / 2) }
        let spread = min(max(Self.shortestSpread, min(pause / 4, Self.longestSpread)), room)
        let waited = pause - now.duration(to: opening).saturatingNanoseconds
        let offset = min(max(waited, 0), room - spread) + Int64(Double(spread) * place)
        place += Self.goldenRatio
        if place >= 1 { place -= 1 }
        return opening.advanced(by: .nanoseconds(offset))
    }
}
