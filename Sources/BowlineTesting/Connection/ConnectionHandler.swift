internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Reports the socket's events to its ``LoopbackConnection``. Over HTTP/1.1 it is the last handler of the pipeline.
///
/// Over HTTP/2, the handlers of that protocol follow, and this handler only counts bytes.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let connection: LoopbackConnection
    private let isEncrypted: Bool
    private var isHTTP2 = false

    init(_ connection: LoopbackConnection, isEncrypted: Bool) {
        self.connection = connection
        self.isEncrypted = isEncrypted
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isEncrypted { begin(context, speaksHTTP2: true) }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        connection.facts.withLock { $0.bytesReceived += bytes.readableBytes }
        if isHTTP2 {
            context.fireChannelRead(data)
            return
        }
        let isFull = connection.inbound.withLock { $0.append(&bytes) }
        if isFull { setReading(false, context) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isHTTP2 {
            let count = unwrapOutboundIn(data).readableBytes
            connection.facts.withLock { $0.bytesSent += count }
        }
        context.write(data, promise: promise)
    }

    /// Starts to serve an established connection. If the connection has a script, the script gets the bytes, even if
    /// the peers have negotiated HTTP/2.
    private func begin(_ context: ChannelHandlerContext, speaksHTTP2: Bool) {
        guard speaksHTTP2, let options = connection.server.options.http2,
            connection.server.scripts.connectionScript == nil
        else {
            connection.begin()
            return
        }
        isHTTP2 = true
        connection.facts.withLock { $0.isEstablished = true }
        do {
            try HTTP2Streams.add(to: context.channel, of: connection, options)
        } catch {
            connection.server.journal.noteProblem("connection \(connection.number): \(error)")
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiatedProtocol):
            let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate()?.toDERBytes()
            connection.facts.withLock {
                $0.applicationProtocol = negotiatedProtocol
                $0.clientCertificate = certificate
            }
            begin(context, speaksHTTP2: negotiatedProtocol == "h2")
        case ChannelEvent.inputClosed:
            let isEstablished = !isEncrypted || connection.facts.withLock { $0.isEstablished }
            connection.ended(
                isEstablished ? .clientFinished : .handshakeFailed("the client ended it during the handshake"))
            if isHTTP2 { context.close(promise: nil) }
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
            // If the client's FIN follows ours, the channel closes without another event. The same is true of a failed
            // write.
            connection.ended(isHalfClosed ? .clientFinished : .clientReset)
        }
        context.fireChannelInactive()
    }

    private func setReading(_ isReading: Bool, _ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }
}

/// Gives access to the socket below TLS. It is the first handler of the pipeline.
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

    /// Writes bytes to the socket without encryption.
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
