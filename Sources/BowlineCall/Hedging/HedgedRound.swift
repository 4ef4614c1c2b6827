internal import BowlineCore

/// One round: the first attempt and its hedges, as tasks of one group. Carries out the steps of its machine.
struct HedgedRound: ~Copyable {
    /// What a task of the group reports.
    enum Event: Sendable {
        case ended(Int, AttemptOutcome)
        /// The kept response of an attempt no longer holds a connection.
        case settled(Int, AttemptOutcome)
        /// The timer has ended. `isDue`: whether its instant was reached; false: it was cancelled.
        case timer(isDue: Bool)
    }

    /// The best outcome so far, while other attempts are in flight.
    private struct Kept {
        let attempt: Int
        /// nil: the response's body is being read into memory.
        var outcome: AttemptOutcome?
    }

    private let request: ServiceRequest
    private let context: RequestContext
    private let origin: Origin
    private let began: MonotonicInstant
    private let plan: CallPlan
    private let attempts: AttemptSender
    private let retry: RetryPolicy
    /// The admission of the first attempt; nil: it has not come to the gates yet.
    private let held: AttemptGate.Held?
    private let latency: ScopeLatency?
    /// How many requests the call had sent before the round.
    private let sentBefore: Int
    /// For the gates; nil: there are none.
    private let end: HedgedEnd?
    private var machine: HedgingStateMachine
    /// When the budget granted each hedge, in order.
    private var granted: [MonotonicInstant] = []
    /// The record of the first attempt; nil: no middleware could answer it.
    private var firstRecord: AttemptRecord?
    /// The context of each hedge, in order.
    private var hedges: [RequestContext] = []
    private var kept: Kept?
    /// The attempt whose outcome counts; 0: not decided yet.
    private var winner = 0
    private var result: AttemptOutcome?

    init(
        _ request: ServiceRequest, _ context: RequestContext, origin: Origin, began: MonotonicInstant, plan: CallPlan,
        attempts: AttemptSender, retry: RetryPolicy, held: AttemptGate.Held?, latency: ScopeLatency?,
        machine: consuming HedgingStateMachine
    ) {
        self.request = request
        self.context = context
        self.origin = origin
        self.began = began
        self.plan = plan
        self.attempts = attempts
        self.retry = retry
        self.held = held
        self.latency = latency
        self.machine = machine
        end = plan.gates == nil ? nil : HedgedEnd(retry)
        sentBefore = context.call.requestsSent
    }

    /// Runs the round. When it returns, all its attempts have ended.
    mutating func run(in group: inout TaskGroup<Event>) async -> AttemptOutcome {
        carryOut(machine.began(at: began), in: &group)
        while result == nil, let event = await group.next() { handle(event, in: &group) }
        group.cancelAll()
        while let event = await group.next() { discard(event) }
        var outcome = result ?? .ended(CancellationError())
        if machine.started > 1 { complete(&outcome) }
        return outcome
    }

    // MARK: Events

    private mutating func handle(_ event: Event, in group: inout TaskGroup<Event>) {
        if Task.isCancelled { carryOut(machine.cancelled(), in: &group) }
        switch event {
        case .timer(let isDue): if isDue { delayPassed(in: &group) }
        case .ended(let attempt, let outcome): ended(attempt, outcome, in: &group)
        case .settled(let attempt, let outcome): settled(attempt, outcome)
        }
    }

    private mutating func delayPassed(in group: inout TaskGroup<Event>) {
        if context.call.isDraining {
            carryOut(machine.drainBegan(), in: &group)
        } else {
            carryOut(machine.hedgeDelayPassed(at: plan.clock.now, isWaiting: isNewestWaiting), in: &group)
        }
    }

    /// Whether the newest attempt waits. Before its request is given to the transport, an attempt waits within the
    /// client or in middleware. An attempt that has ended, for example because a gate refused it, does not wait.
    private var isNewestWaiting: Bool {
        guard machine.inFlight.contains(machine.started) else { return false }
        guard let hedge = hedges.last?.call else {
            return context.call.requestsSent == sentBefore || context.call.phase == .queued
        }
        return !hedge.hasSent || hedge.phase == .queued
    }

    private mutating func ended(_ attempt: Int, _ outcome: AttemptOutcome, in group: inout TaskGroup<Event>) {
        refund(attempt)
        let ending = HedgingPolicy.ending(outcome, retry, wasSent: wasSent(attempt))
        switch machine.attemptEnded(attempt, ending) {
        case .keep:
            context.call.attemptEnded(hedge: attempt - 1)
            keep(outcome, of: attempt, in: &group)
        case .finish(let winner, let losers):
            finish(winner, with: attempt, outcome)
            // A duration that the winner cuts off counts too. Without it slow attempts would be missing, and the
            // percentile would fall with each hedge. An answer that middleware made says nothing.
            let isOfFirst = winner == 1 ? wasSent(1) : losers.contains(1)
            if ending == .acceptable, isOfFirst { recordLatency() }
            reportEnd(isAnswered: ending == .acceptable)
        case .drop, .start, .arm, .withdraw, .nothing:
            context.call.attemptEnded(hedge: attempt - 1)
            outcome.discard()
        }
    }

