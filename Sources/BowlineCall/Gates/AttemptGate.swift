internal import BowlineCore

/// Leads the attempts of a client through its gates: waits, reports waits and refusals, and makes the errors.
final class AttemptGate: Sendable {
    /// The result of the gates for an attempt.
    enum Admission: Sendable {
        case go(GatePass)
        /// The attempt does not go. Its outcome is this.
        case ended(AttemptOutcome)
    }

    /// The admission of a retry, made before the retry replaces the last outcome. A class, because few calls need it.
    final class Held: Sendable {
        let admission: Admission
        /// The retry's turn and token, which go back if the retry is not sent; nil: it has none.
        fileprivate let visit: GateVisit?

        fileprivate init(_ admission: Admission, _ visit: GateVisit?) {
            self.admission = admission
            self.visit = visit
        }

        /// Whether the client began to shut down while the retry waited.
        var isDrained: Bool {
            if case .ended(.failed(let error, _)) = admission { error.refusal?.reason == .draining } else { false }
        }
    }

    private let gates: ServiceGates
    private let settings: GateSettings
    private let policies: CallPolicies
    private let observers: CallObservers
    private let random: @Sendable () -> Double

    init(_ gates: CallPlan.Gates, _ plan: CallPlan) {
        self.gates = gates.shared
        settings = gates.settings
        policies = plan.policies
        observers = plan.observers
        random = plan.random
    }

    /// Admits an attempt, perhaps after a wait.
    @inline(__always)
    func admit(_ request: ServiceRequest, _ context: RequestContext) async -> Admission {
        switch enter(request, context) {
        case .settled(let admission): return admission
        case .unsettled(let unsettled): return await go(on: unsettled, request, context)
        }
    }

    /// The answer of the gates to an attempt that comes.
    private enum Entry {
        case settled(Admission)
        /// The attempt waits or is refused.
        case unsettled(Unsettled)
    }

    /// An attempt that has not been admitted at once. A class, because few attempts need it.
    private final class Unsettled: Sendable {
        let visit: GateVisit
        let step: GateStep

        init(_ visit: GateVisit, _ step: GateStep) {
            self.visit = visit
            self.step = step
        }
    }

    // Synchronous and not inlined: the visit stays out of the frames of attempts in flight.
    @inline(never)
    private func enter(_ request: ServiceRequest, _ context: RequestContext) -> Entry {
        guard var visit = Self.visit(of: request, context) else { return .settled(Self.withoutURL) }
        let step = gates.enter(&visit, settings, at: gates.now, observers)
        if case .admitted(let pass) = step { return .settled(.go(pass)) }
        return .unsettled(Unsettled(visit, step))
    }

    @inline(__always)
    private static func visit(of request: ServiceRequest, _ context: RequestContext) -> GateVisit? {
        guard let origin = request.origin else { return nil }
        return GateVisit(
            scope: PolicyScope(origin: origin, name: request.ownOptions?.value.policyScope),
            priority: request.ownOptions?.value.priority ?? .normal, deadline: context.deadline?.instant)
    }

    private static var withoutURL: Admission {
        .ended(.failed(ServiceError(.invalidURL, "the request has no URL"), isOwn: false))
    }

    /// Admits a retry, perhaps after a wait, before it replaces the last outcome.
    func hold(_ request: ServiceRequest, _ context: RequestContext) async -> Held {
        guard var visit = Self.visit(of: request, context) else { return Held(Self.withoutURL, nil) }
        let step = gates.enter(&visit, settings, at: gates.now, observers)
        let admission = await lead(&visit, step, request, context)
        return Held(admission, visit)
    }

    /// An admitted attempt has ended: it reached the transport, or failed on the way there.
    func left(_ pass: GatePass, _ outcome: AttemptOutcome, _ request: ServiceRequest) {
        let report = GateReport(
            outcome, settings, maximumPause: policies.retryPolicy(for: request).options.maximumRetryAfter,
            wallClock: WallClock.now)
        // Most attempts cannot change anything that needs a random number.
        let needsRandom =
            report.health == .failure || report.advice.pause > .zero || settings.breaker?.slowCallDuration != nil
        gates.left(
            pass, report, settings, at: gates.now, random: needsRandom ? random() : 0.5, observers)
    }

    /// An admitted attempt has ended without reaching the transport: middleware answered or refused it, or it is a hedge
    /// that is no longer needed. Such an end says nothing about the service.
    func leftUnsent(_ pass: GatePass) {
        gates.left(pass, .nothing, settings, at: gates.now, random: 0.5, observers)
    }

    /// A retry that was admitted is not sent.
    func abandoned(_ held: Held) {
        guard case .go(let pass) = held.admission, var visit = held.visit else { return }
        gates.abandoned(pass, &visit, settings, at: gates.now, observers)
    }

    // MARK: Waits

