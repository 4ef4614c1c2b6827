internal import BowlineCore

/// A token that an attempt has. Give it back with ``TokenSupplyStateMachine/withdrawn(_:at:)`` if the attempt is not
/// sent.
enum SuppliedToken: Equatable, Sendable {
    /// A token of the store.
    case store
    /// A token of the local bucket.
    case local(TokenSchedule.Token)
}

/// Decides about the tokens of a user's store: how many are fetched and when, which attempts get them, and what happens
/// while the store fails.
///
/// Tokens are fetched in batches: for the attempts that wait, and for those that are expected within the next
/// ``ahead``. So under load most attempts cost no round trip, and an idle program holds no tokens that others could use.
/// A batch that is not used for a second is dropped, for the same reason.
///
/// If the store fails or takes longer than ``patience``, attempts get tokens of a local bucket until the store answers
/// again. Its rate is a fair share: as many tokens per second as this process has used lately. So the processes of a fleet
/// together use what they used before. The store is asked again after 250 ms, and after growing pauses up to 5 s. Attempts
/// that wait for the local bucket wait in the same queue. So when the store answers again, they get its tokens, and not
/// the local ones too.
///
/// | state | input | asks | next state |
/// |---|---|---|---|
/// | ready | take | no | ready |
/// | ready | take | yes | asking |
/// | ready | withdrawn | no | ready |
/// | asking | take | no | asking |
/// | asking | withdrawn | no | asking |
/// | asking | storeAnswered | no | ready, pausing |
/// | asking | storeAnswered | yes | asking |
/// | asking | storeFailed | no | away |
/// | pausing | take | no | pausing |
/// | pausing | take | yes | asking |
/// | pausing | withdrawn | no | pausing |
/// | pausing | timerFired | no | ready |
/// | pausing | timerFired | yes | asking |
/// | away | take | no | away |
/// | away | take | yes | probing |
/// | away | withdrawn | no | away |
/// | away | timerFired | no | away |
/// | away | timerFired | yes | probing |
/// | probing | take | no | probing |
/// | probing | withdrawn | no | probing |
/// | probing | timerFired | no | probing |
/// | probing | storeAnswered | no | ready, pausing |
/// | probing | storeAnswered | yes | asking |
/// | probing | storeFailed | no | away |
///
/// - *ready*: the store may be asked at any time.
/// - *asking*: the store has been asked and has not answered.
/// - *pausing*: the store had too few tokens; it is asked again at a later time.
/// - *away*: the store has failed, and the local bucket is in use.
/// - *probing*: as *away*, but the store has been asked again.
///
/// `waitEnded` changes no state. An answer or a timer with an old number is ignored.
struct TokenSupplyStateMachine {
    typealias Ticket = UInt64

    enum State: String, CaseIterable, Sendable {
        case ready, asking, pausing, away, probing
    }

    /// What happens with an attempt that wants a token.
    enum Entry: Equatable, Sendable {
        case go(SuppliedToken)
        /// The attempt waits. Call `waitEnded` at `until`.
        case waits(until: MonotonicInstant, thenRefused: GateRefusal.Reason)
        case refused(GateRefusal.Reason, retryAfter: Duration?)
    }

    /// What happens with an attempt that waited.
    enum Turn: Equatable, Sendable {
        case go(SuppliedToken)
        /// The attempt gets no token within its limit: refuse it with the reason that `take` gave.
        case expired(retryAfter: Duration?)
    }

    /// A question for the store.
    struct Ask: Equatable, Sendable {
        let number: UInt64
        let count: Int
    }

    /// A timer. Only the last one counts.
    struct Timer: Equatable, Sendable {
        let number: UInt64
        let ends: MonotonicInstant
    }

    /// What the driver does after an input.
    struct Effects: Equatable, Sendable {
        /// Attempts that waited, in order.
        var settled: [Settled] = []
        /// Ask the store.
        var ask: Ask?
        /// Call `timerFired` at this time.
        var timer: Timer?
    }

