internal import BowlineCore
internal import NIOCore

// What the peer sends. Everything here runs on the event loop.
extension HTTP2Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if !context.channel.isWritable { blockedSince = sweep.now }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard closeReason == nil else { return }
        if !isReading {
            isReading = true
            readAt = sweep.now
        }
        session.receive(unwrapInboundIn(data))
        // What an event makes us do may change the session, or end the connection.
        while closeReason == nil, let event = session.nextEvent(now: readAt) { received(event) }
    }

    private func received(_ event: consuming HTTP2ClientSession.Event) {
        switch consume event {
        case .headers(let id, let fields, let endsStream): received(fields, on: id, endsStream: endsStream)
        case .data(let id, let bytes, let endsStream): received(bytes, on: id, endsStream: endsStream)
        case .reset(let id, let code): receivedReset(code, on: id)
        case .goAway(let lastStream, let code): received(HTTP2GoAway(lastID: lastStream, code: code))
        case .settings: receivedSettings()
        case .settingsAcknowledged: settingsAcknowledged()
        case .pong(let number): receivedPong(number)
        case .ping: break
        case .windowOpened(let id): windowOpened(id)
        case .streamFailed(let id, let violation): streamFailed(id, violation)
        case .connectionFailed(let violation): connectionFailed(violation)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        handOverTouched()
        executor.runReady()
        isReading = false
        writeOutput()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if channelError == nil { channelError = TLSFailure(error) ?? error }
        if peerGoAway != nil, isIdle {
            closeNow(.goAway)
            return
        }
        // In this turn: until the channel has closed, with TLS up to a second, it would be leased.
        handOverTouched()
        isReading = false
        closeNow(isIdle ? .closedByPeer : .transportError)
    }

    func channelInactive(context: ChannelHandlerContext) {
        handOverTouched()
        isReading = false
        closeNow(channelError == nil || isIdle ? .closedByPeer : .transportError)
    }

    // MARK: The response

    private func received(_ received: consuming HPACKFields, on id: Int, endsStream: Bool) {
        receivedMessage()
        guard let stream = table[id] else { return }
        noteFirstByte(stream)
        guard stream.isOpen else { return }
        let section: HTTP2FieldSection
        do throws(HTTP2FieldError) {
            section = try HTTP2FieldSection(
                received, isTrailer: stream.machine.expectsTrailers, maximumFields: options.maximumFields)
        } catch {
            violation(error.description, isLimit: error.isLimit, on: stream)
            return
        }
        let kind = stream.machine.receivedSection(
            status: section.status, contentLength: section.contentLength, isEnd: endsStream)
        switch kind {
        case .ignored: return
        case .violation(let what): violation(what, on: stream)
        case .limit(let what): violation(what, isLimit: true, on: stream)
        case .trailers: stream.trailers = section.fields
        case .informational: self.received(informational: section, on: stream)
        case .head(let expected): self.received(head: section, expected: expected, on: stream)
        }
        guard stream.isOpen else { return }
        if endsStream { ended(stream) } else { touch(stream) }
    }

    private func received(informational section: HTTP2FieldSection, on stream: HTTP2Stream) {
        let exchange = stream.exchange
        let status = HTTPResponse.Status(code: section.status ?? 100)
        let response = InformationalResponse(status: status, fields: section.fields)
        stream.arrival.informational.append(response)
        exchange.request.onInformational?(response)
        guard stream.isOpen else { return }
        if status == .continue, stream.phase == .awaitingContinue { openUpload(stream) }
    }

    private func received(head section: HTTP2FieldSection, expected: Int64?, on stream: HTTP2Stream) {
        let exchange = stream.exchange
        let status = HTTPResponse.Status(code: section.status ?? 0)
        noteAnswer()
        stream.head = ResponseHead(status: status, fields: section.fields, version: .http2)
        stream.expectedLength = expected
        stream.arrival.head = readAt
        exchange.tell(at: readAt) { $0.responseHead($1, status: status.code) }
        let isSuccess = (200..<300).contains(status.code)
        if stream.machine.stopsUpload(isSuccess: isSuccess, hasBodyBegun: stream.phase != .awaitingContinue) {
            stream.stopUpload()
            exchange.request.abandonBody(after: status.code)
        } else {
            exchange.request.commitBody(after: status.code)
        }
    }

    private func received(_ bytes: ByteBuffer, on id: Int, endsStream: Bool) {
        receivedMessage()
        guard let stream = table[id] else { return }
        noteFirstByte(stream)
        guard stream.isOpen else { return }
        if let what = stream.machine.receivedData(bytes.readableBytes) {
            violation(what, code: stream.machine.hasHead ? .incompleteBody : .protocolViolation, on: stream)
            return
        }
        if bytes.readableBytes > 0 { deliver(bytes.compact(), on: stream) }
        guard stream.isOpen else { return }
        if endsStream { ended(stream) }
    }

    /// The stream's window is given back for what the reader has taken, and for nothing else: what waits is at most a window.
    private func deliver(_ bytes: ByteBuffer, on stream: HTTP2Stream) {
        if stream.isDelivered {
            let reader = stream.exchange.receivedCounting(bytes)
            if reader.isPaused { stream.isPaused = true }
            if reader.taken > 0 { session.consumed(reader.taken, on: stream.id) }
            stream.extendBodyRead(from: readAt)
            return
        }
        if stream.body == nil {
            stream.body = bytes
        } else {
            var bytes = bytes
            stream.body?.writeBuffer(&bytes)
        }
        touch(stream)
    }

    private func noteFirstByte(_ stream: HTTP2Stream) {
        guard stream.arrival.firstByte == nil else { return }
        stream.arrival.firstByte = readAt
        stream.machine.received()
        stream.exchange.tell(at: readAt) { $0.responseFirstByte($1) }
    }

    /// The peer has ended the stream: the response is whole.
    private func ended(_ stream: HTTP2Stream) {
        if let what = stream.machine.ended() {
            violation(what, code: stream.machine.hasHead ? .incompleteBody : .protocolViolation, on: stream)
            return
        }
        handOver(stream, isComplete: true)
    }

    private func violation(
        _ what: String, isLimit: Bool = false, code: ServiceError.Code = .protocolViolation, on stream: HTTP2Stream
    ) {
        reset(stream, isLimit ? .responseLimitExceeded : code, what, http2: .protocolError)
    }

    // MARK: Handing over

    private func touch(_ stream: HTTP2Stream) {
        if !stream.isDelivered, stream.head != nil, touched.last !== stream { touched.append(stream) }
    }

    /// Gives callers what has come in this read and is not whole.
    private func handOverTouched() {
        guard !touched.isEmpty else { return }
        // By index: a second reference to the list would cost an allocation when it is emptied. The end of the connection
        // empties it meanwhile.
        var index = 0
        while index < touched.count {
            let stream = touched[index]
            index += 1
            if stream.isOpen, !stream.isDelivered { handOver(stream, isComplete: false) }
        }
        touched.removeAll(keepingCapacity: true)
    }

    /// Gives the caller what has come. A response that is complete goes as a whole; its place goes back to the pool before
    /// that, so that a caller's next request finds it there.
    private func handOver(_ stream: HTTP2Stream, isComplete: Bool) {
        let exchange = stream.exchange
        guard let head = stream.head else { return }
        if isComplete {
            exchange.tell { $0.responseBodyEnd($1) }
            // A listener may have cancelled it.
            guard stream.isOpen else { return }
        }
        if stream.isDelivered {
            guard isComplete else { return }
            responseEnded(stream)
            exchange.completed(trailers: stream.trailers)
            return
        }
        if isComplete {
            let body = ResponseBody(
                received: stream.body, trailers: stream.trailers, attempt: exchange.responseAttempt)
            let response = exchange.response(head, body: body, arrival: stream.arrival, stream: stream.id)
            responseEnded(stream)
            exchange.receivedWhole(response)
            return
        }
        let body = ResponseBody(
            source: ExchangeBody(exchange, announcedLength: stream.expectedLength.map { Int($0) }))
        let response = exchange.response(head, body: body, arrival: stream.arrival, stream: stream.id)
        stream.isDelivered = true
        let first = stream.body
        stream.body = nil
        exchange.call.enter(.receivingBody, attempt: exchange.attempt)
        stream.enter(.bodyRead, within: exchange.timeouts.bodyIdle, from: readAt)
        if exchange.receivedHead(response, first: first, step: readStep) { stream.isPaused = true }
    }

    /// The response has arrived whole; the request may go on (RFC 9113 §8.1).
    private func responseEnded(_ stream: HTTP2Stream) {
        if stream.machine.afterwards == .goOn {
            stream.enter(.none, within: nil)
            if stream.writer != nil || stream.unsentCost > 0 { stream.enterBodyWrite() }
        }
        settle(stream)
    }
}
