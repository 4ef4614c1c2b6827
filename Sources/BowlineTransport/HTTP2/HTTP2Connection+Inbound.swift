internal import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import NIOHPACK
internal import NIOHTTP2

// What the peer sends. Everything here runs on the event loop.
extension HTTP2Connection: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if !context.channel.isWritable { gate.becameUnwritable(now: sweep.now) }
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
        let frame = unwrapInboundIn(data)
        switch frame.payload {
        case .headers(let payload): received(payload, on: Int(frame.streamID))
        case .data(let payload): received(payload, on: Int(frame.streamID))
        case .rstStream(let code): receivedReset(code, on: Int(frame.streamID))
        case .goAway(let lastID, let code, _): received(HTTP2GoAway(lastID: Int(lastID), code: code))
        case .settings(.settings(let settings)): received(settings)
        case .ping(let ping, ack: true): receivedPong(ping.integer)
        case .settings, .ping, .priority, .windowUpdate, .pushPromise, .alternativeService, .origin: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        handOverTouched()
        executor.runReady()
        isReading = false
        // The frame handler has flushed before it told us.
        context.flush()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Several for each frame, and a cast that fails is dear: the types are compared first.
        let type = type(of: event)
        if type == NIOHTTP2WindowUpdatedEvent.self, let event = event as? NIOHTTP2WindowUpdatedEvent {
            windowChanged(event)
        } else if type == NIOHTTP2StreamCreatedEvent.self, let event = event as? NIOHTTP2StreamCreatedEvent {
            table[Int(event.streamID)]?.machine.wrote()
        } else if type == StreamClosedEvent.self, let event = event as? StreamClosedEvent {
            streamClosed(Int(event.streamID), event.reason)
        } else if type == NIOHTTP2BulkStreamWindowChangeEvent.self,
            let event = event as? NIOHTTP2BulkStreamWindowChangeEvent
        {
            windowsChanged(by: event.delta)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error caught: any Error) {
        let error: any Error = TLSFailure(caught) ?? caught
        if peerGoAway != nil, table.isEmpty {
            // The frame handler counts such a connection as closed and takes any further frame for an error.
            if channelError == nil { channelError = TLSFailure(error) ?? error }
            closeNow(.goAway)
            return
        }
        if isOfOneStream(error) { return }
        if let error = error as? NIOHTTP2Errors.StreamError {
            if let stream = table[Int(error.streamID)] {
                reset(stream, .protocolViolation, "the request could not be written: \(Self.brief(error.baseError))")
            }
            return
        }
        if channelError == nil { channelError = TLSFailure(error) ?? error }
        // Back in the call that writes them, the request that they belong to is told more.
        if isWritingHeaders, !frames.wroteHeaders, frames.goAway == nil, !Self.isEndOfConnection(error) { return }
        if let code = frames.goAway {
            let what = "the peer broke HTTP/2's rules: \(Self.brief(error)) (\(code.name))"
            end(.protocolError) { stream in
                stream.exchange.error(
                    .protocolViolation, what, underlying: error, progress: stream.machine.progress)
            }
            return
        }
        // In this turn: until the channel has closed, with TLS up to a second, it would be leased.
        handOverTouched()
        isReading = false
        closeNow(table.isEmpty ? .closedByPeer : .transportError)
    }

    /// Whether HEADERS could not be written because the connection had ended, whatever is in them.
    private static func isEndOfConnection(_ error: any Error) -> Bool {
        error is NIOHTTP2Errors.IOOnClosedConnection || error is NIOHTTP2Errors.CreatedStreamAfterGoaway
            || error is ChannelError
    }

    /// Whether the frame handler means one stream, which is told by the event of its end: for an error of the connection it
    /// sends GOAWAY first, or cannot, as it has counted the connection as closed.
    private func isOfOneStream(_ error: any Error) -> Bool {
        error is any NIOHTTP2Error && frames.goAway == nil && !frames.isOurs
            && !(error is NIOHTTP2Errors.StreamError || error is NIOHTTP2Errors.IOOnClosedConnection)
            && !(error is NIOHTTP2Errors.UnableToSerializeFrame)
    }

    func channelInactive(context: ChannelHandlerContext) {
        handOverTouched()
        isReading = false
        closeNow(channelError == nil || table.isEmpty ? .closedByPeer : .transportError)
    }

    /// The error's type and, of the frame handler's own, nothing that a peer has written.
    private static func brief(_ error: any Error) -> String {
        String("\(type(of: error))".prefix(80))
    }

    // MARK: The response

    private func received(_ payload: HTTP2Frame.FramePayload.Headers, on id: Int) {
        receivedMessage()
        guard let stream = table[id] else { return }
        noteFirstByte(stream)
        guard stream.isOpen else { return }
        let isTrailer = stream.machine.expectsTrailers
        let section: HTTP2FieldSection
        do {
            section = try HTTP2FieldSection(
                payload.headers, isTrailer: isTrailer, maximumFields: options.maximumFields,
                allocator: channel.allocator
            )
        } catch {
            violation(error.description, isLimit: error.isLimit, on: stream)
            return
        }
        let kind = stream.machine.receivedSection(
            status: section.status, contentLength: section.contentLength, isEnd: payload.endStream)
        switch kind {
        case .ignored: return
        case .violation(let what): violation(what, on: stream)
        case .limit(let what): violation(what, isLimit: true, on: stream)
        case .trailers: stream.trailers = section.fields
        case .informational: received(informational: section, on: stream)
        case .head(let expected): received(head: section, expected: expected, on: stream)
        }
        guard stream.isOpen else { return }
        if payload.endStream { ended(stream) } else { touch(stream) }
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

    private func received(_ payload: HTTP2Frame.FramePayload.Data, on id: Int) {
        receivedMessage()
        guard let stream = table[id], case .byteBuffer(let bytes) = payload.data else { return }
        noteFirstByte(stream)
        guard stream.isOpen else { return }
        if let what = stream.machine.receivedData(bytes.readableBytes) {
            violation(what, code: .incompleteBody, on: stream)
            return
        }
        if bytes.readableBytes > 0 { deliver(bytes.compact(), on: stream) }
        guard stream.isOpen else { return }
        if payload.endStream { ended(stream) }
    }

    private func deliver(_ bytes: ByteBuffer, on stream: HTTP2Stream) {
        if stream.isDelivered {
            if stream.exchange.received(bytes) { stream.isPaused = true }
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
        if !stream.isDelivered, stream.head != nil { touched.append(stream) }
    }

    /// Gives callers what has come in this read and is not whole.
    private func handOverTouched() {
        guard !touched.isEmpty else { return }
        let streams = touched
        touched.removeAll(keepingCapacity: true)
        for stream in streams where stream.isOpen && !stream.isDelivered {
            handOver(stream, isComplete: false)
        }
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
        if exchange.receivedHead(response, first: first) { stream.isPaused = true }
    }

    /// The response has arrived whole; the request may go on (RFC 9113 §8.1).
    private func responseEnded(_ stream: HTTP2Stream) {
        if stream.machine.afterwards == .goOn {
            stream.enter(.none, within: nil)
            if stream.writer != nil || stream.unsentBytes > 0 { stream.enterBodyWrite() }
        }
        settle(stream)
    }
}