    struct Settled: Equatable, Sendable {
        let ticket: Ticket
        let turn: Turn
    }

    /// How long the store may take to answer.
    static let patience = Duration.milliseconds(100)
    /// Tokens are fetched for the attempts that are expected within this time.
    private static let ahead = 0.05
    /// How long a token may be kept unused.
    private static let shelfLife = Duration.seconds(1)
    private static let firstPauseAfterFailure = Duration.milliseconds(250)
    private static let longestPauseAfterFailure = Duration.seconds(5)
    /// The longest time for which the store's own answer makes the gate pause.
    private static let longestPause = Duration.seconds(60)
    /// The smallest shares of the limit for the local bucket: of a process whose use is known, and of one that has never
    /// got a token from the store.
    private static let smallestShare = 0.01
    private static let unknownShare = 0.1

    private(set) var state = State.ready
    private var queue = AttemptQueue()
    private var stock = 0
    private var stockEnds = MonotonicInstant(nanoseconds: .min)
    private var use = TokenUse()
    /// The number of the last question, how many tokens it asked for, and when.
    private var question: UInt64 = 0
    private var asked = 0
    private var askedAt = MonotonicInstant(nanoseconds: .min)
    /// How many attempts were expected within ``ahead`` when the store was last asked.
    private var batch = 0
    /// When the store may be asked again.
    private var pauseEnds = MonotonicInstant(nanoseconds: .min)
    private var timer: Timer?
    private var timers: UInt64 = 0
    private var failures = 0
    private var local = TokenSchedule()
    /// The rate of the local bucket, as a share of the limit.
    private var share = unknownShare

    /// Whether the local bucket is in use.
    var isStoreAway: Bool { state == .away || state == .probing }

    /// Whether the store has been asked and has not answered.
    var isQuestionOpen: Bool { state == .asking || state == .probing }

    /// How many attempts wait.
    var waiting: Int { queue.count }

    // MARK: Inputs

    /// An attempt wants a token.
    ///
    /// - Parameters:
    ///   - waitEnds: The attempt waits at most until this instant.
    ///   - deadline: The call's deadline; the attempt does not wait beyond it either.
    mutating func take(
        _ ticket: Ticket, at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant?,
        _ limit: RateLimit
    ) -> (Entry, Effects) {
        dropOldStock(at: now)
        var effects = Effects()
        if queue.count == 0, let token = availableToken(at: now, limit) {
            effects.ask = isStoreAway ? probe(at: now, limit) : askAhead(at: now, limit)
            return (.go(token), effects)
        }
        let entry = wait(ticket, at: now, waitEnds: waitEnds, deadline: deadline, limit)
        switch state {
        case .ready: effects.ask = ask(at: now, limit)
        case .pausing where pauseEnds <= now: effects.ask = ask(at: now, limit)
        case .away: effects.ask = probe(at: now, limit)
        case .asking, .pausing, .probing: break
        }
        setTimer(at: now, limit, &effects)
        return (entry, effects)
    }

    /// The store has answered.
    mutating func storeAnswered(
        _ number: UInt64, _ grant: RateLimitGrant, at now: MonotonicInstant, _ limit: RateLimit
    ) -> Effects {
        guard number == question, isQuestionOpen else { return Effects() }
        failures = 0
        dropOldStock(at: now)
        let granted = max(0, min(grant.count, asked))
        if granted > 0 {
            stock += granted
            stockEnds = now.advanced(by: Self.shelfLife)
        }
        state = .ready
        timer = nil
        var effects = Effects()
        serve(at: now, limit, &effects)
        if granted < asked {
            pause(for: grant.retryAfter, at: now, limit)
            refuseLateOnes(at: now, &effects)
            setTimer(at: now, limit, &effects)
        } else if queue.count > 0 {
            effects.ask = ask(at: now, limit)
        }
        return effects
    }

