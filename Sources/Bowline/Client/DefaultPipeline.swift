internal import BowlineCore
internal import BowlineMiddleware

/// The order of behaviours around a request, outermost first. Folded once, when a client is made; what is switched off
/// is not in it.
enum DefaultPipeline {
    static func make(_ configuration: ClientConfiguration, core: ClientCore) -> Next {
        let order: [[any ServiceMiddleware]] = [
            // What the user wants to see once per call, whatever happens inside.
            configuration.middleware.perCall,
            // Outside redirects and retries: the bodies that those read off or let go are never decoded. In it even where
            // the client has it off, because a request may have it on.
            [DecompressionMiddleware(options: configuration.decompression)],
            // Outside redirects and retries: a body is compressed once for all of them. Requests ask for it one by one.
            [RequestCompressionMiddleware(replayLimit: configuration.connection.replayLimit)],
            // What the user wants to see for each attempt.
            configuration.middleware.perAttempt,
        ]
        return Next(core.transport).wrapped(by: order.flatMap { $0 })
    }
}
