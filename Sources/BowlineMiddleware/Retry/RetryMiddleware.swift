package import BowlineCore
package import Logging

/// Turns one call into attempts: sends it again when ``RetryPolicy`` and the origin's budget allow, after a wait.
///
/// Stands inside redirects, so that each hop has its own attempts, and outside everything that runs per attempt.
package struct RetryMiddleware: ReactiveMiddleware {
    private let options: RetryOptions
    private let budgets: RetryBudgets
    private let clock: any ServiceClock
    private let random: @Sendable () -> Double
    private let events: EventDispatch?
    private let log: RetryLog

    /// - Parameters:
    ///   - random: Numbers from 0 up to 1.
    ///   - logger: Where lines about retries go; nil: to the calling task's logger.
    ///   - events: Who tells the client's listeners of decisions; nil: there are none.
    package init(
        options: RetryOptions, budgets: RetryBudgets, clock: any ServiceClock,
        random: @escaping @Sendable () -> Double, events: EventDispatch? = nil, logger: Logger? = nil
    ) {
        self.options = options
        self.budgets = budgets
        self.clock = clock
        self.random = random
        self.events = events
        log = RetryLog(logger: logger, refusals: budgets.refusals)
    }

    package func prepare(_ request: inout ServiceRequest, context: RequestContext) {
        // The instant of admission is near enough to count by, and spares the road a look at the clock.
        // A request that is never tried again neither needs the budget nor adds to it.
        if let budget = budgetToFill(by: request), let origin = request.origin {
            budgets.recordRequest(to: origin, at: context.call.admitted, budget)
        }
    }

    package func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool {
        // A closure sees every response but redirects, and is asked about it once, by `react`.
        if asksAboutResponses(of: request), !isRedirect(response) { return false }
        return response.status.code < 400 || !policy(for: request).isFailure(response.status)
    }

    package func passes(_ error: any Error) -> Bool {
        !(error is ServiceError)
    }

    package func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext,
        next: Next
    ) async throws -> ServiceResponse {
        let first: Outcome
        do {
            first = .response(try outcome.get())
        } catch let error as ServiceError {
            first = Outcome(error, of: context.call, sentBefore: sentBefore, to: request.origin)
        }
        return try await retry(request, context: context, next: next, after: first)
    }

    private func budgetToFill(by request: ServiceRequest) -> RetryBudgetOptions? {
        guard let own = request.ownOptions else { return options.maximumAttempts > 1 ? options.budget : nil }
        guard own.value.retry.maximumAttempts ?? options.maximumAttempts > 1 else { return nil }
        return own.value.retry.budget.resolved(over: options.budget)
    }

    /// By the request's own options, and else the client's.
    private func policy(for request: ServiceRequest) -> RetryPolicy {
        guard let own = request.ownOptions, !own.value.retry.isInherited else { return RetryPolicy(options: options) }
        return RetryPolicy(options: own.value.retry.resolved(over: options))
    }

    /// Everything after a first attempt that did not succeed.
    private func retry(
        _ request: ServiceRequest, context: RequestContext, next: Next, after first: Outcome
    ) async throws -> ServiceResponse {
        let policy = policy(for: request)
        var context = context
        var outcome = first
        var retries = 0
        var furthest = RequestProgress.neverSent
        while true {
            let now = clock.now
            var failure = self.failure(of: outcome)
            let told = self.told(policy, request, context: context, outcome: outcome, failure, retries: retries)
            if let told, let shouldRetry = policy.options.shouldRetry { failure.answer = shouldRetry(told) }
            if let response = outcome.response, !policy.isFailure(response.status, failure.answer) {
                if retries > 0 { log.succeeded(response, request, context, retries: retries) }
                return response
            }
            let chance = random()
            failure.customDelay = told.flatMap { policy.options.backoff.custom?($0, chance) }
            let verdict = decide(
                policy, request, context: context, outcome, failure, retries: retries, random: chance, now: now)
            log.decided(
                verdict, request, cause: outcome.cause, context, attempts: outcome.attempts,
                of: policy.options.maximumAttempts,
                now: now)
            furthest = furthest.furthest(outcome.progress)
            guard case .retry(let delay) = verdict else { return try outcome.get(furthest) }
            // Fixed before the body is let go, which takes its time: that is part of the wait.
            let resumption = now.advanced(by: delay)
            outcome = await outcome.letGo(before: context.deadline, clock: clock)
            do {
                guard try await pause(until: resumption, context: context) else {
                    giveBack(request, policy, withdrawn: now)
                    return try outcome.get(furthest)
                }
            } catch {
                giveBack(request, policy, withdrawn: now)
                outcome.discard()
                throw error
            }
            outcome.discard()
            retries += 1
            if let events, let origin = request.origin { events.retryBegan(context, origin: origin) }
            // One attempt may have been two: after a 401, with new credentials.
            context.beginAttempt(after: outcome.attempts)
            let sent = context.call.timesSent
            do {
                outcome = .response(try await next(request, context: context))
            } catch var error as ServiceError {
                error.attempts = max(error.attempts, context.attempt)
                outcome = Outcome(error, of: context.call, sentBefore: sent, to: request.origin)
            }
        }
    }

    /// Whether it leads elsewhere: then it is not the call's outcome.
    private func isRedirect(_ response: ServiceResponse) -> Bool {
        RedirectPolicy.Kind(response.status) != nil && response.receivedFields.contains("location")
    }

    private func asksAboutResponses(of request: ServiceRequest) -> Bool {
        options.shouldRetry != nil || request.ownOptions?.value.retry.shouldRetry != nil
    }

    private func failure(of outcome: Outcome) -> RetryPolicy.Failure {
        RetryPolicy.Failure(
            cause: outcome.cause, progress: outcome.progress,
            retryAfter: outcome.response.flatMap {
                RetryAfter.delay(asked: $0.receivedFields, wallClock: WallClock.now)
            },
            isOurs: outcome.isOurs, isPassing: outcome.error?.isPassing ?? false
        )
    }

    /// What the caller's closures get; nil: there are none.
    private func told(
        _ policy: RetryPolicy, _ request: ServiceRequest, context: RequestContext, outcome: Outcome,
        _ failure: RetryPolicy.Failure, retries: Int
    ) -> RetryOutcome? {
        guard policy.options.shouldRetry != nil || policy.options.backoff.custom != nil else { return nil }
        if let response = outcome.response, isRedirect(response) { return nil }
        return RetryOutcome(
            method: request.method, attempt: max(context.attempt, outcome.attempts), retries: retries,
            status: outcome.response?.status, received: outcome.response?.receivedFields, error: outcome.error,
            retryAfter: failure.retryAfter)
    }

    private func decide(
        _ policy: RetryPolicy, _ request: ServiceRequest, context: RequestContext, _ outcome: Outcome,
        _ failure: RetryPolicy.Failure, retries: Int, random: Double, now: MonotonicInstant
    ) -> RetryDecision.Verdict {
        var verdict = policy.verdict(
            after: failure, isIdempotent: request.isIdempotent, isReplayable: request.body.isReplayable,
            retries: retries, remaining: context.deadline.map { now.duration(to: $0.instant) }, random: random
        )
        if case .retry = verdict, context.call.isDraining { verdict = .giveUp(.draining) }
        var budgetLeft: Int?
        if let budget = policy.options.budget, let origin = request.origin {
            if case .retry = verdict {
                let withdrawal = budgets.withdraw(from: origin, at: now, budget)
                budgetLeft = withdrawal.left
                if !withdrawal.isGranted { verdict = .giveUp(.budgetExhausted) }
            } else {
                budgetLeft = budgets.left(for: origin, at: now, budget)
            }
        }
        report(policy, request, context: context, outcome: outcome, verdict: verdict, budgetLeft: budgetLeft)
        return verdict
    }

    private func report(
        _ policy: RetryPolicy, _ request: ServiceRequest, context: RequestContext, outcome: Outcome,
        verdict: RetryDecision.Verdict, budgetLeft: Int? = nil
    ) {
        guard policy.options.onDecision != nil || events != nil else { return }
        let decision = RetryDecision(
            attempt: context.attempt, method: request.method, origin: request.origin?.description ?? "",
            cause: outcome.cause, verdict: verdict, budgetLeft: budgetLeft
        )
        policy.options.onDecision?(decision)
        if let origin = request.origin { events?.retryDecided(decision, context, origin: origin) }
    }

    /// - Returns: whether the wait is over; false: no attempt begins, because the client has begun to shut down, or because
    ///   the wait ended so late that the request's time is up.
    private func pause(until instant: MonotonicInstant, context: RequestContext) async throws -> Bool {
        try Task.checkCancellation()
        guard try await context.sleep(until: instant) else { return false }
        // Asked again: time and a drain may have come together.
        guard !context.call.isDraining else { return false }
        return context.deadline.map { clock.now < $0.instant } ?? true
    }

    /// A retry that was granted is not made.
    private func giveBack(_ request: ServiceRequest, _ policy: RetryPolicy, withdrawn: MonotonicInstant) {
        guard let budget = policy.options.budget, let origin = request.origin else { return }
        budgets.giveBack(to: origin, withdrawn: withdrawn, budget)
    }
}