    /// Whether the attempt was given to the transport, as far as is known.
    private func wasSent(_ attempt: Int) -> Bool {
        attempt == 1 ? firstRecord?.isSent ?? true : hedges[attempt - 2].wasSent
    }

    /// Keeps the best outcome so far. A response's body is read into memory, or discarded if it is too long or too
    /// slow, because the attempts in flight may need its connection.
    private mutating func keep(_ outcome: AttemptOutcome, of attempt: Int, in group: inout TaskGroup<Event>) {
        kept?.outcome?.discard()
        guard case .answered(let response, let renewal) = outcome, !response.body.isInMemory else {
            kept = Kept(attempt: attempt, outcome: outcome)
            return
        }
        kept = Kept(attempt: attempt, outcome: nil)
        group.addTask { [deadline = context.deadline, clock = plan.clock] in
            var response = response
            response.body = await response.body.withoutConnection(before: deadline, clock: clock)
            return .settled(attempt, .answered(response, renewal))
        }
    }

    private mutating func settled(_ attempt: Int, _ outcome: AttemptOutcome) {
        guard kept?.attempt == attempt else { return outcome.discard() }
        if winner == attempt { result = outcome } else { kept?.outcome = outcome }
    }

    private mutating func finish(_ winner: Int, with attempt: Int, _ outcome: AttemptOutcome) {
        self.winner = winner
        if winner == attempt {
            result = outcome
            kept?.outcome?.discard()
            kept = nil
        } else {
            // If the kept response is still being read, the round waits for that.
            result = kept?.outcome
            outcome.discard()
        }
    }

    private func discard(_ event: Event) {
        switch event {
        case .ended(let attempt, let outcome):
            refund(attempt)
            outcome.discard()
        case .settled(_, let outcome): outcome.discard()
        case .timer: break
        }
    }

    // MARK: Steps

    private mutating func carryOut(_ step: HedgingStateMachine.Step, in group: inout TaskGroup<Event>) {
        switch step {
        case .start(let attempt, let next):
            start(attempt, in: &group)
            if let next { setTimer(next, in: &group) }
        case .arm(let next): setTimer(next, in: &group)
        case .withdraw: withdraw(in: &group)
        // `keep`, `drop` and `finish` need the outcome: `ended` carries them out.
        case .keep, .drop, .finish, .nothing: break
        }
    }

    private mutating func start(_ attempt: Int, in group: inout TaskGroup<Event>) {
        let own = attempts.recorded(attempt > 1 ? context.hedge(attempt - 1) : context)
        if attempt == 1 {
            firstRecord = own.record
        } else {
            hedges.append(own)
            plan.observers.hedgeBegan(request, own, delay: began.duration(to: plan.clock.now))
        }
        let held = attempt == 1 ? held : nil
        group.addTask { [attempts, request, end] in
            .ended(attempt, await attempts.send(request, own, held, in: end))
        }
    }

    private func setTimer(_ instant: MonotonicInstant, in group: inout TaskGroup<Event>) {
        group.addTask { [clock = plan.clock] in
            .timer(isDue: (try? await clock.sleep(until: instant, tolerance: nil)) != nil)
        }
    }

    private mutating func withdraw(in group: inout TaskGroup<Event>) {
        let now = plan.clock.now
        if let budget = retry.options.budget, !plan.budgets.withdraw(from: origin, at: now, budget).isGranted {
            plan.observers.hedgeRefused(request, context)
            carryOut(machine.budgetRefused(), in: &group)
        } else {
            granted.append(now)
            carryOut(machine.budgetGranted(at: now), in: &group)
        }
    }

    /// Returns a hedge's retry to the budget if nothing of the hedge reached the transport: a gate refused it, or it
    /// was cancelled while it waited.
    private func refund(_ attempt: Int) {
        guard attempt > 1, !hedges[attempt - 2].call.hasSent, let budget = retry.options.budget else { return }
        plan.budgets.refund(to: origin, withdrawnAt: granted[attempt - 2], budget)
    }

    // MARK: The end

    private func recordLatency() {
        guard let latency else { return }
        let now = plan.clock.now
        latency.record(began.duration(to: now), at: now)
    }

    private func reportEnd(isAnswered: Bool) {
        guard machine.started > 1 else { return }
        plan.observers.hedgesEnded(
            request, context, winner: winner, of: machine.started, isAnswered: isAnswered,
            isCancelled: !isAnswered && Task.isCancelled)
    }

    /// Completes the outcome of a round with hedges, with facts of all its attempts.
    private func complete(_ outcome: inout AttemptOutcome) {
        let requestsSent = context.call.requestsSent
        var phase: RequestPhase? = .pipeline
        switch outcome {
        case .answered(var response, let renewal):
            if !response.body.isInMemory { phase = nil }
            response.facts.requestsSent = requestsSent
            outcome = .answered(response, renewal)
        case .failed(var error, let isOwn):
            error.progress = error.progress.furthest(machine.furthest)
            // An error that middleware made has no number.
            if error.requestsSent > 0 { error.requestsSent = requestsSent }
            outcome = .failed(error, isOwn: isOwn)
        case .ended: break
        }
        context.call.hedgesEnded(winner: winner - 1, phase: phase)
    }
}
