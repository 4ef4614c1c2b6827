internal import NIOCore
internal import NIOPosix

/// Opens sockets on one event loop.
///
/// Each loop of a client has one connector, because making SwiftNIO's bootstrap costs about 5,000 instructions.
// Safety: mutable state is touched on the loop only.
final class Connector: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private var bootstrap: ClientBootstrap?
    /// Prepares the channel of the connect that is being started.
    private var prepare: ((any Channel) throws -> Void)?

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Opens a socket and connects it. Call this on the loop.
    ///
    /// - Parameters:
    ///   - local: The address of this machine from which to connect; nil: the system chooses.
    ///   - prepare: Prepares the channel before it connects. Called within this call, unless no socket can be made.
    func connect(
        to remote: SocketAddress, from local: SocketAddress? = nil, prepare: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        self.prepare = prepare
        defer { self.prepare = nil }
        // A bootstrap keeps the address that it binds to, so the loop's bootstrap must not get one.
        if let local { return makeBootstrap().bind(to: local).connect(to: remote) }
        let bootstrap = self.bootstrap ?? makeBootstrap()
        self.bootstrap = bootstrap
        return bootstrap.connect(to: remote)
    }

    private func makeBootstrap() -> ClientBootstrap {
        ClientBootstrap(group: eventLoop)
            // The dial's own deadline limits the dial. The bootstrap's timeout must never fire before that deadline.
            .connectTimeout(.hours(24))
            // Removes the bootstrap's only option, TCP_NODELAY, which the dial sets for a third of the price. MPTCP stays
            // off.
            .enableMPTCP(true).enableMPTCP(false)
            .channelInitializer { [weak self] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let prepare = self?.prepare else { throw ChannelError.inappropriateOperationForState }
                    try prepare(channel)
                }
            }
    }
}
