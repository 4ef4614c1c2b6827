internal import BowlineCore

/// Sends one attempt: the gates, the balancer, telemetry, the user's `perAttempt` middleware, the client's fields,
/// credentials, the transport.
final class AttemptSender: Sendable {
    /// The gates; nil: all of them are off.
    private let gate: AttemptGate?
    private let innermost: InnermostStep
    /// The user's middleware with the rest of the attempt after it; nil: there is no such middleware.
    private let middleware: Next?
    private let hasMiddleware: Bool
    private let observers: CallObservers
    /// Gives each attempt to an endpoint; nil: balancing is off.
    private let balancing: AttemptBalancing?
    /// Whether each attempt has user middleware, a span or a measurement.
    private let isWrapped: Bool

    init(_ plan: CallPlan) {
        innermost = InnermostStep(transport: plan.transport, fields: plan.clientFields, credentials: plan.credentials)
        middleware = plan.perAttempt.isEmpty ? nil : Next(innermost).wrapped(by: plan.perAttempt)
        observers = plan.observers
        gate = plan.gates.map { AttemptGate($0, plan) }
        balancing = plan.balancing
        hasMiddleware = middleware != nil
        isWrapped = hasMiddleware || observers.observesAttempts
    }

    /// Gives the attempt a record, if the user's middleware may answer it without sending it.
    func recorded(_ context: RequestContext) -> RequestContext {
        guard middleware != nil, context.record == nil else { return context }
        var context = context
        context.record = AttemptRecord()
        return context
    }

    /// Sends `request` once. Does not throw: an error of the attempt becomes its outcome.
    ///
    /// - Parameter held: The result of ``admit(_:_:)``; nil: the attempt has not come to the gates yet.
    func send(
        _ request: ServiceRequest, _ context: RequestContext, _ held: AttemptGate.Held? = nil
    ) async -> AttemptOutcome {
        if let gate { return await sendThrough(gate, request, context, held) }
        return await sendAdmitted(request, context)
    }

    /// Sends an attempt of a hedged round.
    func send(
        _ request: ServiceRequest, _ context: RequestContext, _ held: AttemptGate.Held?, in round: HedgedEnd?
    ) async -> AttemptOutcome {
        guard let gate, let round else { return await send(request, context, held) }
        let admission = if let held { held.admission } else { await gate.admit(request, context) }
        switch admission {
        case .ended(let outcome): return outcome
        case .go(let pass): return await sendWatched(gate, pass, request, context, round)
        }
    }

