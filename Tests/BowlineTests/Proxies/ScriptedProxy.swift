import Bowline
import BowlineTesting
import NIOCore
import NIOPosix

/// A proxy on loopback that follows a script: a closure that reads and sends bytes. It keeps the messages that it reads,
/// and can copy bytes between its client and a server.
///
/// It knows nothing of HTTP and SOCKS, so that a script can break every rule of both.
final class ScriptedProxy: Sendable {
    /// What the proxy does on each connection. The proxy closes the connection when the closure returns.
    struct Script: Sendable {
        let run: @Sendable (Peer) async throws -> Void

        init(_ run: @escaping @Sendable (Peer) async throws -> Void) {
            self.run = run
        }
    }

    /// The client ended the connection within a message.
    struct Ended: Error {}

    let server: LoopbackServer
    private let kept = Guarded<[[UInt8]]>([])

    private init(_ server: LoopbackServer) {
        self.server = server
    }

    /// Runs `body` with a proxy.
    ///
    /// - Parameter options: The options of the proxy's listening socket, for example TLS.
    static func with(
        _ script: Script, over options: LoopbackServer.Options = LoopbackServer.Options(),
        _ body: (ScriptedProxy) async throws -> Void
    ) async throws {
        try await withLoopbackServer(options) { server in
            let proxy = ScriptedProxy(server)
            server.onConnection { try await script.run(Peer(connection: $0, proxy: proxy)) }
            try await body(proxy)
        }
    }

    var port: Int { server.port }
    /// Its URL as an HTTP proxy: `http://127.0.0.1:49152`, or `https://localhost:49152` with TLS.
    var url: String { server.baseURL }
    /// The messages that scripts have read, in order, over all connections.
    var messages: [[UInt8]] { kept.withLock { $0 } }
    /// The messages as text.
    var texts: [String] { messages.map { String(decoding: $0, as: UTF8.self) } }

    /// Waits until `count` messages have been read.
    func waitForMessages(_ count: Int) async throws {
        try await eventually("\(count) messages for the proxy") { self.messages.count >= count }
    }

    /// A client's connection.
    struct Peer: Sendable {
        let connection: LoopbackConnection
        fileprivate let proxy: ScriptedProxy

        /// Reads a head up to its empty line.
        @discardableResult
        func readHead() async throws -> String {
            var bytes = ByteBuffer()
            while !bytes.readableBytesView.suffix(4).elementsEqual("\r\n\r\n".utf8) {
                var more = try await connection.read()
                guard more.readableBytes > 0 else { throw Ended() }
                bytes.writeBuffer(&more)
            }
            keep(bytes)
            return String(buffer: bytes)
        }

        /// Reads a message of at least `count` bytes: all that has arrived, because a client waits for the answer.
        @discardableResult
        func readMessage(_ count: Int) async throws -> [UInt8] {
            let bytes = try await connection.read(atLeast: count)
            guard bytes.readableBytes >= count else { throw Ended() }
            keep(bytes)
            return Array(bytes.readableBytesView)
        }

        private func keep(_ bytes: ByteBuffer) {
            let message = Array(bytes.readableBytesView)
            proxy.kept.withLock { $0.append(message) }
        }

        func send(_ text: String) async throws {
            try await connection.send(text)
        }

        func send(_ bytes: [UInt8]) async throws {
            try await connection.send(ByteBuffer(bytes: bytes))
        }

        /// Waits until the client closes the connection.
        func waitForClose() async throws {
            try await connection.waitForClose()
        }

        /// Copies bytes in both directions between the client and the server on `port`, until one side closes.
        func tunnel(to port: Int) async throws {
            let (arrivals, feed) = AsyncStream<ByteBuffer>.makeStream()
            let origin = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Intake(feed))
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
            let connection = connection
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        let bytes = try await connection.read()
                        guard bytes.readableBytes > 0 else { return }
                        try await origin.writeAndFlush(bytes).get()
                    }
                }
                group.addTask {
                    for await bytes in arrivals { try await connection.send(bytes) }
                }
                // The end of one direction ends the other.
                _ = try? await group.next()
                group.cancelAll()
            }
            try? await origin.close().get()
        }
    }

    /// Passes a channel's bytes to a stream.
    private final class Intake: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let feed: AsyncStream<ByteBuffer>.Continuation

        init(_ feed: AsyncStream<ByteBuffer>.Continuation) {
            self.feed = feed
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            feed.yield(unwrapInboundIn(data))
        }

        func channelInactive(context: ChannelHandlerContext) {
            feed.finish()
            context.fireChannelInactive()
        }
    }
}

extension ScriptedProxy.Script {
    /// Opens a tunnel for each CONNECT.
    static func tunnels(to port: Int, answer: String = "HTTP/1.1 200 OK\r\n\r\n") -> Self {
        Self { peer in
            try await peer.readHead()
            try await peer.send(answer)
            try await peer.tunnel(to: port)
        }
    }

    /// Gives each CONNECT this answer, and then sends nothing more.
    ///
    /// - Parameter closes: Whether the proxy closes the connection; false: it waits until the client does.
    static func answers(_ answer: String, closes: Bool = false) -> Self {
        Self { peer in
            try await peer.readHead()
            try await peer.send(answer)
            if !closes { try await peer.waitForClose() }
        }
    }

    /// A SOCKS5 proxy without authentication that connects to `port`, whatever the client asks for.
    ///
    /// - Parameter requestLength: How many bytes the client's request has.
    static func socks(to port: Int, requestLength: Int) -> Self {
        Self { peer in
            try await peer.readMessage(3)
            try await peer.send([5, 0])
            try await peer.readMessage(requestLength)
            try await peer.send(SOCKSBytes.opened)
            try await peer.tunnel(to: port)
        }
    }
}

/// Messages of SOCKS5 (RFC 1928), byte by byte.
enum SOCKSBytes {
    /// The reply that opens the tunnel.
    static let opened: [UInt8] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    /// The greeting of a client without credentials, and of one with credentials.
    static let greeting: [UInt8] = [5, 1, 0]
    static let greetingWithCredentials: [UInt8] = [5, 2, 0, 2]

    /// The request for a tunnel to a name that the proxy resolves.
    static func request(_ name: String, port: Int) -> [UInt8] {
        let start: [UInt8] = [5, 1, 0, 3, UInt8(name.utf8.count)]
        return start + Array(name.utf8) + bytes(ofPort: port)
    }

    /// The request for a tunnel to an address.
    static func request(_ address: IPAddress, port: Int) -> [UInt8] {
        let start: [UInt8] = [5, 1, 0, address.family == .v4 ? 1 : 4]
        return start + address.bytes + bytes(ofPort: port)
    }

    private static func bytes(ofPort port: Int) -> [UInt8] {
        [UInt8(port >> 8), UInt8(port & 0xFF)]
    }
}

/// Runs `body` with a client that uses `proxy`, tries once, and can resolve no name itself.
func withProxiedClient<Result>(
    _ baseURL: String, _ proxy: ProxyChoice, configure: (inout ClientConfiguration) -> Void = { _ in },
    _ body: (ServiceClient) async throws -> Result
) async throws -> Result {
    try await withServiceClient(baseURL) {
        $0.proxy = proxy
        $0.resolver = FixedAddresses([:], otherwise: nil)
        $0.tls.trustRoots = .pem(TestCertificates.authority)
        $0.retry = .never
        configure(&$0)
    } _: { client in
        try await body(client)
    }
}
