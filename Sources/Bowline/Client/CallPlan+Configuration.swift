internal import BowlineCall
internal import BowlineCore

extension CallPlan {
    /// Makes the steps around each call from a client's configuration. ``CallPlan`` defines the order of the steps and
    /// explains it.
    ///
    /// - Parameters:
    ///   - base: The client's base URL. The credentials are for its origin.
    ///   - usualFields: The fields of requests that have none of their own.
    convenience init(_ configuration: ClientConfiguration, base: ServiceURL?, usualFields: HTTPFields, core: ClientCore)
    {
        self.init(
            transport: core.transport,
            policies: CallPolicies(
                retry: configuration.retry, redirect: configuration.redirect,
                hedging: configuration.resilience.hedging, clientFields: configuration.fields.map(\.name)),
            budgets: core.retryBudgets, hedgingLatencies: core.hedgingLatencies,
            gates: Gates(core.gates, configuration.resilience),
            observers: CallObservers(configuration, core: core),
            clock: configuration.clock, random: configuration.random,
            perCall: configuration.middleware.perCall, perAttempt: configuration.middleware.perAttempt,
            decompression: configuration.decompression, usualFields: usualFields,
            makesIdempotencyKeys: configuration.makesIdempotencyKeys,
            replayLimit: configuration.connection.replayLimit,
            guardedFields: Self.guardedFields(configuration, base: base),
            credentials: configuration.authentication.map {
                Credentials($0, origins: configuration.originsOfCredentials(base: base))
            })
    }

    /// The client's own fields, if the user's middleware could send them to another origin; else nil.
    static func guardedFields(_ configuration: ClientConfiguration, base: ServiceURL?) -> GuardedFields? {
        let own = configuration.middleware
        guard let base, !configuration.fields.isEmpty, !(own.perCall.isEmpty && own.perAttempt.isEmpty) else {
            return nil
        }
        return GuardedFields(configuration.fields, origin: base.origin)
    }
}

extension CallObservers {
    /// Makes the observers of a client's calls.
    init(_ configuration: ClientConfiguration, core: ClientCore) {
        self.init(
            // A derived client may disable tracing although its core has a tracer.
            tracing: configuration.telemetry.isTracingEnabled ? core.tracing : nil, metrics: core.metrics,
            events: core.events, logger: configuration.telemetry.logger, budgets: core.retryBudgets,
            clock: configuration.clock)
    }
}
