internal import BowlineCore
internal import NIOCore

/// Runs the program's own check of a peer, and holds the bytes of both directions meanwhile.
///
/// The TLS handler waits for the check when the handshake is complete. During this wait it would still write the last
/// flight of the handshake, which with TLS 1.3 contains our certificate, and it would fail if the peer sent more bytes.
/// So this handler, which comes between the network and the TLS handler, holds both. If the peer is accepted, the bytes
/// go on in their order. Otherwise they are dropped.
// Safety: mutable state is touched on the channel's event loop only.
final class PeerGate: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Why the peer was refused; nil: it was not. The TLS handler does not report the reason if it asked during the
    /// handshake.
    private(set) var refusal: (any Error)?
    /// Whether bytes are held.
    private(set) var isHolding = false

    private var context: ChannelHandlerContext?
    private var task: Task<Void, Never>?
    private var completion: ((Result<Void, any Error>) -> Void)?
    private var heldReads: [NIOAny] = []
    private var heldWrites: [(data: NIOAny, promise: EventLoopPromise<Void>?)] = []
    private var wantsRead = false

    /// Refuses the peer without asking the program.
    func refuse(_ failure: TLSFailure) {
        refusal = failure
    }

    /// Asks the program about the peer.
    ///
    /// - Parameters:
    ///   - holdsBytes: Whether to hold all bytes until the answer.
    ///   - completion: Gets the answer on the event loop: once, unless the handler is never added to a channel. The TLS
    ///     handler continues in it.
    func ask(
        _ verification: PeerVerification, about presented: PresentedCertificate, holdsBytes: Bool,
        on loop: any EventLoop, completion: @escaping (Result<Void, any Error>) -> Void
    ) {
        isHolding = holdsBytes
        self.completion = completion
        task = Task.inheriting {
            do {
                try await verification.verify(presented)
                loop.execute { self.answered(.success(())) }
            } catch {
                loop.execute { self.answered(.failure(PeerCheck.Refusal(underlying: error))) }
            }
        }
    }

    private func answered(_ result: Result<Void, any Error>) {
        guard let completion else { return }
        self.completion = nil
        task = nil
        if case .failure(let error) = result {
            refusal = error
            // Still holds the bytes: the peer must get nothing.
            completion(result)
            return
        }
        let wasHolding = isHolding
        isHolding = false
        if wasHolding { passWrites() }
        completion(result)
        if wasHolding { passReads() }
    }

    private func passWrites() {
        let writes = heldWrites
        heldWrites = []
        guard let context, !writes.isEmpty else { return }
        for write in writes { context.write(write.data, promise: write.promise) }
        context.flush()
    }

    private func passReads() {
        let reads = heldReads
        heldReads = []
        guard let context, context.channel.isActive else { return }
        for data in reads { context.fireChannelRead(data) }
        if !reads.isEmpty { context.fireChannelReadComplete() }
        if wantsRead {
            wantsRead = false
            context.read()
        }
    }

    /// Ends the check, because the channel has ended.
    private func end() {
        task?.cancel()
        task = nil
        heldReads = []
        let writes = heldWrites
        heldWrites = []
        for write in writes { write.promise?.fail(ChannelError.ioOnClosedChannel) }
        let completion = self.completion
        self.completion = nil
        completion?(.failure(ChannelError.ioOnClosedChannel))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        end()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isHolding {
            heldReads.append(data)
        } else {
            context.fireChannelRead(data)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // First the TLS handler, which then ignores the end of the check.
        context.fireChannelInactive()
        end()
    }

    func read(context: ChannelHandlerContext) {
        if isHolding {
            wantsRead = true
        } else {
            context.read()
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isHolding {
            heldWrites.append((data, promise))
        } else {
            context.write(data, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        if !isHolding { context.flush() }
    }
}
