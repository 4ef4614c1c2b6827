internal import BowlineCore
internal import NIOCore
internal import NIOSSL

/// The step *secure* of a dial: a TLS handshake on a connected channel, with the origin or with a proxy.
enum SecureStep {
    /// Begins the handshake. Call this on the channel's event loop.
    ///
    /// - Parameter completion: Called once, with the protocol that ALPN chose. The channel has no handler of this step
    ///   but the TLS handlers then. The caller closes the channel after a failure.
    static func begin(
        on channel: any Channel, _ handler: NIOSSLClientHandler,
        completion: @escaping (Result<String?, any Error>) -> Void
    ) {
        let waiter = DialWaiter()
        do {
            guard channel.isActive else { throw DialFailure.closedEarly }
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(TLSRecordBoundary())
            // The waiter is the last handler, and it is there before the handshake begins: the TLS handler begins the
            // handshake when it is added.
            try pipeline.addHandler(waiter)
            try pipeline.addHandler(handler, position: .before(waiter))
        } catch {
            completion(.failure(error))
            return
        }
        waiter.whenReady { result in
            if case .success = result { channel.pipeline.syncOperations.removeHandler(waiter, promise: nil) }
            completion(result)
        }
    }
}
