internal import BowlineCore
internal import NIOCore

/// One HTTP/1.1 connection: the last handler of its channel, and a connection of the pool.
///
/// It carries one exchange at a time. The functions under "From any thread" switch to the event loop; the functions
/// under "On the event loop" run there. `HTTP1Connection+Outbound.swift` writes the request,
/// `HTTP1Connection+Inbound.swift` reads the response.
// The state that every request uses is not checked for overlapping accesses (Docs/Decisions/unchecked-exclusivity.md).
// So code that changes this state in place calls no other code during the change.
// Safety: all mutable state is touched on `eventLoop` only; what other threads may read is immutable.
final class HTTP1Connection: HTTPConnection, @unchecked Sendable {
    let traits: ConnectionTraits
    /// Calls a client's listeners; nil: there are none. Set before the pool gets the connection.
    private(set) var events: ConnectionEvents?
    /// A connection that is leased again has answered a request.
    let hasAnswered = true
    let isMultiplexed = false
    let capacity = 1

    // On the event loop.
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var machine = HTTP1ConnectionStateMachine()
    @exclusivity(unchecked) var parser: HTTP1ResponseParser
    @exclusivity(unchecked) var exchange: Exchange?
    /// The parts of the response that have arrived, and which of them the caller has.
    @exclusivity(unchecked) var assembly = ResponseAssembly()
    /// Whether the rest of the response's body is read and discarded.
    @exclusivity(unchecked) var discard = HTTP1BodyDiscard()
    /// Whether the socket is read.
    @exclusivity(unchecked) var reading = HTTP1SocketReading()
    /// The request's body.
    @exclusivity(unchecked) var body = HTTP1OutboundBody<CheckedContinuation<Void, any Error>>()
    @exclusivity(unchecked) var deadlines = ExchangeDeadlines()
    /// Finds bytes that the peer sends before a request.
    @exclusivity(unchecked) var silence: HTTP1SilenceCheck
    /// The first error that the channel reported: the cause of the close that follows.
    var channelError: (any Error)?
    @exclusivity(unchecked) var closeReason: CloseReason?
    // `DeadlineEntry`.
    @exclusivity(unchecked) var sweepIndex = -1

    /// How long a TLS connection that was opened in advance waits, before its first request, to read session tickets.
    static let ticketWait: TimeAmount = .milliseconds(1)

    init(_ traits: ConnectionTraits) {
        self.traits = traits
        silence = HTTP1SilenceCheck(traits.channel, isTLS: traits.isTLS)
        parser = HTTP1ResponseParser(limits: HTTP1Limits(traits.originLink.options))
    }

    /// Calls the listeners: the connection is ready for requests. Must be called before the pool gets it.
    func announce(_ events: ConnectionEvents?) {
        self.events = events?.established()
    }

    // MARK: From any thread

    func start(_ exchange: Exchange) {
        // The caller's thread encodes the head, so that the event loop does not have to.
        let head = exchange.request.http1Head()
        onLoop { self.begin(exchange, head) }
    }

    func returnUnused() {
        onLoop { self.giveBackUnused() }
    }

    func cancelled(_ exchange: Exchange) {
        onLoop {
            guard self.exchange === exchange else { return }
            self.closeNow(.cancelled)
        }
    }

    func abandoned(_ exchange: Exchange) {
        onLoop {
            guard self.exchange === exchange else { return }
            self.discardRest()
        }
    }

    func resumeReading(_ exchange: Exchange) {
        onLoop {
            guard self.exchange === exchange else { return }
            self.readOn()
        }
    }

    // These three functions do nothing: an HTTP/1.1 connection closes with the exchange that it carries.
    func retire(_ reason: CloseReason, leases: Int) {}
    func leaseUnused() {}
    func probe() {}

    func poolReleased() {
        close(.poolReleased)
    }

