internal import BowlineCore
internal import NIOCore
internal import NIOSSL

/// The step *secure* of a dial: a TLS handshake on a connected channel, with the origin or with a proxy.
enum SecureStep {
    /// The result of a handshake.
    struct Secured {
        /// The protocol that ALPN chose; nil: none.
        let protocolName: String?
        let boundary: TLSRecordBoundary
    }

    /// Begins the handshake. Call this on the channel's event loop.
    ///
    /// - Parameters:
    ///   - identity: The name or the address that the peer's certificate must have.
    ///   - completion: Called once. Of this step, the channel has only the TLS handlers then. The caller closes the
    ///     channel after a failure.
    static func begin(
        on channel: any Channel, as identity: ReferenceIdentity, _ tls: TLSContext, _ context: NIOSSLContext,
        completion: @escaping (Result<Secured, any Error>) -> Void
    ) {
        let waiter: DialWaiter
        let handlers: TLSHandlers
        do {
            guard channel.isActive else { throw DialFailure.closedEarly }
            let pipeline = channel.pipeline.syncOperations
            handlers = try tls.addHandlers(for: identity, with: context, to: pipeline)
            // The handshake has begun, but its first result comes with the peer's bytes, in a later event.
            waiter = DialWaiter(handlers)
            try pipeline.addHandler(waiter)
        } catch {
            completion(.failure(error))
            return
        }
        waiter.whenReady { result in
            if case .success = result {
                let pipeline = channel.pipeline.syncOperations
                if let context = try? pipeline.context(handler: waiter) {
                    pipeline.removeHandler(context: context, promise: nil)
                }
            }
            completion(result.map { Secured(protocolName: $0, boundary: handlers.boundary) })
        }
    }
}
