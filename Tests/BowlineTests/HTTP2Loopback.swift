import Bowline
import BowlineTesting
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL

/// A correct HTTP/2 server on loopback. What it answers is told by the path:
///
/// | path | answer |
/// |---|---|
/// | `/bytes/N` | N bytes |
/// | `/echo` | the body, when it is whole, and the request's trailers |
/// | `/hold` | "held", once ``open()`` is called |
/// | `/swallow` | "ok", when the body is whole |
final class HTTP2Loopback: Sendable {
    struct Seen: Sendable {
        var connections = 0
        var open = 0
        var mostOpen = 0
        var paths: [String] = []
        var resets = 0
    }

    let seen = Guarded(Seen())
    let gate = Guarded((isOpen: false, held: [HTTP2LoopbackStream]()))
    private let channel = Guarded<(any Channel)?>(nil)

    /// Runs `body` with a server that offers these protocols by TLS; nil: without TLS, by prior knowledge.
    static func run(
        alpn: [String]? = ["h2", "http/1.1"], streams: Int = 100,
        _ body: (HTTP2Loopback, String) async throws -> Void
    ) async throws {
        let server = HTTP2Loopback()
        let context = try alpn.map { protocols in
            let identity = TestCertificates.server
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(identity.certificate.utf8))
                    .map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem)))
            configuration.applicationProtocols = protocols
            return try NIOSSLContext(configuration: configuration)
        }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    server.seen.withLock { $0.connections += 1 }
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try server.addHandlers(to: channel, streams: streams)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let scheme = context == nil ? "http" : "https"
        do {
            try await body(server, "\(scheme)://localhost:\(channel.localAddress?.port ?? 0)")
        } catch {
            server.open()
            try await channel.close()
            throw error
        }
        server.open()
        try await channel.close()
    }

    private func addHandlers(to channel: any Channel, streams: Int) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [HTTP2Setting(parameter: .maxConcurrentStreams, value: streams)]
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: channel.eventLoop, connectionConfiguration: connection,
            streamConfiguration: NIOHTTP2Handler.StreamConfiguration()
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(HTTP2LoopbackStream(server: self))
            }
        }
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// Answers what is held, and whatever comes there later.
    func open() {
        let held = gate.withLock { gate in
            defer { gate = (true, []) }
            return gate.held
        }
        for stream in held { stream.answerHeld() }
    }
}

/// One stream of the server's.
// Safety: everything but `answerHeld()`, which hops there, is used on the channel's loop.
final class HTTP2LoopbackStream: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let server: HTTP2Loopback
    private var context: ChannelHandlerContext?
    private var path = ""
    private var body = ByteBuffer()
    private var trailers: HPACKHeaders?

    init(server: HTTP2Loopback) {
        self.server = server
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        server.seen.withLock {
            $0.open += 1
            $0.mostOpen = max($0.mostOpen, $0.open)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        server.seen.withLock { $0.open -= 1 }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let payload):
            if let path = payload.headers.first(name: ":path") {
                self.path = path
                server.seen.withLock { $0.paths.append(path) }
            } else {
                trailers = payload.headers
            }
            if payload.endStream { answer(context) }
        case .data(let payload):
            if case .byteBuffer(var bytes) = payload.data, path == "/echo" { body.writeBuffer(&bytes) }
            if payload.endStream { answer(context) }
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamClosed { server.seen.withLock { $0.resets += 1 } }
    }

    private func answer(_ context: ChannelHandlerContext) {
        switch path {
        case "/hold":
            let isOpen = server.gate.withLock { gate in
                if !gate.isOpen { gate.held.append(self) }
                return gate.isOpen
            }
            if isOpen { reply(ByteBuffer(string: "held"), context) }
        case "/echo": reply(body, context)
        case _ where path.hasPrefix("/bytes/"):
            reply(ByteBuffer(repeating: 0x61, count: Int(path.dropFirst(7)) ?? 0), context)
        default: reply(ByteBuffer(string: "ok"), context)
        }
    }

    func answerHeld() {
        guard let loop = context?.eventLoop else { return }
        loop.execute {
            if let context = self.context { self.reply(ByteBuffer(string: "held"), context) }
        }
    }

    private func reply(_ body: ByteBuffer, _ context: ChannelHandlerContext) {
        let head = HPACKHeaders([(":status", "200"), ("content-length", String(body.readableBytes))])
        context.write(wrapOutboundOut(.headers(.init(headers: head))), promise: nil)
        context.write(
            wrapOutboundOut(.data(.init(data: .byteBuffer(body), endStream: trailers == nil))), promise: nil)
        if let trailers {
            context.write(wrapOutboundOut(.headers(.init(headers: trailers, endStream: true))), promise: nil)
        }
        context.flush()
    }
}