    func close(_ reason: CloseReason) {
        onLoop { self.closeNow(reason) }
    }

    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            onLoop { self.write(chunk, for: exchange, continuation) }
        }
    }

    func finishBody(_ last: ByteBuffer, for exchange: Exchange) {
        onLoop { self.finish(last, bodyBytes: last.readableBytes, for: exchange) }
    }

    func finishBody(trailers: CheckedTrailers?, for exchange: Exchange) {
        var ending = ByteBuffer()
        if exchange.upload?.isChunked == true { HTTP1RequestWriter.writeLastChunk(trailers: trailers, into: &ending) }
        let bytes = ending
        onLoop { self.finish(bytes, bodyBytes: 0, for: exchange) }
    }

    func uploadFailed(
        _ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?
    ) {
        onLoop {
            guard self.exchange === exchange, !self.body.isStopped else { return }
            self.fail(code, message, underlying: underlying, reason: .requestUnfinished)
        }
    }

    // MARK: On the event loop

    private func begin(_ exchange: Exchange, _ head: ByteBuffer) {
        guard !exchange.isOver else {
            // Cancelled before a byte was written: the connection can be used again.
            exchange.upload?.stop()
            giveBackUnused()
            return
        }
        guard channel.isActive, machine.isIdle, context != nil else {
            // The connection closed after the pool had leased it. The pool knows that already, or learns of it when the
            // channel closes.
            exchange.upload?.stop()
            exchange.fail(closeBeforeRequest(exchange))
            return
        }
        switch silence.look(wasPooled: exchange.wasPooled, isReused: exchange.lease.isReused) {
        case .silent: break
        case .ticketsWait:
            eventLoop.scheduleTask(in: Self.ticketWait) { self.begin(exchange, head) }
            return
        case .bytes(let early):
            refuse(exchange, .unsolicitedBytes, early.message(isFresh: !exchange.wasPooled))
            return
        case .closed:
            refuse(exchange, .closedByPeer, "the peer closed the connection before the request was written")
            return
        }
        guard machine.start(unusable: exchange.request.closeReason) else { return }
        self.exchange = exchange
        deadlines = ExchangeDeadlines(attempt: exchange.deadline, bodyIdle: exchange.timeouts.bodyIdle)
        parser.beginResponse(to: exchange.request.kind)
        // Added before the write, because a write that fails at once ends the exchange and removes the connection from
        // the sweep.
        sweep.add(self)
        write(head, of: exchange)
    }

    private func giveBackUnused() {
        guard machine.isIdle, closeReason == nil else { return }
        events?.tell { $0.connectionReleased($1) }
        originLink.returnUnused(self)
    }

    private func refuse(_ exchange: Exchange, _ reason: CloseReason, _ message: String) {
        closeNow(reason)
        exchange.upload?.stop()
        exchange.fail(exchange.outcome(.connectionClosed, message))
    }

    /// Carries out what the machine has decided about the connection.
    func apply(_ afterwards: HTTP1ConnectionStateMachine.Afterwards) {
        switch afterwards {
        case .continues:
            if machine.isResponseDone { uploadOutlivedResponse() }
        case .reuse(let keepAlive):
            // The exchange ended with the last read, or with the end of the request's write if that was later.
            let ended = assembly.arrival.sent.map { max($0, reading.lastRead) } ?? reading.lastRead
            endExchange()
            readOn()
            events?.tell { $0.connectionReleased($1) }
            originLink.release(self, keepAliveTimeout: keepAlive, now: ended)
        case .close(let reason):
            endExchange()
            closeNow(reason)
        }
    }

    func endExchange() {
        sweep.remove(self)
        deadlines = ExchangeDeadlines()
        exchange?.upload?.stop()
        // After a response has begun, no attempt sends the body again, so its sequence is released.
        if assembly.hasHead { exchange?.request.abandonBody(after: assembly.status) }
        exchange = nil
        stopBody()
        assembly = ResponseAssembly()
        discard = HTTP1BodyDiscard()
    }

    /// Fails the exchange and closes the connection.
    func fail(
        _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        progress: RequestProgress? = nil, reason: CloseReason
    ) {
        let outcome = exchange?.outcome(code, message, underlying: underlying, progress: progress ?? machine.progress)
        let exchange = exchange
        closeNow(reason)
        if let exchange, let outcome { exchange.fail(outcome) }
    }

    /// Closes the channel, with TLS after a close_notify. If the close is forced or the pool is gone, also fails the
    /// exchange. In every other case the exchange has its result already, or the caller of this function fails it.
    func closeNow(_ reason: CloseReason) {
        guard closeReason == nil else { return }
        closeReason = reason
        let progress = machine.close()
        let exchange = self.exchange
        endExchange()
        events?.closed(reason)
        originLink.closed(id, reason)
        if let exchange, reason == .forced || reason == .poolReleased {
            exchange.fail(exchange.forciblyClosed(progress: progress ?? .neverSent))
        }
        channel.close(promise: nil)
    }
}

extension HTTP1Connection: DeadlineEntry {
    var deadline: MonotonicInstant { deadlines.instant(hasHead: assembly.hasHead) }

    /// Begins a phase that may last `limit`; nil: no limit.
    ///
    /// - Parameter start: When the phase began; nil: now.
    func enter(_ phase: ExchangeDeadlines.Phase, within limit: Duration?, from start: MonotonicInstant? = nil) {
        guard let limit else {
            deadlines.began(phase)
            return
        }
        deadlines.began(phase, until: (start ?? sweep.now).advanced(by: limit))
        sweep.deadlineMovedEarlier(deadlines.phaseInstant)
    }

    func deadlinePassed(now: MonotonicInstant) {
        guard let exchange else { return }
        let isRequestDone = machine.isRequestDone
        let asks = deadlines.asksForProgress(
            now: now, isRequestDone: isRequestDone, isReaderBehind: reading.isPaused)
        let facts = ExchangeDeadlines.Facts(
            hasHead: assembly.hasHead, isRequestDone: isRequestDone, isReaderBehind: reading.isPaused,
            hasUploadProgress: asks && body.observed(unsent: unsentBytes), hasBeenWritten: true,
            askedAt: assembly.arrival.sent ?? exchange.lease.leased)
        switch deadlines.passed(now: now, facts) {
        case .nothing, .extended: break
        case .openUpload: exchange.upload?.open()
        case .failed(let code, let message, _): fail(code, message, reason: .timedOut)
        case .stopDiscarding: closeNow(.bodyAbandoned)
        }
    }
}

extension PreparedRequest {
    private static let allocator = ByteBufferAllocator()

    /// Encodes the head for HTTP/1.1. A body that is sent with the head follows in the same buffer, so that one write
    /// sends both.
    func http1Head() -> ByteBuffer {
        // One allocation for head and body. The channel's own allocator would need a lock outside the event loop.
        var buffer = Self.allocator.buffer(capacity: checked.maximumHeadBytes + inlineBody.readableBytes)
        HTTP1RequestWriter.write(checked, into: &buffer)
        buffer.writeImmutableBuffer(inlineBody)
        return buffer
    }
}
