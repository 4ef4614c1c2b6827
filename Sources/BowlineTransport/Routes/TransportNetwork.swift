package import NIOCore

/// The network of a transport: its event loops, and how it connects to an address.
///
/// ``TransportOptions/network`` replaces the machine's network with a simulated one. Then the whole client runs without
/// sockets and threads: the pool, dials, both protocols and all timers. Unix domain sockets are always the machine's.
package protocol TransportNetwork: Sendable {
    /// The event loops of the client.
    var eventLoopGroup: any EventLoopGroup { get }

    /// Connects a channel to `remote`. Called on `loop`.
    ///
    /// The future fails if the connect fails, or if the channel is closed during the connect. Then the channel is
    /// closed. A connect that the peer refuses or does not answer fails with an `IOError`, as for a socket.
    ///
    /// - Parameters:
    ///   - local: The address of this machine from which to connect; nil: any.
    ///   - loop: The event loop of the channel.
    ///   - prepare: Prepares the channel before it connects. The implementation calls it once, on `loop`, before it
    ///     returns.
    func connect(
        to remote: SocketAddress, from local: SocketAddress?, on loop: any EventLoop,
        prepare: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel>
}
