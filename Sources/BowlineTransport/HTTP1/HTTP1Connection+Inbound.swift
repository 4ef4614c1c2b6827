internal import BowlineCore
internal import NIOCore

/// What of a response has been received and not yet been handed over.
struct InboundResponse {
    var firstByte: MonotonicInstant?
    /// When the socket was last read.
    var readAt = MonotonicInstant(nanoseconds: 0)
    var informational: [InformationalResponse] = []
    var head: HTTP1ResponseHead?
    var framing = HTTP1BodyFraming.none
    var headAt: MonotonicInstant?
    /// The head was handed to the caller; the body goes there as it comes.
    var isDelivered = false
    var body: ByteBuffer?
    /// How many bytes of the body have come so far.
    var bodyBytes: Int64 = 0
    /// Nobody wants the body: so many bytes may still be read off before the connection closes instead.
    var discardAllowance: Int?
    var keepAlive: Duration?
}

extension HTTP1Connection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func read(context: ChannelHandlerContext) {
        if isReadWanted { context.read() } else { isReadPending = true }
    }

    /// Reads the socket again, if reading had stopped.
    func readOn() {
        guard !isReadWanted else { return }
        isReadWanted = true
        if phase == .bodyRead { enter(.bodyRead, within: exchange?.timeouts.bodyIdle) }
        if isReadPending {
            isReadPending = false
            context?.read()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard exchange != nil, !machine.isResponseDone else {
            if exchange == nil, earlyBytes == nil { earlyBytes = EarlyBytes(unwrapInboundIn(data).readableBytesView) }
            closeNow(exchange == nil ? .unsolicitedBytes : .leftoverBytes)
            return
        }
        machine.received()
        inbound.readAt = sweep.now
        let isFirst = inbound.firstByte == nil
        if isFirst {
            inbound.firstByte = inbound.readAt
            exchange?.tell(at: inbound.readAt) { $0.responseFirstByte($1) }
        }
        parser.append(unwrapInboundIn(data).compact())
        do {
            try parse()
        } catch {
            let isHTTP2 = isFirst && EarlyBytes(unwrapInboundIn(data).readableBytesView) == .http2Frames
            failParsing(error, isHTTP2: isHTTP2)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // With nobody else to be read, who was woken need not wait for the loop's next turn.
        if sweep.count <= 1 { executor.runReady() }
    }

    private func failParsing(_ error: HTTP1ParseError, isHTTP2: Bool) {
        let code: ServiceError.Code = error.isLimit ? .responseLimitExceeded : .protocolViolation
        fail(code, error.description + (isHTTP2 ? EarlyBytes.http2Question : ""), reason: .protocolError)
    }

    private func parse() throws(HTTP1ParseError) {
        while exchange != nil {
            switch try parser.next() {
            case .needMoreBytes:
                handOver(isComplete: false, trailers: nil)
                return
            case .informational(let head):
                received(informational: head)
            case .head(let head, let framing):
                inbound.head = head
                inbound.framing = framing
                inbound.headAt = inbound.readAt
                exchange?.tell(at: inbound.readAt) { $0.responseHead($1, status: head.statusCode) }
                inbound.keepAlive = head.persistence.keepAliveTimeout.map { .seconds($0) }
                noteReusability(head, framing)
            case .body(let bytes):
                received(body: bytes)
            case .end(let trailers):
                if parser.leftoverByteCount > 0 { machine.becameUnusable(.leftoverBytes) }
                handOver(isComplete: true, trailers: trailers)
                return
            }
        }
    }

    private func received(informational head: HTTP1ResponseHead) {
        guard let exchange else { return }
        let response = InformationalResponse(status: head.status, fields: head.fields)
        inbound.informational.append(response)
        exchange.request.onInformational?(response)
        if head.statusCode == 100, phase == .awaitingContinue { openUpload(exchange) }
    }

    private func noteReusability(_ head: HTTP1ResponseHead, _ framing: HTTP1BodyFraming) {
        let isTunnel = parser.kind == .connect && (200..<300).contains(head.statusCode)
        if head.statusCode == 101 || isTunnel {
            machine.becameUnusable(.upgraded)
        } else if framing == .untilClose {
            machine.becameUnusable(.eofDelimitedBody)
        } else if !head.persistence.keepAlive {
            machine.becameUnusable(.connectionCloseRequested)
        }
        let isSuccess = (200..<300).contains(head.statusCode)
        if machine.headReceived(isSuccess: isSuccess, hasBodyBegun: phase != .awaitingContinue) == .stopUpload {
            exchange?.upload?.stop()
            exchange?.request.abandonBody(after: head.statusCode)
            outbound.stop()
        } else {
            exchange?.request.commitBody(after: head.statusCode)
        }
    }

    private func received(body bytes: ByteBuffer) {
        inbound.bodyBytes += Int64(bytes.readableBytes)
        if let allowance = inbound.discardAllowance {
            inbound.discardAllowance = allowance - bytes.readableBytes
            if allowance < bytes.readableBytes { closeNow(.bodyAbandoned) }
            return
        }
        if inbound.isDelivered {
            guard let exchange else { return }
            if exchange.received(bytes) { pauseReading() }
            extendBodyRead()
        } else if inbound.body == nil {
            inbound.body = bytes
        } else {
            var bytes = bytes
            inbound.body?.writeBuffer(&bytes)
        }
    }

    private func pauseReading() {
        isReadWanted = false
    }

    /// Gives the caller what has come since last time. A response that is complete goes as a whole; its connection goes
    /// back to the pool before that, so that a caller's next request finds it there.
    private func handOver(isComplete: Bool, trailers: ReceivedFields?) {
        guard let exchange, inbound.head != nil else { return }
        if isComplete, inbound.discardAllowance == nil { exchange.tell { $0.responseBodyEnd($1) } }
        if inbound.isDelivered || inbound.discardAllowance != nil {
            if isComplete {
                settle(machine.responseEnded(), keepAlive: inbound.keepAlive)
                exchange.completed(trailers: trailers)
            }
            return
        }
        let arrival = ResponseArrival(
            sent: outbound.sentAt, firstByte: inbound.firstByte, head: inbound.headAt,
            informational: inbound.informational
        )
        if isComplete {
            // Taken, unless an upload goes on, which asks whether there was one.
            guard let head = machine.isRequestDone ? inbound.head.take() : inbound.head else { return }
            let body = ResponseBody(
                received: inbound.body.take(), trailers: trailers, attempt: exchange.responseAttempt
            )
            let response = exchange.response(ResponseHead(head), body: body, arrival: arrival)
            settle(machine.responseEnded(), keepAlive: inbound.keepAlive)
            exchange.receivedWhole(response)
        } else if let head = inbound.head {
            let length: Int? = if case .length(let length) = inbound.framing { Int(length) } else { nil }
            let body = ResponseBody(source: ExchangeBody(exchange, announcedLength: length))
            let response = exchange.response(ResponseHead(head), body: body, arrival: arrival)
            inbound.isDelivered = true
            let first = inbound.body.take()
            exchange.call.enter(.receivingBody, attempt: exchange.attempt)
            enter(.bodyRead, within: exchange.timeouts.bodyIdle)
            let shouldPause = exchange.receivedHead(response, first: first)
            // The caller may have let the body go meanwhile: then it is being read off.
            if shouldPause, inbound.discardAllowance == nil { pauseReading() }
        }
    }

    /// Reads off what is left of a body that nobody wants, if it is little, else closes.
    func discardRest() {
        guard inbound.isDelivered, inbound.discardAllowance == nil else {
            closeNow(.bodyAbandoned)
            return
        }
        if case .length(let length) = inbound.framing, length - inbound.bodyBytes > options.discardLimit {
            closeNow(.bodyAbandoned)
            return
        }
        if inbound.framing == .untilClose || !machine.isRequestDone {
            closeNow(.bodyAbandoned)
            return
        }
        inbound.discardAllowance = options.discardLimit
        enter(.discarding, within: options.discardTimeout)
        readOn()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if channelError == nil { channelError = TLSFailure(error) ?? error }
        if exchange == nil {
            // In this turn: until the channel has closed, with TLS up to a second, it would be leased.
            closeNow(.closedByPeer)
        } else {
            channel.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        connectionEnded()
    }

    /// The channel is closed, by either side.
    private func connectionEnded() {
        guard closeReason == nil else { return }
        guard exchange != nil else {
            closeNow(.closedByPeer)
            return
        }
        if channelError == nil {
            do {
                if let event = try parser.receivedEOF(), case .end(let trailers) = event {
                    handOver(isComplete: true, trailers: trailers)
                    closeNow(.closedByPeer)
                    return
                }
            } catch {
                failTruncated()
                return
            }
        }
        failTruncated()
    }

    private func failTruncated() {
        let (code, message) = truncation
        fail(
            code, message, underlying: channelError,
            reason: channelError == nil ? .closedByPeer : .transportError
        )
    }

    /// Why the connection was closed when a request came to it. With TLS 1.3 the alert of a peer that refuses our
    /// certificate, or the lack of one, may come between the handshake and the first request.
    func closeBeforeRequest(_ exchange: Exchange) -> ServiceError {
        if closeReason == .forced { return exchange.forciblyClosed(progress: .neverSent) }
        if let failure = handshakeFailure(for: exchange) {
            return exchange.error(.tlsHandshakeFailed, failure.description, underlying: failure)
        }
        let early = closeReason == .unsolicitedBytes ? earlyBytes : nil
        return exchange.error(
            .connectionClosed,
            early?.message(isFresh: !exchange.wasPooled) ?? "the connection closed before the request was written",
            underlying: channelError
        )
    }

    /// With TLS 1.3 a peer refuses our certificate, or the lack of one, only after we have begun to send. On a connection
    /// that has lain in the pool an alert says no more than that it has closed.
    private func handshakeFailure(for exchange: Exchange) -> TLSFailure? {
        guard !exchange.wasPooled, let failure = channelError as? TLSFailure, failure.isRefusal else { return nil }
        return failure
    }

    /// What the end of the connection cut off.
    private var truncation: (ServiceError.Code, String) {
        if inbound.head != nil {
            return (.incompleteBody, "the connection ended before the response body was complete")
        }
        if machine.progress == .responseStarted {
            return (.connectionClosed, "the connection ended within the response head")
        }
        if let exchange, let failure = handshakeFailure(for: exchange) {
            return (.tlsHandshakeFailed, failure.description)
        }
        return (.connectionClosed, "the connection ended without a response")
    }
}

extension ResponseHead {
    fileprivate init(_ head: HTTP1ResponseHead) {
        self.init(status: head.status, fields: head.fields, version: head.minorVersion == 0 ? .http1_0 : .http1_1)
    }
}

extension HTTP1ParseError {
    /// Whether the peer sent more than we accept, rather than something wrong.
    fileprivate var isLimit: Bool {
        switch reason {
        case .headTooLarge, .tooManyFields, .trailersTooLarge, .tooManyInformationalResponses, .chunkExtensionsTooLong,
            .tooManyContentCodings:
            true
        default: false
        }
    }
}
