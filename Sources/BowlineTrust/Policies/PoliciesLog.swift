internal import Bowline
internal import BowlineTesting

/// What happens in a simulation: the steps for the judge, the figures, and the trace. It listens to the client's events.
// Safety: used on the simulation's thread only.
final class PoliciesLog: ServiceEventListener, @unchecked Sendable {
    private static let gateCodes: Set<ServiceError.Code> = [.rateLimited, .concurrencyLimited, .circuitOpen]

    let time: VirtualTime
    private(set) var steps: [PoliciesMoment] = []
    private(set) var figures: [String: Int] = [:]
    /// Whether the client has read a list of endpoints.
    private(set) var hasEndpoints = false

    init(_ time: VirtualTime) {
        self.time = time
    }

    func add(_ step: PoliciesStep) {
        steps.append(PoliciesMoment(at: time.now, step: step))
    }

    func count(_ what: String) {
        figures[what, default: 0] += 1
    }

    private func note(_ what: String, _ event: RequestEvent, _ detail: String = "") {
        time.note("client: \(event.target) hop \(event.hop) attempt \(event.attempt).\(event.hedge) \(what) \(detail)")
    }

    private func number(_ event: RequestEvent) -> Int {
        SimulationContent.call(ofTarget: event.target)?.number ?? -1
    }

    // MARK: Retries

    func retryDecided(_ event: RequestEvent, _ decision: RetryDecision) {
        switch decision.verdict {
        case .retry:
            var isFree = false
            if case .error(let code) = decision.cause { isFree = Self.gateCodes.contains(code) }
            add(
                .retryGranted(
                    host: event.origin.host, call: number(event), hop: event.hop, attempt: event.attempt,
                    isFree: isFree))
            count(isFree ? "retry granted after a gate's refusal" : "retry granted")
        case .giveUp(let reason): count("no retry: \(reason.rawValue)")
        }
        note("retry decided", event, "\(decision.verdict) after \(decision.cause)")
    }

    func retryBegan(_ event: RequestEvent) {
        add(.retryBegan(call: number(event), hop: event.hop, attempt: event.attempt))
        count("retry began")
        note("retry began", event)
    }

    // MARK: Gates

    func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal) {
        if event.hedge > 0 {
            add(.hedgeRefused(call: number(event), hop: event.hop, attempt: event.attempt, hedge: event.hedge))
            count("hedge refused by a gate")
        }
        count("refused: \(refusal.gate.rawValue) \(refusal.reason.rawValue)")
        note("refused", event, "\(refusal.gate.rawValue) \(refusal.reason.rawValue) \(refusal.scope)")
    }

    func gateWaited(_ event: RequestEvent, _ gate: ServiceGate, waited: Duration) {
        count("waited: \(gate.rawValue)")
        note("waited", event, "\(gate.rawValue) for \(waited)")
    }

    func breakerChanged(_ change: BreakerChange) {
        add(.breakerChanged(scope: "\(change.scope)", change.to, openFor: change.openFor))
        count("breaker: \(change.to.rawValue)")
        time.note("client: the breaker of \(change.scope) \(change.to.rawValue) for \(change.openFor ?? .zero)")
    }

    // MARK: Hedges, endpoints, fallbacks

    func hedgeBegan(_ event: RequestEvent, delay: Duration) {
        add(
            .hedgeBegan(
                host: event.origin.host, call: number(event), hop: event.hop, attempt: event.attempt,
                hedge: event.hedge))
        count("hedge began")
        note("hedge began", event, "after \(delay)")
    }

    func hedgeEnded(_ event: RequestEvent, winner: Int) {
        count(winner > 1 ? "hedge won" : "hedge lost")
        note("hedge ended", event, "attempt \(winner) counts")
    }

    func endpointsChanged(_ origin: Origin, _ change: EndpointChange) {
        switch change {
        case .updated(let count):
            hasEndpoints = true
            time.note("client: \(count) endpoints")
        case .ignored(let problem): time.note("client: ignored an endpoint: \(problem)")
        case .sourceEnded, .sourceFailed: time.note("client: the source of endpoints has ended")
        case .ejected(let endpoint, let duration):
            count("endpoint ejected")
            time.note("client: \(endpoint) is ejected for \(duration)")
        case .restored(let endpoint):
            count("endpoint restored")
            time.note("client: \(endpoint) is restored")
        case .panicChanged(let isPanicking):
            count("balancer panics: \(isPanicking)")
            time.note("client: the balancer panics: \(isPanicking)")
        }
    }

    func fallbackUsed(_ event: RequestEvent, error: ServiceError) {
        count("fallback used")
        note("fallback", event, error.code.rawValue)
    }
}

/// Records each attempt that comes to the middleware.
struct PoliciesMiddleware: ServiceMiddleware {
    let log: PoliciesLog

    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        if let (call, _) = request.url.flatMap({ SimulationContent.call(ofTarget: $0.path) }) {
            log.add(
                .attemptBegan(call: call, hop: context.hop, attempt: context.attempt, isHedge: context.isHedge))
        }
        return try await next(request, context: context)
    }
}
