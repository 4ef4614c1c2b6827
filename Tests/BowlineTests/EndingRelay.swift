import NIOCore
import NIOPosix
import Synchronization

/// A relay to a local server that ends its first connections at once, as a dial may see while a service starts.
enum EndingRelay {
    /// Runs `body` with the relay's port.
    static func with(
        port: Int, ending count: Int, _ body: (Int) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let accepted = Counter()
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                guard accepted.next() > count else { return channel.eventLoop.makeFailedFuture(ChannelError.eof) }
                return ClientBootstrap(group: channel.eventLoop).connect(host: "127.0.0.1", port: port)
                    .flatMapThrowing { upstream in
                        try upstream.pipeline.syncOperations.addHandler(Half(to: channel))
                        try channel.pipeline.syncOperations.addHandler(Half(to: upstream))
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body(listener.localAddress?.port ?? 0)
        } catch {
            try await listener.close()
            throw error
        }
        try await listener.close()
    }

    private final class Counter: Sendable {
        private let count = Atomic(0)

        func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
    }

    /// Writes the bytes of one channel to another, and closes the other channel when its own has closed.
    final class Half: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let other: any Channel

        init(to other: any Channel) {
            self.other = other
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            other.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            other.close(promise: nil)
        }
    }
}
