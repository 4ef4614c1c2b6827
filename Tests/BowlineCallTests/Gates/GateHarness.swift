import BowlineCore
import BowlineTesting
import Logging
import Synchronization

@testable import BowlineCall

/// Calls through gates over a stub, with a manual clock. No retries unless a test asks for them.
final class GateHarness: Sendable {
    let clock: TestClock
    let stub = StubTransport()
    let gates: ServiceGates
    let budgets = RetryBudgets()
    let events = GateEvents()
    private let settings: CallPlan.Gates?
    private let road: TestRoad

    init(
        _ resilience: (inout ResilienceOptions) -> Void, retry: (inout RetryOptions) -> Void = { $0 = .never },
        redirect: RedirectOptions = .never, authenticator: (any RequestAuthenticator)? = nil,
        metrics: ClientMetrics? = nil, logger: Logger? = nil,
        sharing other: GateHarness? = nil
    ) {
        let clock = other?.clock ?? TestClock(start: MonotonicInstant(nanoseconds: 1_000_000_000))
        self.clock = clock
        var options = ResilienceOptions()
        resilience(&options)
        gates = other?.gates ?? ServiceGates(clock: clock, metrics: metrics)
        settings = CallPlan.Gates(gates, options)
        let listeners: [any ServiceEventListener] = [events] + (metrics.map { [MetricsListener(metrics: $0)] } ?? [])
        let dispatch = EventDispatch(listeners, clock: clock)
        road = TestRoad { [settings, budgets] road in
            road.retry = RetryOptions()
            retry(&road.retry)
            road.redirect = redirect
            road.authenticator = authenticator
            road.budgets = budgets
            road.clock = clock
            road.gates = settings
            road.events = dispatch
            road.metrics = metrics
            road.logger = logger
        }
    }

    /// The time since the beginning.
    var time: Duration { MonotonicInstant(nanoseconds: 1_000_000_000).duration(to: clock.now) }

    static func origin(_ host: String = "stub.invalid") throws -> Origin { try ServiceURL("http://\(host)").origin }

    func snapshot(_ host: String = "stub.invalid", _ name: String? = nil) throws -> ScopeSnapshot {
        let scope = PolicyScope(origin: try Self.origin(host), name: name)
        return gates.snapshot().scope(scope)
            ?? ScopeSnapshot(
                scope: scope, inFlight: 0, waiting: 0, admitted: 0, refused: 0,
                rate: RateSnapshot(closedFor: nil, quotaPerSecond: nil, isStoreAway: false), concurrency: nil,
                breaker: BreakerSnapshot(state: .closed, openFor: nil))
    }

    /// Sends a request.
    func call(
        _ path: String = "/x", host: String = "stub.invalid", method: HTTPRequest.Method = .get,
        deadline: Duration? = nil, attempt: Int = 1, registry: (any CallRegistry)? = nil, expecting: Bool = false,
        _ options: (inout RequestOptions) -> Void = { _ in }
    ) async throws -> ServiceResponse {
        var own = RequestOptions()
        options(&own)
        var request = ServiceRequest(method: method, path, options: own)
        if expecting {
            request.fields[.expect] = "100-continue"
            request.body = .text("x")
        }
        request.url = try ServiceURL("http://\(host)\(path)")
        var timeouts = Timeouts()
        // Without the stub's own limits, so that nothing but gates and retries sleeps on the clock.
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        let context = RequestContext(
            deadline: deadline.map { Deadline(clock.now.advanced(by: $0)) }, attempt: attempt, timeouts: timeouts,
            call: CallRecord(admitted: clock.now, registry: registry, clock: clock))
        return try await road.over(stub)(request, context: context)
    }

    /// Sends a request in a task of its own, and returns when it is in flight, waits, or has ended.
    func start(
        _ path: String = "/x", deadline: Duration? = nil, attempt: Int = 1,
        _ options: @escaping @Sendable (inout RequestOptions) -> Void = { _ in }
    ) async throws -> Task<ServiceResponse, any Error> {
        let before = try count()
        let task = Task { try await self.call(path, deadline: deadline, attempt: attempt, options) }
        try await eventually("the attempt to come to the gates") { try self.count() > before }
        return task
    }

    /// All attempts that have come to the gates.
    private func count() throws -> Int {
        gates.snapshot().scopes.reduce(0) { $0 + $1.admitted + $1.refused + $1.waiting }
    }

    /// The error of a call.
    func error(
        _ path: String = "/x", host: String = "stub.invalid", deadline: Duration? = nil,
        _ options: (inout RequestOptions) -> Void = { _ in }
    ) async throws -> ServiceError? {
        do {
            _ = try await call(path, host: host, deadline: deadline, options)
            return nil
        } catch let error as ServiceError {
            return error
        }
    }

    /// The paths that the service has received, in order.
    var paths: [String] { stub.calls.map(\.path) }

    /// Moves the clock from sleeper to sleeper until the task has ended.
    func finish(_ task: Task<ServiceResponse, any Error>) async throws -> Result<ServiceResponse, any Error> {
        let done = Gate()
        let waiter = Task {
            let result = await task.result
            done.open()
            return result
        }
        try await eventually("the call to end") {
            if !done.isOpen { clock.advanceToNextDeadline() }
            return done.isOpen
        }
        return await waiter.value
    }
}

/// A listener that keeps the events of gates as short texts.
final class GateEvents: ServiceEventListener {
    private let kept = Guarded<[String]>([])

    var texts: [String] { kept.withLock { $0 } }

    private func note(_ text: String) { kept.withLock { $0.append(text) } }

    func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal) {
        note("refused \(refusal.gate) \(refusal.reason) attempt \(event.attempt)")
    }

    func gateWaited(_ event: RequestEvent, _ gate: ServiceGate, waited: Duration) {
        note("waited \(gate) \(waited.logText)")
    }

    func breakerChanged(_ change: BreakerChange) { note("breaker \(change.from) → \(change.to)") }

    func retryDecided(_ event: RequestEvent, _ decision: RetryDecision) {
        let left = decision.budgetLeft.map { ", \($0) left" } ?? ""
        switch decision.verdict {
        case .retry: note("retries after \(decision.cause)\(left)")
        case .giveUp(let reason): note("gives up after \(decision.cause): \(reason)\(left)")
        }
    }
}
