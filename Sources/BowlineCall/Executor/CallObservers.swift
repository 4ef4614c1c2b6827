package import BowlineCore
package import Logging
internal import Tracing

/// Observes calls without changing them: spans, measurements, log lines, the client's event listeners.
///
/// Each method returns at once. While the attempt runs, the span's context is the task's context, so that the user's
/// middleware, log lines and measurements can refer to the span.
package struct CallObservers: Sendable {
    private let tracing: AttemptTracing?
    private let metrics: ClientMetrics?
    private let clock: any ServiceClock
    private let logger: Logger?
    private let events: EventDispatch?
    private let retryLog: RetryLog
    private let gateLog: GateLog

    /// - Parameters:
    ///   - tracing: Makes spans; nil: no tracer is installed, or tracing is off.
    ///   - metrics: The client's instruments; nil: no metrics backend is installed, or metrics are off.
    ///   - events: Calls the client's listeners; nil: the client has none.
    ///   - logger: The logger that gets the lines; nil: the calling task's logger.
    ///   - budgets: The client's retry budgets. They also limit the log lines about refused retries.
    package init(
        tracing: AttemptTracing? = nil, metrics: ClientMetrics? = nil, events: EventDispatch? = nil,
        logger: Logger? = nil, budgets: RetryBudgets, clock: any ServiceClock
    ) {
        self.tracing = tracing
        self.metrics = metrics
        self.events = events
        self.logger = logger
        self.clock = clock
        observesAttempts = tracing != nil || metrics != nil
        retryLog = RetryLog(logger: logger, refusals: budgets.refusals)
        gateLog = GateLog(logger: logger, refusals: budgets.refusals)
    }

    // MARK: Attempts

    /// Whether each attempt has a span or a measurement.
    let observesAttempts: Bool

    /// Whether lines about attempts are wanted now.
    var logsAttempts: Bool { AttemptLog.isWanted(logger) }

    /// Runs one attempt with its span, its measurement and its log lines.
    ///
    /// - Parameter attempt: Sends the request, which has the span's context in its fields.
    func observe(
        _ request: ServiceRequest, _ context: RequestContext, _ attempt: (ServiceRequest) async -> AttemptOutcome
    ) async -> AttemptOutcome {
        var request = request
        guard let span = tracing?.begin(&request, context) else {
            return await measure(request, context, attempt)
        }
        let outcome = await ServiceContext.$current.withValue(span.context) {
            await measure(request, context, attempt)
        }
        AttemptTracing.end(span, outcome)
        return outcome
    }

    private func measure(
        _ request: ServiceRequest, _ context: RequestContext, _ attempt: (ServiceRequest) async -> AttemptOutcome
    ) async -> AttemptOutcome {
        let measurement = metrics.map { AttemptMeasurement(request, metrics: $0, clock: clock) }
        let log = AttemptLog(logger, request, context)
        log?.begin()
        let outcome = await attempt(request)
        log?.end(outcome)
        measurement?.end(outcome)
        return outcome
    }

    // MARK: Retries

    /// Reports the decision after an attempt that failed.
    ///
    /// - Parameters:
    ///   - context: The context of the failed attempt.
    ///   - attempts: The number of attempts so far; a second sending after a 401 or a 417 counts too.
    ///   - options: The request's retry options.
    ///   - budgetLeft: How many more retries the origin's budget allows; nil: there is no budget.
    func decided(
        _ verdict: RetryDecision.Verdict, _ cause: RetryDecision.Cause, _ request: ServiceRequest,
        _ context: RequestContext, attempts: Int, _ options: RetryOptions, budgetLeft: Int?, now: MonotonicInstant
    ) {
        if options.onDecision != nil || events != nil {
            let decision = RetryDecision(
                attempt: context.attempt, method: request.method, origin: request.origin?.description ?? "",
                cause: cause, verdict: verdict, budgetLeft: budgetLeft
            )
            options.onDecision?(decision)
            if let origin = request.origin { events?.retryDecided(decision, context, origin: origin) }
        }
        retryLog.decided(
            verdict, request, cause: cause, context, attempts: attempts, of: options.maximumAttempts, now: now)
    }

    /// Reports that the retry budget refused a second sending after a 401.
    func renewalRefused(
        _ request: ServiceRequest, _ response: ServiceResponse, _ context: RequestContext, of maximum: Int,
        now: MonotonicInstant
    ) {
        retryLog.decided(
            .giveUp(.budgetExhausted), request, cause: .status(response.status.code), context,
            attempts: response.facts.attempts, of: maximum, now: now)
    }

    /// Reports that the wait before a retry is over.
    ///
    /// - Parameter context: The context of the failed attempt.
    func retryBegins(_ request: ServiceRequest, _ context: RequestContext) {
        if let events, let origin = request.origin { events.retryBegan(context, origin: origin) }
    }

    /// Reports that the call was answered after retries.
    func retriesSucceeded(
        _ response: ServiceResponse, _ request: ServiceRequest, _ context: RequestContext, retries: Int
    ) {
        retryLog.succeeded(response, request, context, retries: retries)
    }

    // MARK: Hedges

    /// Reports that a hedge begins.
    ///
    /// - Parameters:
    ///   - context: The context of the hedge.
    ///   - delay: The time since the first attempt began.
    func hedgeBegan(_ request: ServiceRequest, _ context: RequestContext, delay: Duration) {
        if let events, let origin = request.origin { events.hedgeBegan(context, delay: delay, origin: origin) }
        HedgeLog(logger, request, context)?.began(after: delay)
    }

    /// Reports that the retry budget refused a hedge.
    ///
    /// - Parameter context: The context of the first attempt.
    func hedgeRefused(_ request: ServiceRequest, _ context: RequestContext) {
        metrics?.count(.refused, to: request.origin)
        HedgeLog(logger, request, context)?.refused()
    }

    /// Reports that an attempt with hedges has ended.
    ///
    /// - Parameters:
    ///   - context: The context of the first attempt.
    ///   - winner: The number of the attempt whose outcome counts, 1 for the first.
    ///   - count: The number of attempts, the first included.
    ///   - isAnswered: Whether the outcome is an acceptable response.
    ///   - isCancelled: Whether the caller was cancelled.
    func hedgesEnded(
        _ request: ServiceRequest, _ context: RequestContext, winner: Int, of count: Int, isAnswered: Bool,
        isCancelled: Bool
    ) {
        if let events, let origin = request.origin { events.hedgeEnded(context, winner: winner, origin: origin) }
        let unanswered = isCancelled ? HedgeSeries.Outcome.cancelled : .failed
        for attempt in stride(from: 2, through: count, by: 1) {
            let answered = attempt == winner ? HedgeSeries.Outcome.won : .lost
            metrics?.count(isAnswered ? answered : unanswered, to: request.origin)
        }
        HedgeLog(logger, request, context)?.ended(winner: winner, of: count, isAnswered: isAnswered)
    }

    // MARK: The fallback

    /// Reports that the fallback has made the response of a call that failed.
    func fallbackUsed(_ error: ServiceError, _ request: ServiceRequest, _ context: RequestContext) {
        if let events, let origin = request.origin { events.fallbackUsed(error, context, origin: origin) }
        metrics?.countFallback(after: error, to: request.origin)
        guard var logger = ClientLog.logger(for: logger), logger.logLevel <= .info else { return }
        logger.describe(request, context)
        logger.info("the fallback answers", metadata: ["error.type": "\(FailureName(error).text)"])
    }

    // MARK: Gates

    /// Reports that a gate has refused an attempt.
    func gateRefused(_ request: ServiceRequest, _ context: RequestContext, _ refusal: GateRefusal) {
        gateLog.refused(refusal, request, context, at: clock.now)
        events?.request(context, resend: 0, origin: refusal.scope.origin, connection: nil) {
            $0.gateRefused($1, refusal)
        }
    }

    /// Reports that an attempt has waited for a gate.
    func gateWaited(_ context: RequestContext, _ gate: ServiceGate, of scope: PolicyScope, waited: Duration) {
        metrics?.gateWaited(gate, of: scope, waited)
        events?.request(context, resend: 0, origin: scope.origin, connection: nil) {
            $0.gateWaited($1, gate, waited: waited)
        }
    }

    /// Reports that a circuit breaker has changed its state.
    func breakerChanged(_ change: BreakerChange) {
        gateLog.changed(change)
        events?.resilience { $0.breakerChanged(change) }
    }
}