    // Not inlined: keeps `admit`'s frame small.
    @inline(never)
    private func go(
        on unsettled: Unsettled, _ request: ServiceRequest, _ context: RequestContext
    ) async -> Admission {
        var visit = unsettled.visit
        return await lead(&visit, unsettled.step, request, context)
    }

    /// Leads an attempt on, until it is admitted or has ended.
    private func lead(
        _ visit: inout GateVisit, _ step: GateStep, _ request: ServiceRequest, _ context: RequestContext
    ) async -> Admission {
        let began = gates.now
        var step = step
        while true {
            switch step {
            case .admitted(let pass): return .go(pass)
            case .refused(let refusal): return .ended(refused(refusal, since: began, request, context))
            case .abandoned: return .ended(abandoned(context))
            case .sleeps(let turn, let instant):
                step = await wait(turn, until: instant, isQueued: false, &visit, context)
            case .queued(let turn, let instant):
                step = await wait(turn, until: instant, isQueued: true, &visit, context)
            }
        }
    }

    private func wait(
        _ turn: GateTurn, until instant: MonotonicInstant, isQueued: Bool, _ visit: inout GateVisit,
        _ context: RequestContext
    ) async -> GateStep {
        let (gate, began) = (visit.gate, gates.now)
        context.call.enter(.pipeline, attempt: context.attempt)
        let end = await Self.end(of: turn, until: instant, clock: gates.clock, context)
        let now = gates.now
        let step = gates.goOn(&visit, after: end, wasQueued: isQueued, settings, at: now, observers)
        switch step {
        case .admitted, .sleeps, .queued:
            observers.gateWaited(context, gate, of: visit.scope, waited: began.duration(to: now))
        case .refused, .abandoned: break
        }
        return step
    }

    /// Waits for a turn or an instant. A drain ends the wait of a retry and of a hedge: no further attempt begins then.
    /// The first attempt of a call goes on waiting, as calls that are admitted do.
    private static func end(
        of turn: GateTurn, until instant: MonotonicInstant, clock: any ServiceClock, _ context: RequestContext
    ) async -> GateWaitEnd {
        guard context.attempt > 1 || context.isHedge else {
            return await plainEnd(of: turn, until: instant, clock: clock, context)
        }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await context.call.waitForDrainToBegin()
                let isDraining = context.call.isDraining
                if isDraining { turn.end(.success(())) }
                return isDraining
            }
            let end = await plainEnd(of: turn, until: instant, clock: clock, context)
            group.cancelAll()
            let isDraining = await group.next() ?? false
            return isDraining && end == .due ? .draining : end
        }
    }

    private static func plainEnd(
        of turn: GateTurn, until instant: MonotonicInstant, clock: any ServiceClock, _ context: RequestContext
    ) async -> GateWaitEnd {
        do {
            try await turn.value(
                until: instant == .distantFuture ? nil : instant, clock: clock, call: context.call)
            return .due
        } catch is GateTurn.LimitPassed {
            return .due
        } catch {
            return .abandoned
        }
    }

    // MARK: Outcomes

    private func refused(
        _ refusal: GateRefusal, since began: MonotonicInstant, _ request: ServiceRequest, _ context: RequestContext
    ) -> AttemptOutcome {
        observers.gateRefused(request, context, refusal)
        var error = ServiceError(
            refusal.gate.errorCode, refusal.message, attempts: context.attempt,
            origin: request.origin?.description, phase: .pipeline)
        error.refusal = refusal
        error.elapsed = began.duration(to: gates.now)
        error.requestsSent = context.call.requestsSent
        return .failed(error, isOwn: true)
    }

    private func abandoned(_ context: RequestContext) -> AttemptOutcome {
        Task.isCancelled ? .ended(CancellationError()) : .failed(context.call.forciblyClosed, isOwn: true)
    }
}

extension ServiceGate {
    fileprivate var errorCode: ServiceError.Code {
        switch self {
        case .rate: .rateLimited
        case .concurrency: .concurrencyLimited
        case .breaker: .circuitOpen
        }
    }
}

extension GateRefusal {
    /// The error's message.
    fileprivate var message: String {
        switch (gate, reason) {
        case (_, .draining): "the client began to shut down while a retry waited for a gate"
        case (_, .open): "the circuit breaker is open, because too many recent attempts failed"
        case (_, .isolated): "the circuit breaker was opened by hand (isolate)"
        case (_, .probing): "the circuit breaker waits for the results of its probes"
        case (_, .queueFull): "too many attempts wait already (resilience.concurrency.maximumWaiting)"
        case (_, .shed): "the queue of attempts is filling up, and the attempt's priority is too low"
        case (_, .closedByService): "the service has asked for a longer pause than attempts wait for"
        case (.rate, .waitTooLong): "the wait for the rate limit would be longer than resilience.rate.maximumWait"
        case (_, .waitTooLong): "the wait for the limit of concurrency was longer than its maximumWait"
        case (.rate, .deadline): "the wait for the rate limit would pass the request's deadline"
        case (_, .deadline): "the wait for the limit of concurrency would pass the request's deadline"
        }
    }
}
