internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Waits for the end of a TLS handshake: the last handler of its channel during the step *secure*.
final class DialWaiter: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private enum State {
        case waiting
        case ready(negotiatedProtocol: String?)
        case failed(any Error)
    }

    private let handlers: TLSHandlers
    private var state = State.waiting
    private var callback: ((Result<String?, any Error>) -> Void)?

    /// - Parameter handlers: The handlers of the session whose handshake this waits for.
    init(_ handlers: TLSHandlers) {
        self.handlers = handlers
    }

    /// Calls `callback` once, with the negotiated protocol or the failure. If this result is known already, calls it at
    /// once.
    func whenReady(_ callback: @escaping (Result<String?, any Error>) -> Void) {
        switch state {
        case .waiting: self.callback = callback
        case .ready(let name): callback(.success(name))
        case .failed(let error): callback(.failure(error))
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let name)? = event as? TLSUserEvent, case .waiting = state {
            state = .ready(negotiatedProtocol: name)
            report(.success(name))
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        fail(DialFailure.bytesBeforeRequest(EarlyBytes(unwrapInboundIn(data).readableBytesView)))
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The TLS handler has the refused certificate until the channel closes.
        let failure = TLSFailure(error) {
            try? handlers.tls.peerCertificate?.toDERBytes()
        } now: {
            Int(time(nil))
        }
        let refusal = handlers.gate?.refusal
        if refusal != nil || failure?.isOtherHost == true {
            fail(refusal ?? failure ?? error) { closeBelowTLS(context, promise: nil) }
        } else {
            fail(failure ?? error)
        }
        context.close(promise: nil)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // A close through the TLS handler would wait for bytes that the gate holds.
        if mode == .all, handlers.gate?.isHolding == true {
            closeBelowTLS(context, promise: promise)
        } else {
            context.close(mode: mode, promise: promise)
        }
    }

    /// Closes the channel below the TLS handler. With TLS 1.3, that handler still keeps the last flight of the
    /// handshake, which contains our certificate. A close through the handler would write that flight first.
    private func closeBelowTLS(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        let pipeline = context.pipeline.syncOperations
        guard let boundary = try? pipeline.context(handler: handlers.boundary) else {
            context.close(promise: promise)
            return
        }
        boundary.close(promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(DialFailure.closedEarly)
        context.fireChannelInactive()
    }

    /// - Parameter close: Closes the channel. It runs before the failure is reported, because the dial reacts to the
    ///   failure with an orderly close of its channels. Later errors of the closing channel are ignored.
    private func fail(_ error: any Error, closing close: () -> Void = {}) {
        if case .failed = state { return }
        state = .failed(error)
        close()
        report(.failure(error))
    }

    private func report(_ result: Result<String?, any Error>) {
        let callback = self.callback
        self.callback = nil
        callback?(result)
    }
}

/// The failures of a dial for which no other layer has an error.
enum DialFailure: Error {
    case bytesBeforeRequest(EarlyBytes)
    /// The connection ended before it could be used, and not during the TLS handshake.
    case closedEarly
    case timedOut
    case cancelled
    /// The peer's address is not of the family of `connection.localAddress`.
    case otherFamily(local: IPAddress)
    /// This machine does not have the address of `connection.localAddress`.
    case noLocalAddress(IPAddress)
    case unexpectedProtocol
    /// HTTP/2 was required, and the peer speaks HTTP/1.1 only.
    case http2NotOffered
    /// The connection ended before the peer's HTTP/2 settings arrived.
    case noSettings
}
