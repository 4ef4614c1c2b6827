internal import BowlineCore
internal import NIOCore

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
        if reading.requested() == .reads { context.read() }
    }

    /// Resumes reading the socket if it was paused.
    func readOn() {
        let resumption = reading.resume()
        guard resumption != .nothing else { return }
        if deadlines.phase == .bodyRead { enter(.bodyRead, within: deadlines.bodyIdle) }
        if resumption == .reads { context?.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard exchange != nil, !machine.isResponseDone else {
            if exchange == nil { silence.received(EarlyBytes(unwrapInboundIn(data).readableBytesView)) }
            closeNow(exchange == nil ? .unsolicitedBytes : .leftoverBytes)
            return
        }
        machine.received()
        let now = sweep.now
        reading.bytesRead(at: now)
        let isFirst = assembly.bytesReceived(at: now)
        if isFirst { exchange?.tell(at: now) { $0.responseFirstByte($1) } }
        parser.append(unwrapInboundIn(data).compact())
        do {
            try parse()
        } catch {
            let isHTTP2 = isFirst && EarlyBytes(unwrapInboundIn(data).readableBytesView) == .http2Frames
            failParsing(error, isHTTP2: isHTTP2)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // If no other exchange is active, the resumed task runs now, without waiting for the loop's next turn.
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
                handOver(assembly.readEnded())
                return
            case .informational(let head):
                received(informational: head)
            case .head(let head, let framing):
                received(head, framing)
            case .body(let bytes):
                received(body: bytes)
            case .end(let trailers):
                if parser.leftoverByteCount > 0 { machine.becameUnusable(.leftoverBytes) }
                responseEnded(trailers)
                return
            }
        }
    }

    private func received(informational head: HTTP1ResponseHead) {
        guard let exchange else { return }
        let response = InformationalResponse(status: head.status, fields: head.fields)
        assembly.informationalReceived(response)
        exchange.request.onInformational?(response)
        if head.statusCode == 100, deadlines.phase == .awaitingContinue { openUpload(exchange) }
    }

    private func received(_ head: HTTP1ResponseHead, _ framing: HTTP1BodyFraming) {
        let status = head.statusCode
        if status == 407, exchange?.request.route.isForwarded == true {
            failForProxy()
            return
        }
        assembly.headReceived(
            ResponseHead(head), expectedLength: framing.announcedLength, at: reading.lastRead)
        discard.headReceived(framing)
        exchange?.tell(at: reading.lastRead) { $0.responseHead($1, status: status) }
        // A listener may have cancelled the exchange.
        guard let exchange else { return }
        let decision = machine.headReceived(
            HTTP1ConnectionStateMachine.Head(
                status: status, isConnect: parser.kind == .connect, isUntilClose: framing == .untilClose,
                persistence: head.persistence),
            hasBodyBegun: deadlines.phase != .awaitingContinue)
        exchange.decided(decision, after: status)
        if decision == .stops { stopBody() }
    }

    /// Fails the exchange after a 407: the answer is the proxy's, and the proxy has not forwarded the request (RFC 9110
    /// §15.5.8).
    private func failForProxy() {
        let proxy = traits.proxy
        let failure = ProxyFailure.authenticationRequired(hadCredentials: proxy?.credentials != nil)
        fail(
            failure.code, failure.message(proxy: proxy?.description), progress: .refused, reason: .bodyAbandoned)
    }

    private func received(body bytes: ByteBuffer) {
        switch discard.received(bytes.readableBytes) {
        case .wanted: break
        case .discarded: return
        case .tooMany:
            closeNow(.bodyAbandoned)
            return
        }
        if assembly.isDelivered {
            guard let exchange else { return }
            if exchange.received(bytes) { reading.pause() }
            deadlines.bodyProgressed(at: reading.lastRead)
        } else {
            assembly.keep(bytes)
        }
    }

    private func responseEnded(_ trailers: ReceivedFields?) {
        if let trailers { assembly.trailersReceived(trailers) }
        // A listener may cancel the exchange here. Then nothing is left to deliver.
        if !discard.isOn { exchange?.tell { $0.responseBodyEnd($1) } }
        handOver(assembly.ended())
    }

    /// Gives the caller what has arrived since the last delivery. If the response is complete, its connection goes back
    /// to the pool first, so that the caller's next request finds it there.
    private func handOver(_ delivery: ResponseAssembly.Delivery) {
        guard let exchange else { return }
        switch delivery {
        case .nothing: break
        case .head(let head, let first):
            let body = ResponseBody(
                source: ExchangeBody(exchange, announcedLength: assembly.expectedLength.map { Int($0) }))
            let response = exchange.response(head, body: body, arrival: assembly.arrival)
            exchange.call.enter(.receivingBody, attempt: exchange.attempt)
            enter(.bodyRead, within: deadlines.bodyIdle)
            let shouldPause = exchange.receivedHead(response, first: first)
            // The caller may have dropped the body already. Then its rest is discarded.
            if shouldPause, !discard.isOn { reading.pause() }
        case .whole(let head, let bytes, let trailers):
            let body = ResponseBody(received: bytes, trailers: trailers, attempt: exchange.responseAttempt)
            let response = exchange.response(head, body: body, arrival: assembly.arrival)
            apply(machine.responseEnded())
            exchange.receivedWhole(response)
        case .rest(let trailers):
            apply(machine.responseEnded())
            exchange.completed(trailers: trailers)
        }
    }

    /// Discards the rest of a body that the caller has abandoned if the rest is small; otherwise closes the connection.
    func discardRest() {
        let decision = discard.abandoned(
            isDelivered: assembly.isDelivered, isRequestDone: machine.isRequestDone, limit: options.discardLimit)
        switch decision {
        case .closes: closeNow(.bodyAbandoned)
        case .discards:
            enter(.discarding, within: options.discardTimeout)
            readOn()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if channelError == nil { channelError = TLSFailure(error) ?? error }
        if exchange == nil {
            // Close in this turn of the event loop. The channel needs up to a second to close with TLS, and the pool
            // must not lease the connection in that time.
            closeNow(.closedByPeer)
        } else {
            // The rest of the response may still arrive before the channel has closed.
            machine.becameUnusable(.transportError)
            channel.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        connectionEnded()
    }

    /// Ends or fails the exchange: the channel was closed, by either side.
    private func connectionEnded() {
        guard closeReason == nil else { return }
        guard exchange != nil else {
            closeNow(.closedByPeer)
            return
        }
        if channelError == nil {
            do {
                if let event = try parser.receivedEOF(), case .end(let trailers) = event {
                    responseEnded(trailers)
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
        let truncation = self.truncation
        fail(
            truncation.code, truncation.message, underlying: channelError,
            reason: channelError == nil ? .closedByPeer : .transportError
        )
    }

    /// Makes the outcome of a request that reached the connection after it had closed. With TLS 1.3, the alert of a
    /// peer that refuses our certificate, or requires one that we do not have, may arrive between the handshake and the
    /// first request.
    func closeBeforeRequest(_ exchange: Exchange) -> TransportOutcome {
        if closeReason == .forced { return exchange.forciblyClosed(progress: .neverSent) }
        if let failure = handshakeFailure(for: exchange) {
            return exchange.outcome(.tlsHandshakeFailed, failure.description, underlying: failure)
        }
        let early = closeReason == .unsolicitedBytes ? silence.earlyBytes : nil
        return exchange.outcome(
            .connectionClosed,
            early?.message(isFresh: !exchange.wasPooled) ?? "the connection closed before the request was written",
            underlying: channelError
        )
    }

    /// The failure if the peer refused our certificate, or required one that we do not have. nil: the channel failed
    /// for another reason. With TLS 1.3 the refusal arrives after our side of the handshake has ended. If the
    /// connection was idle in the pool, an alert means only that it has closed.
    private func handshakeFailure(for exchange: Exchange) -> TLSFailure? {
        guard !exchange.wasPooled, let failure = channelError as? TLSFailure, failure.isRefusal else { return nil }
        return failure
    }

    /// The error for the response that the end of the connection has cut off.
    private var truncation: Truncation {
        let received: Truncation.Received =
            if assembly.hasHead { .head } else { machine.progress == .responseStarted ? .partOfHead : .nothing }
        if let exchange, let failure = handshakeFailure(for: exchange) {
            return Truncation(.handshakeRefused(failure.description), received: received)
        }
        return Truncation(.connectionEnded(note: ""), received: received)
    }
}

extension ResponseHead {
    fileprivate init(_ head: HTTP1ResponseHead) {
        self.init(status: head.status, fields: head.fields, version: head.minorVersion == 0 ? .http1_0 : .http1_1)
    }
}

extension HTTP1BodyFraming {
    fileprivate var announcedLength: Int64? {
        if case .length(let length) = self { length } else { nil }
    }
}

extension HTTP1ParseError {
    /// Whether the response exceeds one of our limits. If not, it is invalid.
    fileprivate var isLimit: Bool {
        switch reason {
        case .headTooLarge, .tooManyFields, .trailersTooLarge, .tooManyInformationalResponses, .chunkExtensionsTooLong,
            .tooManyContentCodings:
            true
        default: false
        }
    }
}
