internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import NIOTLS

/// The listening socket of a ``LoopbackServer``.
struct Listener: Sendable {
    let channel: any Channel
    private let target: Target

    /// The server that gets the accepted connections. It is set after binding, because the server is made with the
    /// bound port.
    private final class Target: Sendable {
        private let server = Guarded<LoopbackServer?>(nil)

        var current: LoopbackServer? {
            get { server.withLock { $0 } }
            set { server.withLock { $0 = newValue } }
        }
    }

    static func bind(_ options: LoopbackServer.Options) async throws -> Listener {
        let tls = try options.tls?.makeContext(offersHTTP2: options.http2 != nil)
        let target = Target()
        let group = options.eventLoopGroup ?? MultiThreadedEventLoopGroup.singleton
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Int32(clamping: options.isUnreachable ? 0 : options.backlog))
            // Accepting begins when the server exists.
            .serverChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Self.accept(channel, for: target.current, tls: tls)
                }
            }
        if case .unixSocket = options.address {
        } else {
            bootstrap = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        if let size = options.receiveBufferSize {
            bootstrap = bootstrap.serverChannelOption(.socketOption(.so_rcvbuf), value: size)
        }
        if let size = options.sendBufferSize {
            bootstrap = bootstrap.childChannelOption(.socketOption(.so_sndbuf), value: size)
        }
        return Listener(channel: try await bind(bootstrap, to: options.address), target: target)
    }

    /// Begins to accept connections.
    func accept(for server: LoopbackServer) {
        target.current = server
        guard server.options.acceptsConnections, !server.options.isUnreachable else { return }
        channel.setOption(.autoRead, value: true).whenFailure { _ in }
    }

    /// Fills the kernel's backlog with connections of our own, until a dial fails or there are 16.
    ///
    /// - Returns: the connections. Keep them open, so that the backlog stays full.
    func fillBacklog() async -> [any Channel] {
        var fillers: [any Channel] = []
        guard let address = channel.localAddress else { return fillers }
        while fillers.count < 16 {
            let dial = ClientBootstrap(group: channel.eventLoop).connectTimeout(.milliseconds(100))
            guard let filler = try? await dial.connect(to: address).get() else { break }
            fillers.append(filler)
        }
        return fillers
    }

    static func removeSocketFile(_ path: String?) {
        if let path { _ = unlink(path) }
    }

    private static func bind(
        _ bootstrap: ServerBootstrap, to address: LoopbackServer.Options.Address
    ) async throws -> any Channel {
        switch address {
        case .ipv4: try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        case .ipv6: try await bootstrap.bind(host: "::1", port: 0).get()
        case .unixSocket(let path):
            try await bootstrap.bind(
                unixDomainSocketPath: path ?? temporarySocketPath(), cleanupExistingSocketFile: true
            ).get()
        }
    }

    /// A new path that is short enough for a socket's address (103 bytes).
    private static func temporarySocketPath() -> String {
        let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let usable = directory.utf8.count <= 64 ? directory : "/tmp"
        let random = UInt64.random(in: 0 ... .max)
        return "\(usable)/bowline-\(getpid())-\(String(random, radix: 36)).sock"
    }

    private static func accept(_ channel: any Channel, for server: LoopbackServer?, tls: NIOSSLContext?) throws {
        guard let server else { throw ChannelError.ioOnClosedChannel }
        let connection = server.journal.withLock { journal in
            journal.accepted { LoopbackConnection(number: $0, channel: channel, server: server) }
        }
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(SocketEdge())
        try pipeline.addHandler(ConnectionHandler(connection, isEncrypted: tls != nil))
        guard let tls else { return }
        // Reads the server name from the ClientHello, then adds the TLS handler, which needs the whole ClientHello.
        let nameReader = SNIHandler { result in
            channel.eventLoop.makeCompletedFuture {
                if case .hostname(let name) = result { connection.facts.withLock { $0.serverName = name } }
                let pipeline = channel.pipeline.syncOperations
                let last = try pipeline.handler(type: ConnectionHandler.self)
                try pipeline.addHandler(NIOSSLServerHandler(context: tls), position: .before(last))
            }
        }
        try pipeline.addHandler(
            ByteToMessageHandler(nameReader), position: .after(pipeline.handler(type: SocketEdge.self))
        )
    }
}
