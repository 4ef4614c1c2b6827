internal import BowlineCore

/// The order of behaviours around a request, outermost first. Folded once, when a client is made.
enum DefaultPipeline {
    static func make(_ middleware: MiddlewareOptions, transport: any ServiceTransport) -> Next {
        let order: [[any ServiceMiddleware]] = [
            // What the user wants to see once per call, whatever happens inside.
            middleware.perCall,
            // Retry stands here: it turns one call into attempts.
            // What the user wants to see for each attempt.
            middleware.perAttempt,
        ]
        return Next(transport).wrapped(by: order.flatMap { $0 })
    }
}
