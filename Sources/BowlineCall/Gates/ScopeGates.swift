internal import BowlineCore

/// The gates of one scope: the machines, the attempts that wait, and the order in which an attempt passes them.
///
/// The order is: the breaker refuses at once if it is open; rate, with the store of tokens if there is one; concurrency;
/// and the breaker again, because the attempt may have waited. An attempt that does not go gives back what it has got.
///
/// ``ServiceGates`` holds a lock around every use, and carries out the effects after the unlock. A class, so that an
/// admitted attempt can keep a reference: its end needs no look-up.
///
/// The properties are not checked for overlapping accesses (`Docs/Decisions/unchecked-exclusivity.md`): the machines call
/// no other code.
// Safety: the only property that is read without the lock of the scope's table is `scope`, which is constant.
final class ScopeGates: @unchecked Sendable {
    /// The decision about an attempt that waited in a queue.
    private enum Decision {
        case slot
        case token(TokenSupplyStateMachine.Turn)
        case expired
        case displaced
    }

    let scope: PolicyScope
    @exclusivity(unchecked) private var rate = RateStateMachine()
    @exclusivity(unchecked) private var supply = TokenSupplyStateMachine()
    /// Used from the first attempt on that has such a limit. Not optional: a call on an optional machine copies it.
    @exclusivity(unchecked) private var concurrency = ConcurrencyStateMachine(ConcurrencyOptions())
    @exclusivity(unchecked) private var hasConcurrency = false
    @exclusivity(unchecked) private var breaker = BreakerStateMachine()
    /// The signals of the attempts in queues.
    @exclusivity(unchecked) private var turns: [UInt64: GateTurn] = [:]
    /// The signals of the attempts that sleep until their turns at the rate gate.
    @exclusivity(unchecked) private var sleepers: [UInt64: GateTurn] = [:]
    /// What was decided about attempts in queues that have not continued yet.
    @exclusivity(unchecked) private var decisions: [UInt64: Decision] = [:]
    @exclusivity(unchecked) private var lastTicket: UInt64 = 0
    /// Attempts that wait or are in flight.
    @exclusivity(unchecked) private var present = 0
    @exclusivity(unchecked) private var inFlight = 0
    @exclusivity(unchecked) private var admitted = 0
    @exclusivity(unchecked) private var refused = 0
    @exclusivity(unchecked) private(set) var lastUsed: MonotonicInstant

    init(_ scope: PolicyScope, at now: MonotonicInstant) {
        self.scope = scope
        lastUsed = now
    }

    // MARK: Steps of an attempt

