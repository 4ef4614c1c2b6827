internal import BowlineCore
internal import NIOCore

// How streams begin and end. Everything here runs on the event loop.
extension HTTP2Connection {
    /// Takes the exchange, and sends its request on a stream of its own as soon as the channel takes bytes.
    func open(_ exchange: Exchange) {
        guard !exchange.isOver else {
            exchange.upload?.stop()
            giveBackUnused()
            return
        }
        guard closeReason == nil, channel.isActive, context != nil else {
            exchange.upload?.stop()
            exchange.fail(closedBeforeRequest(exchange))
            return
        }
        guard session.occupied + held.count < streamLimit else {
            // The peer has come to allow fewer; the pool knows it.
            exchange.upload?.stop()
            giveBackUnused()
            exchange.fail(declinedError(exchange))
            return
        }
        if let refusal = refusal(of: exchange) {
            exchange.upload?.stop()
            giveBackUnused()
            exchange.fail(refusal)
            return
        }
        let stream = HTTP2Stream(exchange: exchange, connection: self)
        isLeased = true
        // Before the write: one that fails at once ends the exchange.
        sweep.add(stream)
        // The silence of an idle connection says nothing about the peer.
        if isIdle { askedAt = sweep.now }
        if mayWriteMore, held.isEmpty {
            writeHead(of: stream)
        } else {
            hold(stream)
            flushSoon()
        }
        if closeReason == nil { keepAliveMoved() }
    }

    /// Why no request can be sent, or not this one.
    private func refusal(of exchange: Exchange) -> ServiceError? {
        if isRetired || hasSentGoAway || session.isClosing || session.isExhausted {
            return declinedError(exchange)
        }
        if let reason = exchange.request.http2Refusal { return exchange.error(.invalidRequest, reason) }
        return nil
    }

    private func closedBeforeRequest(_ exchange: Exchange) -> ServiceError {
        if closeReason == .forced { return exchange.forciblyClosed(progress: .neverSent) }
        return exchange.error(
            .connectionClosed, "the connection closed before the request was written" + goAwayNote,
            underlying: HTTP2Declined(hasCarriedOthers: hasWrittenRequest, cause: channelError))
    }

    /// What the peer said of the end of the connection, for a message.
    var goAwayNote: String {
        guard let peerGoAway, peerGoAway.isError else { return peerGoAway == nil ? "" : " (GOAWAY)" }
        return " (GOAWAY, \(peerGoAway.code.name))"
    }

    // MARK: Ends

    /// The stream has come to its end on both sides: its place is free.
    func settle(_ stream: HTTP2Stream) {
        // A listener that was told of the end may have ended it another way.
        guard stream.isOpen else { return }
        switch stream.machine.afterwards {
        case .goOn: return
        case .settled:
            leave(stream)
            // See `writeReset`.
            if table.close(stream.id) { release() }
        case .resetAndSettled:
            leave(stream)
            // The response is whole and the rest of the request is not wanted: no error (RFC 9113 §8.1).
            writeReset(stream.id, .noError)
        }
    }

    /// Fails the exchange and resets its stream.
    func reset(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        http2 resetCode: HTTP2ErrorCode = .cancel
    ) {
        let error = stream.exchange.error(code, message, underlying: underlying, progress: stream.machine.progress)
        reset(stream, code: resetCode)
        stream.exchange.fail(error)
    }

