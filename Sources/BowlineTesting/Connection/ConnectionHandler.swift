internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Brings what happens on the socket to its ``LoopbackConnection``; the last handler of the pipeline.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: LoopbackConnection
    private let isEncrypted: Bool

    init(_ connection: LoopbackConnection, isEncrypted: Bool) {
        self.connection = connection
        self.isEncrypted = isEncrypted
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isEncrypted { connection.begin() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        connection.facts.withLock { $0.bytesReceived += bytes.readableBytes }
        let isFull = connection.inbound.withLock { $0.append(&bytes) }
        if isFull { setReading(false, context) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiatedProtocol):
            connection.facts.withLock { $0.applicationProtocol = negotiatedProtocol }
            connection.begin()
        case ChannelEvent.inputClosed:
            connection.ended(.clientFinished)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isEstablished = !isEncrypted || connection.facts.withLock { $0.isEstablished }
        if !isEstablished {
            connection.ended(.handshakeFailed("\(error)"))
        } else if case NIOSSLError.uncleanShutdown = error {
            connection.ended(.clientTruncated)
        } else {
            connection.ended(.clientReset)
        }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let (isEstablished, isHalfClosed) = connection.facts.withLock { ($0.isEstablished, $0.isHalfClosed) }
        if isEncrypted, !isEstablished {
            connection.ended(.handshakeFailed("the connection ended during the handshake"))
        } else {
            // The client's FIN after our own closes the channel without another event; so does an error in writing.
            connection.ended(isHalfClosed ? .clientFinished : .clientReset)
        }
        context.fireChannelInactive()
    }

    private func setReading(_ isReading: Bool, _ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }
}

/// The way to the socket past TLS; the first handler of the pipeline.
final class SocketEdge: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    /// Writes to the socket what TLS does not see.
    func send(_ bytes: ByteBuffer, promise: EventLoopPromise<Void>?) {
        guard let context else {
            promise?.fail(ConnectionEnded())
            return
        }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: promise)
    }

    /// Closes the socket without a TLS close_notify.
    func close() {
        context?.close(promise: nil)
    }
}
