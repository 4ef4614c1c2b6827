internal import BowlineCore
internal import NIOCore

// How a stream's response is received and delivered to the caller.
extension HTTP2Stream {
    /// Processes a field section.
    func received(_ fields: consuming HPACKFields, endsStream: Bool) {
        noteFirstByte()
        guard isOpen else { return }
        let section: HTTP2FieldSection
        do throws(HTTP2FieldError) {
            section = try HTTP2FieldSection(
                fields, isTrailer: machine.expectsTrailers, maximumFields: connection.options.maximumFields)
        } catch {
            violation(error.description, isLimit: error.isLimit)
            return
        }
        let kind = machine.receivedSection(
            status: section.status, contentLength: section.contentLength, isEnd: endsStream)
        switch kind {
        case .ignored: return
        case .violation(let what): violation(what)
        case .limit(let what): violation(what, isLimit: true)
        case .trailers: response.trailersReceived(section.fields)
        case .informational: received(informational: section)
        case .head(let expected): received(head: section, expected: expected)
        }
        guard isOpen else { return }
        if endsStream { ended() } else { touch() }
    }

    private func received(informational section: HTTP2FieldSection) {
        let status = HTTPResponse.Status(code: section.status ?? 100)
        let informational = InformationalResponse(status: status, fields: section.fields)
        response.informationalReceived(informational)
        exchange.request.onInformational?(informational)
        guard isOpen else { return }
        if status == .continue, deadlines.phase == .awaitingContinue { openUpload() }
    }

    private func received(head section: HTTP2FieldSection, expected: Int64?) {
        let status = HTTPResponse.Status(code: section.status ?? 0)
        let now = connection.readAt
        connection.noteAnswer()
        response.headReceived(
            ResponseHead(status: status, fields: section.fields, version: .http2), expectedLength: expected, at: now)
        exchange.tell(at: now) { $0.responseHead($1, status: status.code) }
        let decision = machine.decideUpload(
            status: status.code, hasBodyBegun: deadlines.phase != .awaitingContinue)
        if decision == .stops { stopUpload() }
        exchange.decided(decision, after: status.code)
    }

    /// Processes bytes of the body, the end of the body, or both.
    func received(_ bytes: ByteBuffer, endsStream: Bool) {
        noteFirstByte()
        guard isOpen else { return }
        if let what = machine.receivedData(bytes.readableBytes) {
            violation(what, code: machine.hasHead ? .incompleteBody : .protocolViolation)
            return
        }
        if bytes.readableBytes > 0 { deliver(bytes.compact()) }
        guard isOpen else { return }
        if endsStream { ended() }
    }

    /// Passes bytes of the body to the reader, or keeps them until the head is delivered.
    ///
    /// The stream's window gets back only bytes that the reader has taken. So the bytes that wait for the reader never
    /// exceed one window.
    private func deliver(_ bytes: ByteBuffer) {
        guard response.isDelivered else {
            response.keep(bytes)
            touch()
            return
        }
        let reader = exchange.receivedCounting(bytes)
        if reader.isPaused { isPaused = true }
        if reader.taken > 0 { connection.consumed(reader.taken, on: self) }
        extendBodyRead(from: connection.readAt)
    }

    private func noteFirstByte() {
        guard response.bytesReceived(at: connection.readAt) else { return }
        machine.received()
        exchange.tell(at: connection.readAt) { $0.responseFirstByte($1) }
    }

    private func violation(
        _ what: String, isLimit: Bool = false, code: ServiceError.Code = .protocolViolation
    ) {
        connection.reset(self, isLimit ? .responseLimitExceeded : code, what, http2: .protocolError)
    }

    // MARK: Handing over

    private func touch() {
        if response.awaitsDelivery { connection.touch(self) }
    }

    /// Delivers the head and the bytes of this read to the caller, if the response is not complete yet.
    func readEnded() {
        guard isOpen, case .head(let head, let first) = response.readEnded() else { return }
        let body = ResponseBody(
            source: ExchangeBody(exchange, announcedLength: response.expectedLength.map { Int($0) }))
        let answer = exchange.response(head, body: body, arrival: response.arrival, stream: id)
        exchange.call.enter(.receivingBody, attempt: exchange.attempt)
        enter(.bodyRead, within: deadlines.bodyIdle, from: connection.readAt)
        if exchange.receivedHead(answer, first: first, step: connection.readStep) { isPaused = true }
    }

    /// Completes the response, because the peer has ended the stream.
    ///
    /// The stream's place goes back to the pool before the caller gets the response, so that the caller's next request
    /// can use it.
    private func ended() {
        if let what = machine.ended() {
            violation(what, code: machine.hasHead ? .incompleteBody : .protocolViolation)
            return
        }
        exchange.tell { $0.responseBodyEnd($1) }
        // A listener may have cancelled the exchange.
        guard isOpen else { return }
        switch response.ended() {
        case .nothing, .head: break
        case .rest(let trailers):
            responseEnded()
            exchange.completed(trailers: trailers)
        case .whole(let head, let bytes, let trailers):
            let body = ResponseBody(received: bytes, trailers: trailers, attempt: exchange.responseAttempt)
            let answer = exchange.response(head, body: body, arrival: response.arrival, stream: id)
            responseEnded()
            exchange.receivedWhole(answer)
        }
    }

    /// Handles the end of the response. The request may go on (RFC 9113 §8.1).
    private func responseEnded() {
        if machine.afterwards == .continues {
            enter(.none, within: nil)
            if isWaitingForRoom || sending.unsentCost > 0 { enterBodyWrite() }
        }
        connection.closeIfDone(self)
    }

    /// Makes window available again for the bytes that the reader has taken, and ends the pause when the reader has
    /// caught up.
    ///
    /// The session sends WINDOW_UPDATE for a stream in steps of half the window. It sends WINDOW_UPDATE for the
    /// connection as bytes arrive, so that a slow reader delays only its own stream. The memory for slow readers is
    /// bounded by the windows of their streams.
    func readOn() {
        let taken = exchange.takeTaken()
        connection.consumed(taken.count, on: self)
        guard isPaused, !taken.isPaused else { return }
        isPaused = false
        if deadlines.phase == .bodyRead { enter(.bodyRead, within: deadlines.bodyIdle) }
    }
}
