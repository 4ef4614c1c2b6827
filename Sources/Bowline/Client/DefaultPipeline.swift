internal import BowlineCore
internal import BowlineMiddleware

/// The order of behaviours around a request, outermost first. Folded once, when a client is made. What cannot come into
/// play is not in it; what a request may switch on is.
enum DefaultPipeline {
    /// - Parameters:
    ///   - base: The client's base URL, whose origin gets its credentials.
    ///   - usualFields: What the client gives requests that have no fields of their own.
    static func make(
        _ configuration: ClientConfiguration, base: ServiceURL?, usualFields: HTTPFields, core: ClientCore
    ) -> Next {
        let order: [[any ServiceMiddleware]] = [
            // Outside all that is not ours: it ends a call that hangs there.
            limit(configuration),
            // What the user wants to see once per call, whatever happens inside.
            configuration.middleware.perCall,
            // Outside redirects and retries: the bodies that those read off or let go are never decoded. In it even where
            // the client has it off, because a request may have it on.
            [DecompressionMiddleware(options: configuration.decompression, usualFields: usualFields)],
            // Outside redirects and retries: a call has one key, however often it is sent. Requests may ask for it one by one.
            [IdempotencyKeyMiddleware(isDefault: configuration.makesIdempotencyKeys, random: configuration.random)],
            // Outside redirects and retries: a body is compressed once for all of them. Requests ask for it one by one.
            [RequestCompressionMiddleware(replayLimit: configuration.connection.replayLimit)],
            // Outside retries: each hop has its own, and the failure of one hop does not repeat those before it. In it even
            // where the client has it off, because a request may have it on.
            [RedirectMiddleware(configuration.redirect, clientFields: configuration.fields.map(\.name))],
            // Turns one call into attempts. Never left out: a request may ask for retries that its client does not make.
            [
                RetryMiddleware(
                    options: configuration.retry, budgets: core.retryBudgets, clock: configuration.clock,
                    random: configuration.random, events: core.events, logger: configuration.telemetry.logger)
            ],
            // Inside retries, outside telemetry: what is sent again after a 417 is an attempt of its own.
            [ExpectationMiddleware()],
            // Inside retries, outside telemetry: what is sent again after a 401 is an attempt of its own.
            reauthentication(configuration, core: core),
            // A span, a measurement and a line for each attempt, of the user's behaviours too. The span is outermost, so that
            // lines and measurements can name it.
            telemetry(configuration, core: core),
            // What the user wants to see for each attempt.
            configuration.middleware.perAttempt,
            // Inside the user's behaviours, which may have sent the request elsewhere; outside what signs it.
            clientFields(configuration, base: base),
            // The innermost: what it signs is what is sent, on each hop and each attempt, whatever the others changed.
            authentication(configuration, base: base),
        ]
        return Next(core.transport).wrapped(by: order.flatMap { $0 })
    }

    private static func telemetry(
        _ configuration: ClientConfiguration, core: ClientCore
    ) -> [any ServiceMiddleware] {
        // A derived client may switch off what its first one found installed.
        let tracing = configuration.telemetry.isTracingEnabled ? core.tracing : nil
        let measuring = core.metrics.map { MetricsMiddleware(metrics: $0, clock: configuration.clock) }
        let logging = LoggingMiddleware(logger: configuration.telemetry.logger)
        let all: [(any ServiceMiddleware)?] = [tracing, measuring, logging]
        return all.compactMap { $0 }
    }

    private static func limit(_ configuration: ClientConfiguration) -> [any ServiceMiddleware] {
        let own = configuration.middleware
        guard !own.perCall.isEmpty || !own.perAttempt.isEmpty else { return [] }
        return [CallLimitMiddleware(clock: configuration.clock)]
    }

    /// Whether middleware of the user's could take the client's own fields to another origin.
    static func guardsFields(_ configuration: ClientConfiguration, base: ServiceURL?) -> Bool {
        let own = configuration.middleware
        return base != nil && !configuration.fields.isEmpty && !(own.perCall.isEmpty && own.perAttempt.isEmpty)
    }

    private static func clientFields(
        _ configuration: ClientConfiguration, base: ServiceURL?
    ) -> [any ServiceMiddleware] {
        guard let base, guardsFields(configuration, base: base) else { return [] }
        return [ClientFieldsMiddleware(configuration.fields, origin: base.origin)]
    }

    private static func reauthentication(
        _ configuration: ClientConfiguration, core: ClientCore
    ) -> [any ServiceMiddleware] {
        guard let authenticator = configuration.authentication else { return [] }
        return [
            ReauthenticationMiddleware(
                authenticator, options: configuration.retry, budgets: core.retryBudgets, clock: configuration.clock,
                logger: configuration.telemetry.logger)
        ]
    }

    private static func authentication(
        _ configuration: ClientConfiguration, base: ServiceURL?
    ) -> [any ServiceMiddleware] {
        guard let authenticator = configuration.authentication else { return [] }
        let origins = configuration.originsOfCredentials(base: base)
        return [AuthenticationMiddleware(authenticator, origins: origins, clock: configuration.clock)]
    }
}
