internal import BowlineCore

/// Sends an attempt that may get hedges: further attempts of the same request while the first one is still in flight.
///
/// All attempts of a round are child tasks of the caller's task. So they are cancelled with the caller, and have the
/// caller's task-local values and executor. The round returns when all of them have ended: the winner waits for the
/// losers. A cancelled attempt ends at once in all of Bowline's waits and in its transport, without waiting for the
/// network. Only `perAttempt` middleware, or a transport of the user, that ignores its cancellation delays the winner.
///
/// ``HedgingStateMachine`` decides when a hedge begins and which outcome counts.
final class HedgedAttempts: Sendable {
    private let plan: CallPlan
    private let attempts: AttemptSender

    init(_ plan: CallPlan, _ attempts: AttemptSender) {
        self.plan = plan
        self.attempts = attempts
    }

    /// Sends `request`, with hedges if it may have any. Returns the outcome that counts.
    ///
    /// If no attempt got an acceptable response, the outcome's `progress` is the furthest of all attempts.
    ///
    /// - Parameter held: The admission of the first attempt, if it is a retry; nil: it has not come to the gates yet.
    func send(
        _ request: ServiceRequest, _ context: RequestContext, _ options: HedgingOptions, _ held: AttemptGate.Held?
    ) async -> AttemptOutcome {
        guard HedgingPolicy.allows(request), let origin = request.origin else {
            return await attempts.send(request, context, held)
        }
        let policy = HedgingPolicy(options)
        let began = plan.clock.now
        var latency: ScopeLatency?
        var percentile: Duration?
        if let share = policy.share {
            let scope = PolicyScope(origin: origin, name: request.ownOptions?.value.policyScope)
            let known = plan.hedgingLatencies.latency(of: scope, at: began)
            latency = known
            percentile = known.percentile(share, at: began)
        }
        let remaining = context.deadline.map { began.duration(to: $0.instant) }
        let retry = plan.policies.retryPolicy(for: request)
        guard
            let delay = policy.delay(
                percentile: percentile, remaining: remaining, isDraining: context.call.isDraining)
        else {
            let context = attempts.recorded(context)
            let outcome = await attempts.send(request, context, held)
            if let latency, context.wasSent, HedgingPolicy.ending(outcome, retry, wasSent: true) == .acceptable {
                let now = plan.clock.now
                latency.record(began.duration(to: now), at: now)
            }
            return outcome
        }
        return await withTaskGroup(of: HedgedRound.Event.self) { group in
            var round = HedgedRound(
                request, context, origin: origin, began: began, plan: plan, attempts: attempts, retry: retry,
                held: held, latency: latency,
                machine: HedgingStateMachine(
                    delay: delay, maximumHedges: options.maximumHedges, deadline: context.deadline?.instant))
            return await round.run(in: &group)
        }
    }
}