    /// Leads an attempt through the gates before it is sent. Pass the result to ``send(_:_:_:)`` or ``abandon(_:)``.
    /// nil: there are no gates.
    func admit(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptGate.Held? {
        guard let gate else { return nil }
        return await gate.hold(request, context)
    }

    /// Gives an admission back, because its attempt is not sent.
    func abandon(_ held: AttemptGate.Held?) {
        if let held { gate?.abandoned(held) }
    }

    // Not inlined: the frame of an attempt without gates stays small.
    @inline(never)
    private func sendThrough(
        _ gate: AttemptGate, _ request: ServiceRequest, _ context: RequestContext, _ held: AttemptGate.Held?
    ) async -> AttemptOutcome {
        let admission = if let held { held.admission } else { await gate.admit(request, context) }
        switch admission {
        case .ended(let outcome): return outcome
        case .go(let pass):
            if hasMiddleware { return await sendWatched(gate, pass, request, context, nil) }
            let outcome = await sendAdmitted(request, context)
            gate.left(pass, outcome, request)
            return outcome
        }
    }

    /// Sends an attempt that middleware may answer, or that belongs to a hedged round. Apart from the usual way, which
    /// copies no context.
    @inline(never)
    private func sendWatched(
        _ gate: AttemptGate, _ pass: GatePass, _ request: ServiceRequest, _ context: RequestContext,
        _ round: HedgedEnd?
    ) async -> AttemptOutcome {
        if let round, round.isAnswered {
            gate.leftUnsent(pass)
            return .ended(CancellationError())
        }
        let context = recorded(context)
        let outcome = await sendAdmitted(request, context)
        // Before the attempt leaves the gates: a hedge of the same call may wait for its place.
        round?.attemptEnded(outcome, wasSent: context.wasSent)
        // The failure of a look-up, before the attempt is sent, says something about the service, too.
        if context.wasSent || outcome.isOwnFailure {
            gate.left(pass, outcome, request)
        } else {
            gate.leftUnsent(pass)
        }
        return outcome
    }

    @inline(__always)
    private func sendAdmitted(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptOutcome {
        if let balancing { return await sendBalanced(request, context, balancing) }
        return await sendPlaced(request, context)
    }

    @inline(never)
    private func sendBalanced(
        _ request: ServiceRequest, _ context: RequestContext, _ balancing: AttemptBalancing
    ) async -> AttemptOutcome {
        var (request, context) = (request, context)
        if hasMiddleware { context = recorded(context) }
        let placed: PlacedAttempt?
        do {
            placed = try await balancing.place(&request, &context)
        } catch {
            return AttemptOutcome(error, isOwn: true)
        }
        let outcome = await sendPlaced(request, context)
        if let placed { balancing.attemptEnded(placed, outcome, wasSent: context.wasSent) }
        return outcome
    }

    @inline(__always)
    private func sendPlaced(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptOutcome {
        if isWrapped || observers.logsAttempts { return await sendWrapped(request, context) }
        return await innermost.send(request, context)
    }

    private func sendWrapped(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptOutcome {
        guard let middleware else {
            return await observers.observe(request, context) { await innermost.send($0, context) }
        }
        let record = context.record ?? AttemptRecord()
        var context = context
        context.record = record
        let inner = context
        let outcome = await observers.observe(request, context) { request in
            do {
                return .answered(try await middleware(request, context: inner))
            } catch {
                return AttemptOutcome(error, isOwn: false)
            }
        }
        switch outcome {
        case .answered(let response, _): return .answered(response, record.renewal)
        case .failed(let error, _):
            let judged = record.judged(error, from: request.origin)
            return .failed(judged.error, isOwn: judged.isOwn)
        case .ended: return outcome
        }
    }
}

extension RequestContext {
    /// Whether the attempt was given to the transport, as far as is known. False: middleware answered or refused it.
    var wasSent: Bool { record?.isSent ?? true }
}

/// The innermost part of an attempt, after the user's middleware: the client's fields, credentials, the transport.
private final class InnermostStep: RequestHandler {
    private let transport: any ServiceTransport
    /// Removes the client's fields from requests to other origins; nil: no middleware could send a request there.
    private let fields: ClientFieldsGuard?
    /// Adds the credentials; nil: no credentials are added.
    private let credentials: CredentialStep?
    /// Whether a request goes to the transport unchanged.
    private let isPlain: Bool

    init(transport: any ServiceTransport, fields: ClientFieldsGuard?, credentials: CredentialStep?) {
        self.transport = transport
        self.fields = fields
        self.credentials = credentials
        isPlain = fields == nil && credentials == nil
    }

    /// Handles the request that the user's middleware passes on, and records the result in the attempt's record.
    func handle(
        _ request: consuming ServiceRequest, context: consuming RequestContext
    ) async throws -> ServiceResponse {
        let request = request
        var context = context
        context.dropPlacement(unlessFor: request)
        switch await send(request, context) {
        case .answered(let response, let renewal):
            // Only a 401 changes the record. The middleware may send several requests, and responses other than a 401
            // say nothing about the credentials.
            if response.status.code == 401 { context.record?.refused(renewal) }
            return response
        case .failed(let error, let isOwn):
            if isOwn { context.record?.failed(error) }
            throw error
        case .ended(let error): throw error
        }
    }

    /// Sends the request with its credentials.
    func send(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptOutcome {
        if !isPlain { return await sendChanged(request, context) }
        return await carry(request, context)
    }

    private func sendChanged(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptOutcome {
        var request = request
        fields?.apply(to: &request, context)
        guard let credentials, credentials.concerns(request, context) else { return await carry(request, context) }
        do {
            request = try await credentials.authenticated(request, context)
        } catch {
            // Only a temporary failure of the credentials counts as the attempt's own failure. A permanent failure is
            // not retried by the usual rules.
            return AttemptOutcome(error, isOwn: (error as? ServiceError)?.isTemporary ?? false)
        }
        let outcome = await carry(request, context)
        guard case .answered(let response, _) = outcome, response.status.code == 401 else { return outcome }
        return .answered(response, credentials.recordRefusal(of: request, response))
    }

    @inline(__always)
    private func carry(_ request: ServiceRequest, _ context: RequestContext) async -> AttemptOutcome {
        context.record?.sent()
        context.call.transportBegan()
        do {
            var response = try await transport.send(request, context: context)
            response.note(request, of: context.call)
            context.call.transportAnswered(response, attempt: context.attempt)
            return .answered(response)
        } catch {
            return AttemptOutcome(context.call.transportFailed(error), isOwn: true)
        }
    }
}
