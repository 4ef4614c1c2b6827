import Bowline
import BowlineTesting
import NIOCore
import NIOPosix

/// A listening socket on an address of the test's choice. It connects its clients to a server on 127.0.0.1, and keeps
/// their addresses.
///
/// Linux has all of 127.0.0.0/8 as loopback addresses, so one port can have a different listener on each of them.
final class Relay: Sendable {
    private let seen = Guarded<[String]>([])

    private init() {}

    /// The addresses of the clients, in the order of their connections.
    var peers: [String] { seen.withLock { $0 } }

    /// Runs `body` with a relay.
    ///
    /// - Parameters:
    ///   - host: The address to listen on.
    ///   - port: The port to listen on; 0: any.
    ///   - server: The port of the server.
    ///   - held: How many connections, from the first on, are accepted and lead nowhere.
    ///   - body: Gets the relay and its port.
    static func with(
        on host: String, port: Int = 0, to server: Int, holding held: Int = 0, _ body: (Relay, Int) async throws -> Void
    ) async throws {
        let relay = Relay()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                let peer = channel.remoteAddress?.ipAddress ?? "unknown"
                let number = relay.seen.withLock { seen in
                    seen.append(peer)
                    return seen.count
                }
                guard number > held else { return channel.eventLoop.makeSucceededVoidFuture() }
                return ClientBootstrap(group: channel.eventLoop).connect(host: "127.0.0.1", port: server)
                    .flatMapThrowing { upstream in
                        try upstream.pipeline.syncOperations.addHandler(EndingRelay.Half(to: channel))
                        try channel.pipeline.syncOperations.addHandler(EndingRelay.Half(to: upstream))
                    }
            }
            .bind(host: host, port: port).get()
        do {
            try await body(relay, listener.localAddress?.port ?? 0)
        } catch {
            try await listener.close()
            throw error
        }
        try await listener.close()
    }
}
