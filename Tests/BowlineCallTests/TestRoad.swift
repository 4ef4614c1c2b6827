import BowlineCore
import BowlineTesting
import Logging
import Tracing

@testable import BowlineCall

/// The pipeline of a call with the parts that a test names: by default no retries, redirects, decoding or credentials.
struct TestRoad: Sendable {
    var retry = RetryOptions()
    var redirect = RedirectOptions.never
    var hedging: HedgingOptions?
    var latencies = HedgingLatencies()
    var decompression = DecompressionOptions.off
    var budgets = RetryBudgets()
    var clock: any ServiceClock = TestClock()
    var random: @Sendable () -> Double = { 0.5 }
    var perAttempt: [any ServiceMiddleware] = []
    var makesIdempotencyKeys = false
    var authenticator: (any RequestAuthenticator)?
    /// The origins that may see the credentials.
    var origins = ["http://api.example", "http://stub.invalid"]
    var tracing: AttemptTracing?
    var metrics: ClientMetrics?
    var events: EventDispatch?
    var logger: Logger?
    var gates: CallPlan.Gates?

    /// Nothing is retried unless `configure` says so.
    init(_ configure: (inout TestRoad) -> Void = { _ in }) {
        retry.maximumAttempts = 1
        configure(&self)
    }

    /// Returns the pipeline over this transport.
    func over(_ transport: any ServiceTransport) throws -> Next {
        let credentials = try authenticator.map { authenticator in
            CallPlan.Credentials(authenticator, origins: try origins.map { try ServiceURL($0).origin })
        }
        let plan = CallPlan(
            transport: transport, policies: CallPolicies(retry: retry, redirect: redirect, hedging: hedging),
            budgets: budgets, hedgingLatencies: latencies, gates: gates,
            observers: CallObservers(
                tracing: tracing, metrics: metrics, events: events, logger: logger, budgets: budgets, clock: clock),
            clock: clock, random: random, perAttempt: perAttempt, decompression: decompression,
            makesIdempotencyKeys: makesIdempotencyKeys, credentials: credentials)
        // Without the limit around a call: a test moves the clock itself.
        return Next(CallExecutor(plan))
    }
}

extension StubTransport {
    /// Sends a request along `road` to this transport.
    func send(
        _ request: ServiceRequest, along road: TestRoad, context: RequestContext = RequestContext()
    ) async throws -> ServiceResponse {
        var request = request
        request.url = try request.url ?? ServiceURL(request.reference)
        return try await road.over(self)(request, context: context)
    }
}
