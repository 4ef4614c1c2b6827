package import BowlineCore

/// Runs calls: carries out the steps that ``CallStateMachine`` decides, one after another.
package final class CallExecutor: RequestHandler {
    /// The placeholder for the outcome while the first attempt has not ended. Made once, because making an error
    /// allocates.
    private static let notBegun = AttemptOutcome.ended(CancellationError())

    private let plan: CallPlan
    private let attempts: AttemptSender
    private let hedgedAttempts: HedgedAttempts

    package init(_ plan: CallPlan) {
        self.plan = plan
        attempts = AttemptSender(plan)
        hedgedAttempts = HedgedAttempts(plan, attempts)
    }

    var observers: CallObservers { plan.observers }

    /// Runs the loop: carries out one step of the machine after another.
    package func handle(
        _ request: consuming ServiceRequest, context: consuming RequestContext
    ) async throws -> ServiceResponse {
        plan.decompression.offer(in: &request)
        plan.idempotencyKeys.apply(to: &request)
        if plan.requestCompression.concerns(request) { request = try await plan.requestCompression.compressed(request) }
        fillBudget(by: request, context)
        var call = CallStateMachine(
            request, policies: plan.policies, deadline: context.deadline, attempt: context.attempt)
        let moment = Moment(plan: plan, call: context.call)
        var outcome = Self.notBegun
        /// The way of a retry or a second sending through the gates; nil: the next attempt begins a hop, or there are no
        /// gates.
        var admission: AttemptGate.Held?
        /// When the budget granted a retry or a second sending of which nothing was sent yet; nil: there is none.
        var granted: MonotonicInstant?
        var step = call.begin()
        while true {
            switch step {
            case .startAttempt(let number):
                if number > 1 {
                    if Task.isCancelled { refund(&granted, call.request) }
                    try discardReplaced(outcome, admission)
                }
                context.attempt = call.attempt
                let request = call.request
                let sentBefore = granted == nil ? 0 : context.call.requestsSent
                outcome =
                    if let hedging = plan.policies.hedging(for: request) {
                        await hedgedAttempts.send(request, context, hedging, admission.take())
                    } else {
                        await attempts.send(request, context, admission.take())
                    }
                if granted != nil, !outcome.isRefusal {
                    // Middleware may have answered the retry, or there was no endpoint for it.
                    if context.call.requestsSent == sentBefore { refund(&granted, request) }
                    granted = nil
                }
                step = call.attemptEnded(number, &outcome, moment)
            case .renewCredentials(let renewal):
                let isRenewed = try await renewCredentials(renewal, &outcome, &granted, call.request, context)
                step = isRenewed ? call.renewed() : call.notRenewed(&outcome, moment)
            case .abandonBody:
                call.request.body.abandon()
                step = call.bodyAbandoned(&outcome, moment)
            case .confirmVerdict(let verdict, let cause):
                let verdict = confirm(verdict, cause, outcome, &granted, call.request, context, at: call.decidedAt)
                step = call.verdictConfirmed(verdict, &outcome, moment)
            case .reportRetrySuccess:
                report(outcome, call.request, context, retries: call.retries)
                step = call.successReported(&outcome, moment)
            case .wait(let instant):
                let isDue = try await waitForRetry(until: instant, &outcome, &granted, call.request, context)
                step = call.waitEnded(isDue: isDue, &outcome, moment)
            case .admit:
                let isDrained: Bool
                (admission, isDrained) = await admit(
                    call.request, context, attempt: call.attempt(after: outcome), &outcome)
                if isDrained {
                    refund(&granted, call.request)
                    step = call.drained(&outcome, moment)
                } else {
                    step = call.admitted(after: outcome)
                }
            case .follow(let origin):
                try discardReplaced(outcome)
                context.beginHop(from: origin)
                if plan.balancing != nil, let target = call.followed.last, target != call.request.url {
                    context.call.redirected(to: target)
                }
                fillBudget(by: call.request, context)
                step = call.hopBegan()
            case .refuse(let refusal):
                throw failure(refusal, outcome, call.request, context)
            case .finish:
                return try finish(outcome, call.request, followed: call.followed)
            }
        }
    }

    // MARK: Steps

    /// Discards the response that another attempt replaces. Its connection is then free, or closed.
    private func discardReplaced(_ outcome: AttemptOutcome, _ admission: AttemptGate.Held? = nil) throws {
        outcome.discard()
        guard Task.isCancelled else { return }
        attempts.abandon(admission)
        throw CancellationError()
    }

    private func finish(
        _ outcome: AttemptOutcome, _ request: ServiceRequest, followed: [ServiceURL]
    ) throws -> ServiceResponse {
        switch outcome {
        case .answered(var response, _):
            if !followed.isEmpty { response.facts.redirects = followed }
            plan.decompression.decode(&response, of: request)
            return response
        case .failed(let error, _): throw error
        case .ended(let error): throw error
        }
    }

    /// Counts a hop's request in the budget of its origin. The instant of admission is precise enough, so the clock is
    /// not read.
    private func fillBudget(by request: ServiceRequest, _ context: RequestContext) {
        guard let budget = plan.policies.budgetToFill(by: request), let origin = request.origin else { return }
        plan.budgets.recordRequest(to: origin, at: context.call.admitted, budget)
    }

    /// Gets credentials other than the refused ones, if there are any. The machine does not take this step while the
    /// client drains.
    ///
    /// - Returns: whether the request is sent again. If not, the machine goes on with `outcome`.
    private func renewCredentials(
        _ renewal: RenewalChance, _ outcome: inout AttemptOutcome, _ granted: inout MonotonicInstant?,
        _ request: ServiceRequest, _ context: RequestContext
    ) async throws -> Bool {
        guard case .answered(var refusal, _) = outcome, let credentials = plan.credentials else { return false }
        var ownRenewal = CredentialRenewal.notRenewed
        if renewal.bowlineMayRenew {
            // The source of credentials may need the connection that an unread body holds.
            refusal.body = await refusal.body.withoutConnection(before: context.deadline, clock: plan.clock)
            outcome = .answered(refusal, renewal)
            try Task.checkCancellation()
            do {
                ownRenewal = try await credentials.renewCredentials(for: request, context)
            } catch {
                refusal.body.discard()
                outcome = AttemptOutcome(error, isOwn: (error as? ServiceError)?.isTemporary ?? false)
                return false
            }
            // The drain may have begun during the wait.
            guard !context.call.isDraining else { return false }
        }
        if ownRenewal == .renewed { return true }
        guard renewal.userClaimsRenewal else { return false }
        guard let budget = plan.policies.budget(for: request), let origin = request.origin else { return true }
        let now = plan.clock.now
        guard plan.budgets.withdraw(from: origin, at: now, budget).isGranted else {
            plan.observers.renewalRefused(
                request, refusal, context, of: plan.policies.retry.maximumAttempts, now: now)
            return false
        }
        granted = now
        return true
    }

    /// If the verdict is to retry, takes a retry from the origin's budget. Then notifies the observers. Returns the
    /// final verdict.
    ///
    /// A retry after a gate's refusal takes nothing from the budget: the refused attempt did not reach the service, so
    /// the retry replaces it and makes no extra load. If a retry was refused and no other follows, it returns to the
    /// budget.
    ///
    /// - Parameter granted: When the budget granted a retry of which nothing was sent yet.
    private func confirm(
        _ verdict: RetryDecision.Verdict, _ cause: RetryDecision.Cause, _ outcome: AttemptOutcome,
        _ granted: inout MonotonicInstant?, _ request: ServiceRequest, _ context: RequestContext,
        at now: MonotonicInstant
    ) -> RetryDecision.Verdict {
        var verdict = verdict
        var budgetLeft: Int?
        let options = plan.policies.retryPolicy(for: request).options
        if let budget = options.budget, let origin = request.origin {
            if case .retry = verdict, !outcome.isRefusal {
                let withdrawal = plan.budgets.withdraw(from: origin, at: now, budget)
                budgetLeft = withdrawal.left
                if withdrawal.isGranted { granted = now } else { verdict = .giveUp(.budgetExhausted) }
            } else {
                if case .giveUp = verdict { refund(&granted, request) }
                budgetLeft = plan.budgets.left(for: origin, at: now, budget)
            }
        }
        plan.observers.decided(
            verdict, cause, request, context, attempts: outcome.attempts, options, budgetLeft: budgetLeft, now: now)
        return verdict
    }

    private func report(
        _ outcome: AttemptOutcome, _ request: ServiceRequest, _ context: RequestContext, retries: Int
    ) {
        guard let response = outcome.response else { return }
        plan.observers.retriesSucceeded(response, request, context, retries: retries)
    }

    /// Waits before a retry. If the retry does not begin, it is returned to the budget.
    ///
    /// - Returns: whether the retry begins; false: the client has begun to shut down, or the call's deadline has
    ///   passed.
    private func waitForRetry(
        until instant: MonotonicInstant, _ outcome: inout AttemptOutcome, _ granted: inout MonotonicInstant?,
        _ request: ServiceRequest, _ context: RequestContext
    ) async throws -> Bool {
        await releaseConnection(of: &outcome, context)
        do {
            try Task.checkCancellation()
            if try await sleepUntilDue(instant, context) {
                plan.observers.retryBegins(request, context)
                return true
            }
            refund(&granted, request)
            return false
        } catch {
            refund(&granted, request)
            outcome.discard()
            throw error
        }
    }

    /// Reads or discards the body of the last response, so that it holds no connection.
    private func releaseConnection(of outcome: inout AttemptOutcome, _ context: RequestContext) async {
        guard case .answered(var response, let renewal) = outcome, !response.body.isInMemory else { return }
        response.body = await response.body.withoutConnection(before: context.deadline, clock: plan.clock)
        outcome = .answered(response, renewal)
    }

    /// Leads a retry or a second sending through the gates. While it waits there, the last response holds no connection.
    ///
    /// - Returns: the admission; nil: there are no gates. And whether the client began to shut down meanwhile: then the
    ///   attempt does not begin.
    private func admit(
        _ request: ServiceRequest, _ context: RequestContext, attempt: Int, _ outcome: inout AttemptOutcome
    ) async -> (AttemptGate.Held?, isDrained: Bool) {
        guard plan.gates != nil else { return (nil, false) }
        await releaseConnection(of: &outcome, context)
        // The gates look for a drain only while an attempt waits there.
        guard !context.call.isDraining else { return (nil, true) }
        var context = context
        context.attempt = attempt
        let admission = await attempts.admit(request, context)
        return admission?.isDrained ?? false ? (nil, true) : (admission, false)
    }

    /// Returns whether the retry is due; false: the client has begun to shut down, or the deadline has passed.
    private func sleepUntilDue(_ instant: MonotonicInstant, _ context: RequestContext) async throws -> Bool {
        guard try await context.sleep(until: instant) else { return false }
        // Checked again: a drain may have begun at the same instant.
        guard !context.call.isDraining else { return false }
        return context.deadline.map { plan.clock.now < $0.instant } ?? true
    }

    /// Returns a retry of which nothing was sent to the budget.
    private func refund(_ granted: inout MonotonicInstant?, _ request: ServiceRequest) {
        guard let instant = granted.take(), let budget = plan.policies.retryPolicy(for: request).options.budget,
            let origin = request.origin
        else { return }
        plan.budgets.refund(to: origin, withdrawnAt: instant, budget)
    }

    private func failure(
        _ refusal: RedirectRefusal, _ outcome: AttemptOutcome, _ request: ServiceRequest, _ context: RequestContext
    ) -> ServiceError {
        var error = ServiceError(
            refusal.code, refusal.message, underlying: refusal.underlying, progress: .responseStarted,
            attempts: max(outcome.attempts, context.attempt), origin: request.origin?.description, phase: .pipeline
        )
        error.requestsSent = context.call.requestsSent
        guard let response = outcome.response else { return error }
        response.body.discard()
        return response.describing(error)
    }
}

/// The time, random numbers and drain state for a decision of a call's machine.
private struct Moment: CallCircumstances {
    let plan: CallPlan
    let call: CallRecord

    var now: MonotonicInstant { plan.clock.now }
    var wallClock: Int64 { WallClock.now() }
    var random: Double { plan.random() }
    var isDraining: Bool { call.isDraining }

    func namedURL(for url: ServiceURL) -> ServiceURL? { plan.balancing?.namedURL(for: url) }
}