    /// The store has failed, or has not answered in time.
    mutating func storeFailed(_ number: UInt64, at now: MonotonicInstant, _ limit: RateLimit) -> Effects {
        guard number == question, isQuestionOpen else { return Effects() }
        if state == .asking { beginShare(at: now, limit) }
        state = .away
        let pause = Self.firstPauseAfterFailure * (1 << min(failures, 5))
        pauseEnds = now.advanced(by: min(pause, Self.longestPauseAfterFailure))
        failures += 1
        var effects = Effects()
        serve(at: now, limit, &effects)
        setTimer(at: now, limit, &effects)
        return effects
    }

    /// The time of a timer has come.
    mutating func timerFired(_ number: UInt64, at now: MonotonicInstant, _ limit: RateLimit) -> Effects {
        guard number == timer?.number else { return Effects() }
        timer = nil
        var effects = Effects()
        switch state {
        case .ready, .asking: break
        case .pausing:
            state = .ready
            if queue.count > 0 { effects.ask = ask(at: now, limit) }
        case .away, .probing:
            serve(at: now, limit, &effects)
            if queue.count > 0, state == .away { effects.ask = probe(at: now, limit) }
            setTimer(at: now, limit, &effects)
        }
        return effects
    }

    /// The wait of an attempt has reached its limit, or the attempt was cancelled.
    ///
    /// - Returns: whether it was waiting.
    mutating func waitEnded(_ ticket: Ticket) -> Bool { queue.remove(ticket) }

    /// An attempt that has a token is not sent: the token returns.
    mutating func withdrawn(_ token: SuppliedToken, at now: MonotonicInstant, _ limit: RateLimit) -> Effects {
        switch token {
        case .local(let token): local.giveBack(token, at: now)
        case .store:
            dropOldStock(at: now)
            if stock == 0 { stockEnds = now.advanced(by: Self.shelfLife) }
            stock += 1
        }
        var effects = Effects()
        serve(at: now, limit, &effects)
        return effects
    }

    // MARK: Attempts

    /// Takes a token that is there now; nil: there is none.
    private mutating func availableToken(at now: MonotonicInstant, _ limit: RateLimit) -> SuppliedToken? {
        if stock > 0 {
            stock -= 1
            use.record(1, at: now)
            return .store
        }
        guard isStoreAway else { return nil }
        let pace = localPace(limit)
        guard local.next(at: now, opening: nil, pace) <= now else { return nil }
        use.record(1, at: now)
        return .local(local.take(at: now, opening: nil, pace))
    }

    /// Gives the tokens that are there to the attempts that wait, in order.
    private mutating func serve(at now: MonotonicInstant, _ limit: RateLimit, _ effects: inout Effects) {
        while let first = queue.first {
            if first.until <= now {
                queue.remove(first.ticket)
                effects.settled.append(Settled(ticket: first.ticket, turn: .expired(retryAfter: nil)))
            } else if let token = availableToken(at: now, limit) {
                queue.remove(first.ticket)
                effects.settled.append(Settled(ticket: first.ticket, turn: .go(token)))
            } else {
                return
            }
        }
    }

    /// Refuses an attempt that would wait too long: in front of the local bucket, or even if all tokens of the store came
    /// to this process.
    private mutating func wait(
        _ ticket: Ticket, at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant?,
        _ limit: RateLimit
    ) -> Entry {
        let isDeadline = deadline.map { $0 <= waitEnds } ?? false
        let end = isDeadline ? deadline ?? waitEnds : waitEnds
        let reason = isDeadline ? GateRefusal.Reason.deadline : .waitTooLong
        let pace = isStoreAway ? localPace(limit) : TokenSchedule.Pace(perSecond: limit.perSecond, burst: 1)
        let queued = Double(queue.count) * Double(pace.interval)
        let expected = firstToken(at: now, pace).advanced(by: .nanoseconds(Int64(saturating: queued)))
        guard expected < end else {
            return .refused(reason, retryAfter: expected > now ? now.duration(to: expected) : nil)
        }
        queue.append(AttemptQueue.Waiting(ticket: ticket, priority: .normal, until: end))
        return .waits(until: end, thenRefused: reason)
    }