    /// An attempt comes to the gates.
    func enter(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep {
        lastUsed = max(lastUsed, now)
        present += 1
        if let refusal = refusalByBreaker(&visit, at: now, settings, &effects) { return refusal }
        guard let rule = settings.rate else { return enterQueue(&visit, at: now, settings, &effects) }
        visit.rateWaitEnds = now.advanced(by: rule.maximumWait)
        let decision = rate.take(at: now, waitEnds: visit.rateWaitEnds, deadline: visit.deadline, rule)
        return continued(after: decision, &visit, at: now, settings, &effects)
    }

    /// An attempt that slept has woken.
    func woke(
        _ visit: inout GateVisit, _ end: GateWaitEnd, at now: MonotonicInstant, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) -> GateStep {
        sleepers[visit.ticket] = nil
        if end != .due { return endVisit(&visit, end, at: now, settings, &effects) }
        return goOn(&visit, at: now, settings, &effects)
    }

    /// The wait of an attempt in a queue has ended: it was settled, its limit was reached, or ``GateWaitEnd`` says why.
    func turnEnded(
        _ visit: inout GateVisit, _ end: GateWaitEnd, at now: MonotonicInstant, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) -> GateStep {
        turns[visit.ticket] = nil
        let decision = decisions.removeValue(forKey: visit.ticket)
        if decision == nil { leaveQueue(visit, at: now) }
        if end != .due {
            if case .slot = decision { leaveConcurrency(.ignored, at: now, &effects) }
            if case .token(.go(let token)) = decision { visit.token = token }
            return endVisit(&visit, end, at: now, settings, &effects)
        }
        switch decision {
        case .slot:
            guard rate.state(at: now) == .closed, settings.rate != nil else {
                return passBreaker(&visit, hasSlot: true, at: now, settings, &effects)
            }
            leaveConcurrency(.ignored, at: now, &effects)
            return waitForPause(&visit, at: now, settings, &effects)
        case .token(.go(let token)):
            visit.token = token
            return goOn(&visit, at: now, settings, &effects)
        case .token(.expired(let retryAfter)):
            return refuse(&visit, .rate, visit.thenRefused, retryAfter: retryAfter, at: now, settings, &effects)
        case .displaced: return refuse(&visit, .concurrency, .shed, at: now, settings, &effects)
        case .expired, nil: return refuse(&visit, visit.gate, visit.thenRefused, at: now, settings, &effects)
        }
    }

    /// An admitted attempt has ended.
    func left(
        _ pass: GatePass, _ report: GateReport, at now: MonotonicInstant, random: Double, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) {
        lastUsed = max(lastUsed, now)
        present -= 1
        inFlight -= 1
        let took = pass.admitted.duration(to: now)
        if report.advice != RateAdvice() { rate.answered(report.advice, at: now, random: random) }
        if pass.hasSlot { leaveConcurrency(report.load.sample(latency: took), at: now, &effects) }
        if let breakerPass = pass.breaker, let options = settings.breaker {
            let transition = breaker.attemptEnded(
                breakerPass, report.health, took: took, at: now, random: random, options)
            if let transition { effects.add { $0.transition = transition } }
        }
    }

    /// An admitted attempt is not sent.
    func abandoned(
        _ pass: GatePass, _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) {
        giveTokensBack(&visit, at: now, settings, &effects)
        left(pass, .nothing, at: now, random: 0.5, settings, &effects)
    }

    // MARK: Tokens of a store

    /// The store has answered, or (nil) failed.
    func storeAnswered(
        _ number: UInt64, _ grant: RateLimitGrant?, at now: MonotonicInstant, _ limit: RateLimit,
        _ effects: inout GateEffects
    ) {
        let result =
            grant.map { supply.storeAnswered(number, $0, at: now, limit) }
            ?? supply.storeFailed(number, at: now, limit)
        apply(result, &effects)
    }

    /// The time of a timer for the store has come.
    func storeTimerFired(
        _ number: UInt64, at now: MonotonicInstant, _ limit: RateLimit, _ effects: inout GateEffects
    ) {
        apply(supply.timerFired(number, at: now, limit), &effects)
    }

    // MARK: By hand

    func isolate(at now: MonotonicInstant) -> BreakerTransition? {
        lastUsed = max(lastUsed, now)
        return breaker.isolate(at: now)
    }

    /// The attempts that sleep look at the gates again at once.
    func reset(at now: MonotonicInstant, _ effects: inout GateEffects) {
        rate.reset()
        if let transition = breaker.reset(at: now) { effects.add { $0.transition = transition } }
        // In the order in which they came.
        for (_, turn) in sleepers.sorted(by: { $0.key < $1.key }) { effects.add { $0.turns.append(turn) } }
        sleepers = [:]
    }

    // MARK: State

    /// Whether attempts wait or are in flight, the store has been asked, or the program has isolated the scope. Such a
    /// scope is not forgotten.
    var isInUse: Bool { present > 0 || supply.isQuestionOpen || breaker.state == .isolated }

    /// Whether the scope has state that protects the service: an open breaker, or a closed rate gate.
    func isGuarding(at now: MonotonicInstant) -> Bool {
        breaker.state != .closed || rate.state(at: now) == .closed
    }

    func snapshot(at now: MonotonicInstant) -> ScopeSnapshot {
        var limits: ConcurrencySnapshot?
        if hasConcurrency {
            limits = ConcurrencySnapshot(
                limit: concurrency.limit, inFlight: concurrency.inFlight, waiting: concurrency.waiting)
        }
        let refusal = breaker.peek(at: now, BreakerOptions())
        return ScopeSnapshot(
            scope: scope, inFlight: inFlight, waiting: present - inFlight, admitted: admitted, refused: refused,
            rate: RateSnapshot(
                closedFor: rate.closedFor(at: now), quotaPerSecond: rate.quotaRate(at: now),
                isStoreAway: supply.isStoreAway),
            concurrency: limits,
            breaker: BreakerSnapshot(state: breaker.state, openFor: refusal?.retryAfter))
    }
}

// The order of the gates.
extension ScopeGates {
    /// An attempt goes on after a wait: the breaker may have opened meanwhile, and the rate gate may have closed.
    private func goOn(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep {
        if let refusal = refusalByBreaker(&visit, at: now, settings, &effects) { return refusal }
        guard let rule = settings.rate, let reservation = visit.reservation else {
            return takeToken(&visit, at: now, settings, &effects)
        }
        // The machine takes the reservation back if it makes another one or refuses the attempt.
        visit.reservation = nil
        let decision = rate.woke(reservation, at: now, deadline: visit.deadline, rule)
        return continued(after: decision, &visit, at: now, settings, &effects)
    }

    /// The attempt's place in flight has come while the service has asked for a pause. The attempt waits for the rate
    /// gate, and then queues again for the rest of its wait. The time in the queue was no wait for the rate gate.
    private func waitForPause(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep {
        let waited = visit.queued.duration(to: now)
        visit.waited += waited
        visit.rateWaitEnds = visit.rateWaitEnds.advanced(by: waited)
        if let refusal = refusalByBreaker(&visit, at: now, settings, &effects) { return refusal }
        guard let rule = settings.rate else { return enterQueue(&visit, at: now, settings, &effects) }
        if let reservation = visit.reservation { rate.withdrawn(reservation, at: now) }
        visit.reservation = nil
        let decision = rate.take(at: now, waitEnds: visit.rateWaitEnds, deadline: visit.deadline, rule)
        return continued(after: decision, &visit, at: now, settings, &effects)
    }

    private func continued(
        after decision: RateDecision, _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) -> GateStep {
        switch decision {
        case .go(let reservation):
            visit.reservation = reservation
            return takeToken(&visit, at: now, settings, &effects)
        case .wait(let instant, let reservation):
            visit.reservation = reservation
            visit.gate = .rate
            giveTicket(&visit)
            let turn = GateTurn()
            sleepers[visit.ticket] = turn
            return .sleeps(turn, until: instant)
        case .refuse(let reason, let retryAfter):
            return refuse(&visit, .rate, reason, retryAfter: retryAfter, at: now, settings, &effects)
        }
    }

    private func takeToken(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep {
        guard let limit = settings.supplyLimit, visit.token == nil else {
            return enterQueue(&visit, at: now, settings, &effects)
        }
        giveTicket(&visit)
        let (entry, result) = supply.take(
            visit.ticket, at: now, waitEnds: visit.rateWaitEnds, deadline: visit.deadline, limit)
        apply(result, &effects)
        switch entry {
        case .go(let token):
            visit.token = token
            return enterQueue(&visit, at: now, settings, &effects)
        case .waits(let instant, let reason):
            return queued(&visit, .rate, at: now, until: instant, thenRefused: reason)
        case .refused(let reason, let retryAfter):
            return refuse(&visit, .rate, reason, retryAfter: retryAfter, at: now, settings, &effects)
        }
    }

    private func enterQueue(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep {
        guard let options = settings.concurrency else {
            return passBreaker(&visit, hasSlot: false, at: now, settings, &effects)
        }
        giveTicket(&visit)
        if !hasConcurrency {
            concurrency = ConcurrencyStateMachine(options)
            hasConcurrency = true
        }
        let entry = concurrency.enter(
            visit.ticket, priority: visit.priority, at: now, deadline: visit.deadline, waited: visit.waited, options)
        if let displaced = entry.displaced { decide(.displaced, about: displaced, &effects) }
        switch entry.decision {
        case .admitted: return passBreaker(&visit, hasSlot: true, at: now, settings, &effects)
        case .waits(let instant, let reason):
            return queued(&visit, .concurrency, at: now, until: instant, thenRefused: reason)
        case .refused(let reason, let retryAfter):
            return refuse(&visit, .concurrency, reason, retryAfter: retryAfter, at: now, settings, &effects)
        }
    }

    private func passBreaker(
        _ visit: inout GateVisit, hasSlot: Bool, at now: MonotonicInstant, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) -> GateStep {
        guard let options = settings.breaker else { return admit(hasSlot: hasSlot, nil, at: now) }
        switch breaker.admit(at: now, options) {
        case .go(let pass, let transition):
            if let transition { effects.add { $0.transition = transition } }
            return admit(hasSlot: hasSlot, pass, at: now)
        case .refuse(let refusal):
            if hasSlot { leaveConcurrency(.ignored, at: now, &effects) }
            return refuse(&visit, .breaker, refusal.reason, retryAfter: refusal.retryAfter, at: now, settings, &effects)
        }
    }

    private func admit(hasSlot: Bool, _ breaker: BreakerPass?, at now: MonotonicInstant) -> GateStep {
        inFlight += 1
        admitted += 1
        return .admitted(GatePass(gates: self, admitted: now, hasSlot: hasSlot, breaker: breaker))
    }

    private func refusalByBreaker(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep? {
        guard let options = settings.breaker, let refusal = breaker.peek(at: now, options) else { return nil }
        return refuse(&visit, .breaker, refusal.reason, retryAfter: refusal.retryAfter, at: now, settings, &effects)
    }

    // MARK: Refusals

    /// Ends a visit whose wait has ended early.
    private func endVisit(
        _ visit: inout GateVisit, _ end: GateWaitEnd, at now: MonotonicInstant, _ settings: GateSettings,
        _ effects: inout GateEffects
    ) -> GateStep {
        if end == .draining { return refuse(&visit, visit.gate, .draining, at: now, settings, &effects) }
        withdraw(&visit, at: now, settings, &effects)
        return .abandoned
    }

    private func refuse(
        _ visit: inout GateVisit, _ gate: ServiceGate, _ reason: GateRefusal.Reason, retryAfter: Duration? = nil,
        at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) -> GateStep {
        refused += 1
        withdraw(&visit, at: now, settings, &effects)
        return .refused(GateRefusal(gate: gate, scope: scope, reason: reason, retryAfter: retryAfter))
    }

    /// Takes back what the attempt has got.
    private func withdraw(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) {
        present -= 1
        giveTokensBack(&visit, at: now, settings, &effects)
    }

    private func giveTokensBack(
        _ visit: inout GateVisit, at now: MonotonicInstant, _ settings: GateSettings, _ effects: inout GateEffects
    ) {
        if let reservation = visit.reservation { rate.withdrawn(reservation, at: now) }
        if let token = visit.token, let limit = settings.supplyLimit {
            apply(supply.withdrawn(token, at: now, limit), &effects)
        }
        visit.reservation = nil
        visit.token = nil
    }

    // MARK: Queues

    private func giveTicket(_ visit: inout GateVisit) {
        lastTicket += 1
        visit.ticket = lastTicket
    }

    private func queued(
        _ visit: inout GateVisit, _ gate: ServiceGate, at now: MonotonicInstant, until instant: MonotonicInstant,
        thenRefused reason: GateRefusal.Reason
    ) -> GateStep {
        visit.gate = gate
        visit.queued = now
        visit.thenRefused = reason
        let turn = GateTurn()
        turns[visit.ticket] = turn
        return .queued(turn, until: instant)
    }

    private func leaveQueue(_ visit: GateVisit, at now: MonotonicInstant) {
        switch visit.gate {
        case .rate: _ = supply.waitEnded(visit.ticket)
        case .concurrency, .breaker: _ = concurrency.waitEnded(visit.ticket, at: now)
        }
    }

    private func leaveConcurrency(
        _ sample: ConcurrencySample, at now: MonotonicInstant, _ effects: inout GateEffects
    ) {
        let before = concurrency.limit
        let release = concurrency.left(sample, at: now)
        for ticket in release.admitted { decide(.slot, about: ticket, &effects) }
        for ticket in release.expired { decide(.expired, about: ticket, &effects) }
        let after = concurrency.limit
        if after != before { effects.add { $0.limit = after } }
    }

    private func apply(_ result: TokenSupplyStateMachine.Effects, _ effects: inout GateEffects) {
        if let ask = result.ask { effects.add { $0.ask = ask } }
        if let timer = result.timer { effects.add { $0.timer = timer } }
        for settled in result.settled { decide(.token(settled.turn), about: settled.ticket, &effects) }
    }

    private func decide(_ decision: Decision, about ticket: UInt64, _ effects: inout GateEffects) {
        guard let turn = turns.removeValue(forKey: ticket) else { return }
        decisions[ticket] = decision
        effects.add { $0.turns.append(turn) }
    }
}
