package import BowlineCore
package import Logging

/// Sends a request once more, with other credentials, after a 401: an attempt like every other.
///
/// Stands inside retries and outside all that runs per attempt, so that the second sending has its own span, measurement and
/// line. A shutdown that has begun keeps it from being sent.
///
/// An authenticator of the user's takes from the origin's retry budget with it: a service that refuses everybody is not asked
/// twice by everybody. One of ours does not: it knows which credentials were refused, and asks for others once a second at
/// most. When a token is replaced, all that were under way with the old one are sent again, however many they are. Of a chain,
/// ours are asked first.
package struct ReauthenticationMiddleware: ServiceMiddleware {
    private let punctual: (any PunctualAuthenticator)?
    private let options: RetryOptions
    private let budgets: RetryBudgets
    private let clock: any ServiceClock
    private let log: RetryLog

    /// - Parameters:
    ///   - authenticator: Who adds the credentials, further in.
    ///   - options: The client's, for their budget; a request's own stand over them.
    ///   - logger: Where a refusal of the budget is told; nil: to the calling task's logger.
    package init(
        _ authenticator: any RequestAuthenticator, options: RetryOptions, budgets: RetryBudgets,
        clock: any ServiceClock,
        logger: Logger? = nil
    ) {
        punctual = authenticator as? any PunctualAuthenticator
        self.options = options
        self.budgets = budgets
        self.clock = clock
        log = RetryLog(logger: logger, refusals: budgets.refusals)
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        let response = try await next(request, context: context)
        let others = response.facts.otherCredentials
        guard others.areKnown || others.areClaimed, request.body.isReplayable else { return response }
        return try await sendAgain(request, after: response, context: context, next: next)
    }

    /// While a client drains, nothing is begun that could be left undone: a fetch of credentials neither.
    private func sendAgain(
        _ request: ServiceRequest, after first: ServiceResponse, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        var refusal = first
        guard !context.call.isDraining else { return refusal }
        let others = refusal.facts.otherCredentials
        var areOthersKnown = false
        if let punctual, others.areKnown {
            // The source of credentials may need the connection that an unread body holds, so that goes first.
            refusal.body = await refusal.body.letGo(before: context.deadline, clock: clock)
            try Task.checkCancellation()
            do {
                areOthersKnown = try await punctual.hasOtherCredentials(context: context, clock: clock)
            } catch {
                refusal.body.discard()
                throw AuthenticationMiddleware.failure(error, request, context, .responseStarted)
            }
            // Asked again: what had to be waited for took its time.
            guard !context.call.isDraining else { return refusal }
        }
        guard areOthersKnown || others.areClaimed else { return refusal }
        if !areOthersKnown, !isGranted(to: request) {
            log.decided(
                .giveUp(.budgetExhausted), request, cause: .status(refusal.status.code), context,
                attempts: refusal.facts.attempts, of: options.maximumAttempts, now: clock.now)
            return refusal
        }
        refusal.body.discard()
        var context = context
        context.beginAttempt(after: refusal.facts.attempts)
        do {
            return try await next(request, context: context)
        } catch var error as ServiceError {
            // What has been answered once is not unseen because a second sending never left.
            error.progress = error.progress.furthest(.responseStarted)
            throw error
        }
    }

    private func isGranted(to request: ServiceRequest) -> Bool {
        let own = request.ownOptions?.value.retry.budget ?? .inherited
        guard let budget = own.resolved(over: options.budget), let origin = request.url?.origin else { return true }
        return budgets.withdraw(from: origin, at: clock.now, budget).isGranted
    }
}
