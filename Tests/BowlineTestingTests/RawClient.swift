import BowlinePlatform
import BowlineTesting
import NIOCore
import NIOPosix
import NIOSSL

/// A client that sends and receives plain bytes, so that a test sees everything the server sends.
struct RawClient {
    let channel: any Channel
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private var unread = ByteBuffer()

    /// How the server's bytes ended.
    enum End: Equatable {
        case finished, reset
    }

    init(
        _ channel: any Channel, _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.channel = channel
        self.inbound = inbound
        self.outbound = outbound
    }

    func send(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    /// Reads up to and with `text`; what came if the server ended before.
    mutating func read(through text: String) async throws -> String {
        while true {
            let sofar = String(buffer: unread)
            if let end = sofar.firstRange(of: text)?.upperBound {
                let taken = String(sofar[..<end])
                unread.moveReaderIndex(forwardBy: taken.utf8.count)
                return taken
            }
            guard var more = try await inbound.next() else { return String(buffer: take()) }
            unread.writeBuffer(&more)
        }
    }

    /// Reads `count` bytes; fewer if the server ended before.
    mutating func read(count: Int) async throws -> String {
        while unread.readableBytes < count {
            guard var more = try await inbound.next() else { return String(buffer: take()) }
            unread.writeBuffer(&more)
        }
        return unread.readString(length: count) ?? ""
    }

    /// Reads `count` bytes as they are; fewer if the server ended before.
    mutating func readBytes(count: Int) async throws -> [UInt8] {
        while unread.readableBytes < count {
            guard var more = try await inbound.next() else { break }
            unread.writeBuffer(&more)
        }
        return unread.readBytes(length: min(count, unread.readableBytes)) ?? []
    }

    /// The next received bytes; nil at the end.
    mutating func readPiece() async throws -> String? {
        if unread.readableBytes > 0 { return String(buffer: take()) }
        return try await inbound.next().map { String(buffer: $0) }
    }

    /// Reads until the server ends the connection.
    mutating func readToEnd() async -> (text: String, end: End) {
        do {
            while var more = try await inbound.next() { unread.writeBuffer(&more) }
            return (String(buffer: take()), .finished)
        } catch {
            return (String(buffer: take()), .reset)
        }
    }

    func finish() {
        outbound.finish()
    }

    func reset() async throws {
        let provider = channel as? any SocketOptionProvider
        try await provider?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        try await channel.close().get()
    }

    private mutating func take() -> ByteBuffer {
        defer { unread.clear() }
        return unread
    }
}

/// Connects to a server, runs `body`, and closes the connection.
func withRawClient<Result: Sendable>(
    to server: LoopbackServer,
    tls: TLSConfiguration? = nil,
    serverName: String? = nil,
    _ body: (inout RawClient) async throws -> Result
) async throws -> Result {
    let context = try tls.map { try NIOSSLContext(configuration: $0) }
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .channelOption(.allowRemoteHalfClosure, value: true)
    let initialize: @Sendable (any Channel) -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> = { channel in
        channel.eventLoop.makeCompletedFuture {
            if let context {
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(context: context, serverHostname: serverName)
                )
            }
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true)
            )
        }
    }
    let channel =
        if let path = server.socketPath {
            try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initialize)
        } else {
            try await bootstrap.connect(
                host: server.options.address == .ipv6 ? "::1" : "127.0.0.1", port: server.port,
                channelInitializer: initialize
            )
        }
    return try await channel.executeThenClose { inbound, outbound in
        var client = RawClient(channel.channel, inbound.makeAsyncIterator(), outbound)
        return try await body(&client)
    }
}

extension String {
    func firstRange(of text: String) -> Range<String.Index>? {
        ranges(of: text).first
    }
}

/// Connects to a port of this machine, runs `body`, and closes the connection.
func withRawClient<Result: Sendable>(
    port: Int, _ body: (inout RawClient) async throws -> Result
) async throws -> Result {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .channelOption(.allowRemoteHalfClosure, value: true)
        .connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true)
                )
            }
        }
    return try await channel.executeThenClose { inbound, outbound in
        var client = RawClient(channel.channel, inbound.makeAsyncIterator(), outbound)
        return try await body(&client)
    }
}