    /// Resets the stream of an exchange that has been told why, or is told by the caller.
    func reset(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {
        guard stream.isOpen else { return }
        // The peer knows nothing of a stream that was never opened, and must not be told of its end.
        guard stream.machine.hasBeenWritten else {
            takeBack(stream)
            return
        }
        leave(stream)
        writeReset(stream.id, code)
    }

    private func writeReset(_ id: Int, _ code: HTTP2ErrorCode) {
        // What a body's sequence does when `leave` cancels it, on this thread, may have ended the stream already: cancel its
        // request, for one. Its place goes back once.
        guard table.close(id) else { return }
        guard session.isOpen(id) else {
            // Both sides have ended it, though the network has not taken all of the request.
            release()
            return
        }
        session.reset(id, code: code)
        flushSoon()
        wasReset()
    }

    /// A stream has been reset: its place is free when the peer knows.
    func wasReset() {
        guard !isRetired else {
            releaseResets()
            return
        }
        let isPressing = session.resets + session.awaitedResets >= max(1, streamLimit / 2)
        if let number = keepAlive.streamReset(now: sweep.now, isPressing: isPressing) {
            sendPing(number)
        } else {
            keepAliveMoved()
        }
        closeIfUnwanted()
    }

    /// Frees the places of streams that were reset. Where no more are opened nobody needs to wait for a PING's answer.
    private func releaseResets() {
        for _ in 0..<session.forgetResets() { release() }
    }

    /// Fails a stream that the peer, or the end of the connection, has ended.
    func fail(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        progress: RequestProgress? = nil
    ) {
        leave(stream)
        if table.close(stream.id) { release() }
        stream.exchange.fail(
            stream.exchange.error(
                code, message, underlying: underlying, progress: progress ?? stream.machine.progress))
    }

    /// The exchange has no more to do with the connection.
    func leave(_ stream: HTTP2Stream) {
        sweep.remove(stream)
        if !held.isEmpty, !stream.machine.hasBeenWritten { held.removeAll { $0 === stream } }
        stream.phase = .none
        stream.phaseDeadline = .distantFuture
        stream.stopUpload()
        // Once a response has begun nobody sends the body again: its sequence is let go.
        if let head = stream.head { stream.exchange.request.abandonBody(after: head.status.code) }
        if session.connectionSendWindow <= 0, !stream.machine.hasRequestEnded { retireIfWindowIsSpent(without: stream) }
    }

    /// One place is free.
    func release() {
        guard closeReason == nil else { return }
        tellReleased()
        origin.release(self, keepAliveTimeout: nil, now: max(readAt, sweep.now))
        closeIfUnwanted()
    }

    // MARK: The end of the connection

    /// No stream is opened any more; those that are open go on.
    func retireItself(_ reason: CloseReason) {
        guard !isRetired else { return }
        isRetired = true
        origin.retired(id, reason)
        declineHeld()
        releaseResets()
    }

    /// Opens no more streams on a connection whose window a request that was broken off has used up.
    ///
    /// The peer owes that window (RFC 9113 §6.9), but HAProxy 2.6 does not give it back: the next body would wait until it
    /// times out. While another body is sent, the peer gives back what that one takes.
    private func retireIfWindowIsSpent(without ended: HTTP2Stream) {
        guard closeReason == nil, !isRetired, ended.machine.hasBeenWritten,
            !table.contains(where: { $0 !== ended && !$0.machine.isRequestDone })
        else { return }
        retireItself(.requestUnfinished)
    }

    /// Tells the peer that no more requests will come (RFC 9113 §6.8).
    func sendGoAway() {
        guard closeReason == nil, !hasSentGoAway else { return }
        hasSentGoAway = true
        session.goAway(code: .noError)
        flushSoon()
    }

    /// Closes the channel, with TLS after a close_notify. What it carries is cut.
    func closeNow(_ reason: CloseReason) {
        end(reason) { stream in
            switch reason {
            case .forced, .poolReleased:
                stream.exchange.forciblyClosed(progress: stream.machine.progress)
            default: self.cutOff(stream, by: reason)
            }
        }
    }

    /// Ends the connection; what it carries fails with what `makeError` says, and what was not written is declined.
    func end(_ reason: CloseReason, _ makeError: (HTTP2Stream) -> ServiceError) {
        guard closeReason == nil else { return }
        // Otherwise what the session still has to send is never written.
        let isWritten = channel.isActive && reason != .closedByPeer && reason != .transportError
        let firstUnwritten = isWritten ? Int.max : self.firstUnwritten
        closeReason = reason
        let written = table.removeAll()
        let unwritten = held
        held = []
        for stream in unwritten { stream.isOpen = false }
        let streams = written + unwritten
        let errors = streams.map { stream in
            stream.id == 0 || stream.id >= firstUnwritten ? closedBeforeRequest(stream.exchange) : makeError(stream)
        }
        if isWritten { writeEnd(of: written) }
        sweep.remove(self)
        touched = []
        senders.removeAll()
        waitingUploads = []
        marks.removeAll()
        for stream in streams { leave(stream) }
        events?.closed(reason)
        origin.closed(id, reason)
        for (stream, error) in zip(streams, errors) { stream.exchange.fail(error) }
        onReady?(self, .failure(whyNotReady))
        onReady = nil
        channel.close(promise: nil)
    }

    /// Writes the end of each stream, and GOAWAY, whether the channel is writable or not. After a violation the session has
    /// written its own GOAWAY, and has no streams.
    private func writeEnd(of streams: [HTTP2Stream]) {
        for stream in streams { session.reset(stream.id, code: .cancel) }
        if !hasSentGoAway { session.goAway(code: .noError) }
        handOutputToChannel()
    }

    private var whyNotReady: any Error {
        if closeReason == .dialUnneeded || closeReason == .poolReleased { return DialFailure.cancelled }
        if let peerViolation { return HTTP2DialError(violation: peerViolation) }
        return channelError ?? DialFailure.noSettings
    }

    /// What a stream that the end of the connection cuts off is told.
    func cutOff(_ stream: HTTP2Stream, by reason: CloseReason) -> ServiceError {
        let exchange = stream.exchange
        let progress = stream.machine.progress
        switch reason {
        case .keepAliveFailed:
            return exchange.error(
                .connectionClosed, "the peer answered no PING within http2.keepAliveTimeout", progress: progress)
        case _ where stream.machine.hasHead:
            return exchange.error(
                .incompleteBody, "the connection ended before the response body was complete" + goAwayNote,
                underlying: channelError, progress: progress)
        default:
            return exchange.error(
                .connectionClosed, "the connection ended without a response" + goAwayNote, underlying: channelError,
                progress: progress)
        }
    }
}
