internal import BowlineCore
internal import NIOCore

/// The step *tunnel* of a dial: asks a proxy on a connected channel for a tunnel to the origin.
enum OpenTunnel {
    /// Begins the step. Call this on the channel's event loop.
    ///
    /// - Parameters:
    ///   - options: Bound the answer of an HTTP proxy as they bound a response.
    ///   - completion: Called once. After a success the channel has no handler of this step. The caller closes the
    ///     channel after a failure.
    static func begin(
        on channel: any Channel, to target: TunnelTarget, through proxy: Proxy, options: ConnectionOptions,
        completion: @escaping (Result<Void, any Error>) -> Void
    ) {
        switch proxy.kind {
        case .http, .https:
            let machine = HTTPTunnelStateMachine(
                target: target, authorization: proxy.authorization, limits: HTTP1Limits(options))
            run(machine, on: channel, completion)
        case .socks5:
            run(SOCKSStateMachine(target: target, credentials: proxy.credentials), on: channel, completion)
        }
    }

    private static func run<Machine: TunnelMachine & ~Copyable>(
        _ machine: consuming Machine, on channel: any Channel, _ completion: @escaping (Result<Void, any Error>) -> Void
    ) {
        let pipeline = channel.pipeline.syncOperations
        let handler = TunnelHandler(machine) { result in
            // Removed before the completion adds the next handlers, so that no byte of the origin passes between.
            if case .success = result, let context = try? pipeline.context(handlerType: TunnelHandler<Machine>.self) {
                pipeline.removeHandler(context: context, promise: nil)
            }
            completion(result)
        }
        do {
            guard channel.isActive else { throw ProxyFailure.closedEarly(hasAnswered: false) }
            try pipeline.addHandler(handler)
        } catch {
            completion(.failure(error))
        }
    }
}
