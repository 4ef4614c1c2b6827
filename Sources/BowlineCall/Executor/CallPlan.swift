package import BowlineCore

/// The steps of a client around each call, outermost first. Made once, when a client is made.
package final class CallPlan: Sendable {
    // MARK: Once per call

    /// The user's middleware around the whole call. If the user has any middleware, ``CallLimitMiddleware`` is
    /// outermost: it ends a call that hangs in middleware.
    let perCall: [any ServiceMiddleware]
    /// Decodes response bodies. This step is outside redirects and retries, so that the bodies of replaced responses
    /// are never decoded. It is present even if the client disables decoding, because a request may enable it.
    let decompression: ResponseDecompression
    /// Adds idempotency keys. This step is outside redirects and retries, so that a call has one key for all its
    /// attempts. It is inside the user's middleware: each time that the middleware calls `next`, the request may be
    /// another one.
    let idempotencyKeys: IdempotencyKeys
    /// Compresses request bodies. This step is outside redirects and retries, so that a body is compressed once per
    /// call.
    let requestCompression: RequestCompression

    // MARK: After each attempt, from the outside in

    /// Redirects, retries, and second sendings after a 417 or a 401. Redirects are outside retries: each hop has its
    /// own retries, and a failed hop does not repeat the hops before it. Inside retries, a request may be sent once
    /// more without `Expect` after a 417. Inside the 417 step, a request may be sent once more with other credentials
    /// after a 401. ``CallStateMachine`` implements this order.
    let policies: CallPolicies
    let budgets: RetryBudgets
    /// The latencies of hedged requests, by scope. Hedges are inside retries and inside the second sendings: each
    /// attempt may have hedges, and the steps above see one outcome of all of them.
    let hedgingLatencies: HedgingLatencies

    // MARK: Once per attempt, and once per hedge

    /// The gates. They are outside everything else of an attempt: an attempt that does not go makes no span and runs no
    /// middleware. nil: attempts pass no gate.
    let gates: Gates?
    /// Chooses the address or the base URL that each attempt goes to; nil: balancing is off. This step is outside
    /// telemetry and middleware: they see the URL to which the attempt goes.
    package let balancing: AttemptBalancing?
    /// The span, measurement and log lines of each attempt. They include the time of the user's middleware. The span is
    /// outermost, so that log lines and measurements can refer to it.
    let observers: CallObservers
    /// The user's middleware around each attempt.
    let perAttempt: [any ServiceMiddleware]
    /// Removes the client's own fields from requests to other origins. This step is inside the user's middleware,
    /// because middleware may send the request to another origin. It is outside the credentials, because they sign the
    /// request.
    let clientFields: ClientFieldsGuard?
    /// Adds the credentials. This step is innermost, so that a signature covers the request exactly as it is sent, on
    /// each hop and each attempt.
    let credentials: CredentialStep?
    let transport: any ServiceTransport

    let clock: any ServiceClock
    let random: @Sendable () -> Double

    /// The fields that a client adds to requests for its own service. Present only if middleware could send them to
    /// another origin.
    package struct GuardedFields: Sendable {
        let fields: HTTPFields
        let origin: Origin

        /// - Parameters:
        ///   - fields: The fields.
        ///   - origin: The base URL's origin.
        package init(_ fields: HTTPFields, origin: Origin) {
            self.fields = fields
            self.origin = origin
        }
    }

    /// The gates of a client, and the options of this plan.
    package struct Gates: Sendable {
        let shared: ServiceGates
        let settings: GateSettings

        /// Makes the gates of a plan; nil: all gates are off.
        package init?(_ shared: ServiceGates, _ options: ResilienceOptions) {
            guard let settings = GateSettings(options) else { return nil }
            self.shared = shared
            self.settings = settings
        }
    }

    /// An authenticator, and the origins that may see its credentials.
    package struct Credentials: Sendable {
        let authenticator: any RequestAuthenticator
        let origins: [Origin]

        package init(_ authenticator: any RequestAuthenticator, origins: [Origin]) {
            self.authenticator = authenticator
            self.origins = origins
        }
    }

    /// - Parameters:
    ///   - transport: Sends each attempt.
    ///   - policies: The rules for retries and redirects.
    ///   - budgets: The retry budgets, by origin.
    ///   - hedgingLatencies: The latencies of hedged requests, by scope.
    ///   - gates: The gates that each attempt passes; nil: none.
    ///   - observers: The observers of calls and attempts.
    ///   - clock: The client's clock.
    ///   - random: Returns random numbers from 0 up to 1.
    ///   - perCall: The user's middleware around a call, the first outermost.
    ///   - perAttempt: The user's middleware around an attempt, the first outermost.
    ///   - decompression: The client's options; a request's own options take precedence.
    ///   - usualFields: The fields that most requests have, stored once for all of them.
    ///   - makesIdempotencyKeys: Whether a request gets a key if its own options do not decide it.
    ///   - replayLimit: How many bytes of a one-shot stream are kept while it is sent.
    ///   - guardedFields: The client's own fields; nil: no middleware could send them to another origin.
    ///   - credentials: The authenticator and its origins; nil: no credentials are added.
    ///   - balancing: Chooses the endpoint of each attempt; nil: balancing is off.
    package init(
        transport: any ServiceTransport, policies: CallPolicies = CallPolicies(),
        budgets: RetryBudgets = RetryBudgets(), hedgingLatencies: HedgingLatencies = HedgingLatencies(),
        gates: Gates? = nil,
        observers: CallObservers, clock: any ServiceClock, random: @escaping @Sendable () -> Double,
        perCall: [any ServiceMiddleware] = [], perAttempt: [any ServiceMiddleware] = [],
        decompression: DecompressionOptions = DecompressionOptions(), usualFields: HTTPFields = [:],
        makesIdempotencyKeys: Bool = false, replayLimit: Int = 65_536,
        guardedFields: GuardedFields? = nil, credentials: Credentials? = nil, balancing: AttemptBalancing? = nil
    ) {
        self.transport = transport
        self.policies = policies
        self.budgets = budgets
        self.hedgingLatencies = hedgingLatencies
        self.gates = gates
        self.observers = observers
        self.balancing = balancing
        self.clock = clock
        self.random = random
        let isLimited = !perCall.isEmpty || !perAttempt.isEmpty
        self.perCall = isLimited ? [CallLimitMiddleware(clock: clock)] + perCall : []
        self.perAttempt = perAttempt
        self.decompression = ResponseDecompression(options: decompression, usualFields: usualFields)
        idempotencyKeys = IdempotencyKeys(isDefault: makesIdempotencyKeys, random: random)
        requestCompression = RequestCompression(replayLimit: replayLimit)
        clientFields = guardedFields.map { ClientFieldsGuard($0.fields, origin: $0.origin) }
        self.credentials = credentials.map { CredentialStep($0.authenticator, origins: $0.origins, clock: clock) }
    }

    /// Returns the `perCall` middleware with the executor after it; nil: the client has no middleware.
    package func middleware(before executor: CallExecutor) -> Next? {
        perCall.isEmpty ? nil : Next(executor).wrapped(by: perCall)
    }
}
