internal import BowlineCore
internal import BowlinePool
internal import NIOCore

/// One HTTP/1.1 connection: a channel's last handler, and the pool's idea of a connection.
///
/// It carries one exchange at a time. Everything below the line "on the event loop" runs there; what callers use from
/// their own threads hops there first.
// Safety: all mutable state is touched on `eventLoop` only; what other threads may read is immutable.
final class HTTP1Connection: @unchecked Sendable, PooledConnection {
    let id: ConnectionID
    let affinity: Int
    let eventLoop: any EventLoop
    let channel: any Channel
    let peer: String
    let isTLS: Bool
    let options: ConnectionOptions
    /// How long the dial took that made it.
    let dialDuration: Duration
    let sweep: DeadlineSweep
    let origin: OriginLink
    /// Tells a client's listeners; nil without any. Set before the pool gets the connection, and then constant.
    private(set) var events: ConnectionEvents?

    // On the event loop.
    var context: ChannelHandlerContext?
    var machine = HTTP1ConnectionStateMachine()
    var parser: HTTP1ResponseParser
    var exchange: Exchange?
    var inbound = InboundResponse()
    var outbound = OutboundRequest()
    var peek: SocketPeek
    /// Set with TLS.
    let recordBoundary: TLSRecordBoundary?
    /// The last error the channel reported: the cause of the close that follows.
    var channelError: (any Error)?
    var closeReason: CloseReason?
    var isReadWanted = true
    var isReadPending = false
    private(set) var hasWaitedForTickets = false
    // `DeadlineEntry`.
    var phase = DeadlinePhase.none
    var phaseDeadline = MonotonicInstant.distantFuture
    var sweepIndex = -1

    /// How long a TLS connection that was opened ahead may take to read what waits before its first request.
    static let ticketWait: TimeAmount = .milliseconds(1)

    /// How a connection reaches its pool, weakly: the pool may be gone before it.
    struct OriginLink: Sendable {
        /// The response is complete. With how long the server keeps the connection, if it said so, and the time.
        let release: @Sendable (HTTP1Connection, Duration?, MonotonicInstant) -> Void
        /// Nothing was written: the lease does not count as a use, and what the server last said of its patience holds.
        let returnUnused: @Sendable (HTTP1Connection) -> Void
        let closed: @Sendable (ConnectionID, CloseReason) -> Void
    }

    init(
        id: ConnectionID, affinity: Int, channel: any Channel, peer: String, isTLS: Bool, options: ConnectionOptions,
        dialDuration: Duration, sweep: DeadlineSweep, origin: OriginLink
    ) {
        self.id = id
        self.affinity = affinity
        self.channel = channel
        eventLoop = channel.eventLoop
        self.peer = peer
        self.isTLS = isTLS
        self.options = options
        self.dialDuration = dialDuration
        self.sweep = sweep
        self.origin = origin
        peek = SocketPeek(channel)
        recordBoundary = isTLS ? try? channel.pipeline.syncOperations.handler(type: TLSRecordBoundary.self) : nil
        var limits = HTTP1Limits()
        limits.maximumHeadBytes = options.maximumHeadBytes
        limits.maximumFields = options.maximumFields
        limits.maximumTrailerBytes = options.maximumHeadBytes
        limits.maximumTrailerFields = options.maximumFields
        limits.maximumInformationalResponses = options.maximumInformational
        parser = HTTP1ResponseParser(limits: limits)
    }

    // MARK: From any thread

    func onLoop(_ action: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { action() } else { eventLoop.execute(action) }
    }

    /// Sends the exchange's request.
    func start(_ exchange: Exchange) {
        onLoop { self.begin(exchange) }
    }

    /// A lease that was not used goes back.
    func returnUnused() {
        onLoop { self.giveBackUnused() }
    }

    /// The calling task was cancelled: the response is not wanted.
    func cancelled(_ exchange: Exchange) {
        onLoop {
            guard self.exchange === exchange else { return }
            self.closeNow(.cancelled)
        }
    }

    /// The rest of the body is not wanted.
    func abandoned(_ exchange: Exchange) {
        onLoop {
            guard self.exchange === exchange else { return }
            self.discardRest()
        }
    }

    /// The reader has caught up: the socket may be read again.
    func resumeReading(_ exchange: Exchange) {
        onLoop {
            guard self.exchange === exchange else { return }
            self.readOn()
        }
    }

    func close(_ reason: CloseReason) {
        onLoop { self.closeNow(reason) }
    }