    /// When the next token may come, at the earliest.
    private func firstToken(at now: MonotonicInstant, _ pace: TokenSchedule.Pace) -> MonotonicInstant {
        switch state {
        case .ready, .asking: now
        case .pausing: max(now, pauseEnds)
        case .away, .probing: local.next(at: now, opening: nil, pace)
        }
    }

    /// Refuses the attempts at the head of the queue whose wait ends before the pause does.
    private mutating func refuseLateOnes(at now: MonotonicInstant, _ effects: inout Effects) {
        while let first = queue.first, first.until <= pauseEnds {
            queue.remove(first.ticket)
            effects.settled.append(
                Settled(ticket: first.ticket, turn: .expired(retryAfter: now.duration(to: pauseEnds))))
        }
    }

    // MARK: Asking

    private mutating func ask(at now: MonotonicInstant, _ limit: RateLimit) -> Ask {
        let expected = min((use.rate(at: now) ?? 0) * Self.ahead, Double(max(limit.burst, 1)))
        batch = Int(expected)
        question += 1
        asked = max(1, min(queue.count + batch - stock, limit.burst))
        askedAt = now
        state = isStoreAway ? .probing : .asking
        timer = isStoreAway ? timer : nil
        return Ask(number: question, count: asked)
    }

    /// Fetches the next batch while the last one is not used up.
    private mutating func askAhead(at now: MonotonicInstant, _ limit: RateLimit) -> Ask? {
        guard state == .ready, batch > 1, stock < batch / 2 else { return nil }
        return ask(at: now, limit)
    }

    /// Asks a store that is away, if its pause is over.
    private mutating func probe(at now: MonotonicInstant, _ limit: RateLimit) -> Ask? {
        state == .away && pauseEnds <= now ? ask(at: now, limit) : nil
    }

    /// The store had too few tokens. The next question waits until the bucket may be half full, so that one question
    /// fetches several tokens.
    private mutating func pause(for asked: Duration, at now: MonotonicInstant, _ limit: RateLimit) {
        let half = Double(max(limit.burst, 1)) / 2 / max(limit.perSecond, 0.001)
        let gathering = Duration.nanoseconds(Int64(saturating: min(half, Self.ahead) * 1e9))
        let pause = max(asked, gathering, .milliseconds(1))
        state = .pausing
        pauseEnds = now.advanced(by: min(pause, Self.longestPause))
    }

    /// Sets the timer that wakes the attempts in the queue, unless there is one. While the store is away, it ends at the
    /// latest when the first of them gives up: a small share may have its next token minutes later, and no task must
    /// sleep for it in vain. In a pause, all of them wait for longer than the pause.
    private mutating func setTimer(at now: MonotonicInstant, _ limit: RateLimit, _ effects: inout Effects) {
        guard timer == nil, let first = queue.first, state == .pausing || isStoreAway else { return }
        timers += 1
        let token = firstToken(at: now, localPace(limit))
        let timer = Timer(number: timers, ends: isStoreAway ? min(token, max(first.until, now)) : token)
        self.timer = timer
        effects.timer = timer
    }

    private mutating func dropOldStock(at now: MonotonicInstant) {
        if stock > 0, stockEnds <= now { stock = 0 }
    }

    // MARK: While the store is away

    /// The process goes on with the rate that it has used lately, from the time at which the store was asked: what it did
    /// not give since then is there at once.
    private mutating func beginShare(at now: MonotonicInstant, _ limit: RateLimit) {
        let known = use.rate(at: now).map { max($0 / max(limit.perSecond, 0.001), Self.smallestShare) }
        share = min(known ?? Self.unknownShare, 1)
        let missed = askedAt.duration(to: now).inSeconds * share * limit.perSecond
        local = TokenSchedule(tokens: missed, at: now, localPace(limit))
    }

    private func localPace(_ limit: RateLimit) -> TokenSchedule.Pace {
        let burst = (Double(limit.burst) * share).rounded(.down)
        return TokenSchedule.Pace(
            perSecond: limit.perSecond * share, burst: Int(min(max(burst, 1), 1_000_000)))
    }
}
