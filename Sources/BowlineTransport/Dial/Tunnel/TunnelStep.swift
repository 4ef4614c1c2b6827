internal import BowlineCore
internal import NIOCore

/// The step *tunnel* of a dial: asks a proxy on a connected channel for a tunnel to the origin.
enum TunnelStep {
    /// Begins the step. Call this on the channel's event loop.
    ///
    /// - Parameters:
    ///   - address: The origin's address, if this machine has resolved the name; nil: the proxy resolves it.
    ///   - completion: Called once. After a success the channel has no handler of this step. The caller closes the
    ///     channel after a failure.
    static func begin(
        on channel: any Channel, to origin: Origin, address: IPAddress?, through proxy: Proxy,
        options: ConnectionOptions, completion: @escaping (Result<Void, any Error>) -> Void
    ) {
        let target = TunnelTarget(host: origin.host, port: origin.port, address: address)
        switch proxy.kind {
        case .http, .https:
            begin(on: channel, completion) {
                HTTPTunnelHandler(target: target, credentials: proxy.credentials, options: options, completion: $0)
            }
        case .socks5:
            begin(on: channel, completion) {
                SOCKSTunnelHandler(target: target, credentials: proxy.credentials, completion: $0)
            }
        }
    }
}