    // MARK: On the event loop

    private func begin(_ exchange: Exchange) {
        guard !exchange.isOver else {
            // Cancelled before a byte was written: the connection is as good as it was.
            exchange.upload?.stop()
            giveBackUnused()
            return
        }
        guard channel.isActive, machine.isIdle, context != nil else {
            // It closed between the pool's decision and now; the pool has been told, or will be by the close.
            exchange.upload?.stop()
            exchange.fail(closeBeforeRequest(exchange))
            return
        }
        // A fresh TLS connection may have session tickets waiting; everything else has to be silent (RFC 9112 §9.2).
        let isFreshTLS = isTLS && !exchange.lease.wasPooled
        switch isFreshTLS ? .silent : lookAround() {
        case .silent: break
        case .bytesWaiting where isTLS && !exchange.lease.isReused && !hasWaitedForTickets:
            // Session tickets again, most likely, on a connection that was opened ahead: the loop gets a turn to read them.
            hasWaitedForTickets = true
            eventLoop.scheduleTask(in: Self.ticketWait) { self.begin(exchange) }
            return
        case .bytesWaiting:
            refuse(exchange, .unsolicitedBytes, "the peer sent bytes before the request")
            return
        case .closed:
            refuse(exchange, .closedByPeer, "the peer closed the connection before the request was written")
            return
        }
        guard machine.start(unusable: exchange.request.closeReason) else { return }
        self.exchange = exchange
        inbound = InboundResponse()
        parser.beginResponse(to: exchange.request.kind)
        phase = .none
        phaseDeadline = .distantFuture
        // Before the write: one that fails at once ends the exchange, and takes the connection out again.
        sweep.add(self)
        writeHead(of: exchange)
    }

    private func giveBackUnused() {
        guard machine.isIdle, closeReason == nil else { return }
        events?.tell { $0.connectionReleased($1) }
        origin.returnUnused(self)
    }

    /// The connection is ready for requests.
    func announce(_ events: ConnectionEvents?) {
        self.events = events?.established()
    }

    private func lookAround() -> SocketPeek.Finding {
        recordBoundary?.isInsideRecord == true ? .bytesWaiting : peek.look()
    }

    private func refuse(_ exchange: Exchange, _ reason: CloseReason, _ message: String) {
        closeNow(reason)
        exchange.upload?.stop()
        exchange.fail(exchange.error(.connectionClosed, message))
    }

    /// The exchange is over and the connection decides what becomes of it.
    func settle(_ afterwards: HTTP1ConnectionStateMachine.Afterwards, keepAlive: Duration?) {
        switch afterwards {
        case .goOn:
            if machine.isResponseDone { uploadOutlivedResponse() }
        case .reuse:
            let ended = outbound.sentAt.map { max($0, inbound.readAt) } ?? inbound.readAt
            endExchange()
            readOn()
            events?.tell { $0.connectionReleased($1) }
            origin.release(self, keepAlive, ended)
        case .close(let reason):
            endExchange()
            closeNow(reason)
        }
    }

    func endExchange() {
        sweep.remove(self)
        phase = .none
        phaseDeadline = .distantFuture
        exchange?.upload?.stop()
        // Once a response has begun nobody sends the body again: its sequence is let go.
        if inbound.head != nil { exchange?.request.abandonBody() }
        exchange = nil
        outbound.stop()
        inbound = InboundResponse()
    }

    /// Fails the exchange and closes.
    func fail(
        _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil, reason: CloseReason
    ) {
        let error = exchange?.error(code, message, underlying: underlying, progress: machine.progress)
        let exchange = exchange
        closeNow(reason)
        if let exchange, let error { exchange.fail(error) }
    }

    /// Closes the channel, with TLS after a close_notify. Whoever waits for the exchange has been told, or is told by the
    /// caller; a forced close tells them here.
    func closeNow(_ reason: CloseReason) {
        guard closeReason == nil else { return }
        closeReason = reason
        let progress = machine.close()
        let exchange = self.exchange
        endExchange()
        events?.closed(reason)
        origin.closed(id, reason)
        if let exchange, reason == .forced || reason == .poolReleased {
            exchange.fail(exchange.forciblyClosed(progress: progress ?? .neverSent))
        }
        channel.close(promise: nil)
    }
}

extension HTTP1Connection: DeadlineEntry {
    var deadline: MonotonicInstant {
        guard let exchange else { return phaseDeadline }
        return min(phaseDeadline, exchange.deadline.instant)
    }
}
