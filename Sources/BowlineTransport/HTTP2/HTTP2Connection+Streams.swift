internal import BowlineCore
internal import NIOCore

// How streams begin and end, and how the connection ends with them. All code here runs on the event loop.
extension HTTP2Connection {
    /// How many streams may be open at once.
    var streamLimit: Int { session.streamLimit }

    // MARK: Beginning

    /// Opens a stream for the exchange and writes its request, now or as soon as the channel takes bytes.
    func open(_ exchange: Exchange) {
        guard !exchange.isOver else {
            exchange.upload?.stop()
            giveBackUnused()
            return
        }
        guard !machine.isClosed, channel.isActive, context != nil else {
            exchange.upload?.stop()
            exchange.fail(closedBeforeRequest(exchange))
            return
        }
        if let refusal = refusal(of: exchange) {
            exchange.upload?.stop()
            giveBackUnused()
            exchange.fail(refusal)
            return
        }
        let stream = HTTP2Stream(exchange: exchange, connection: self)
        machine.requestBegan()
        // Added before the write, because a write that fails at once ends the exchange and removes the stream from the
        // sweep.
        sweep.add(stream)
        if table.isEmpty { liveness.becameBusy(now: sweep.now) }
        if mayWriteMore, table.held.isEmpty {
            writeHead(of: stream)
        } else {
            table.hold(stream)
            stream.held()
            flushSoon()
        }
        if !machine.isClosed { deadlineMoved() }
    }

    /// Returns the outcome of a request that cannot be sent on this connection. nil: it can be sent.
    private func refusal(of exchange: Exchange) -> TransportOutcome? {
        // The peer may have lowered its stream limit. The pool already knows the new limit.
        guard session.occupied + table.held.count < streamLimit, machine.opensStreams, !session.isClosing,
            !session.isExhausted
        else { return declined(exchange) }
        if let reason = exchange.request.http2Refusal { return exchange.outcome(.invalidRequest, reason) }
        return nil
    }

    /// Opens the waiting streams while the channel takes more. Declines the streams for which the peer has no room.
    func writeHeld() {
        while mayWriteMore, !machine.isClosed, let stream = table.held.first {
            guard session.hasRoom else {
                decline(stream)
                continue
            }
            _ = table.popHeld()
            writeHead(of: stream)
        }
        sendGoAwayIfDue()
    }

    /// Opens the exchange's stream and writes its HEADERS.
    private func writeHead(of stream: HTTP2Stream) {
        let exchange = stream.exchange
        let request = exchange.request
        exchange.call.enter(.sending, attempt: exchange.attempt)
        let body = request.inlineBody
        let isWhole = exchange.upload == nil
        let endsWithHead = isWhole && body.readableBytes == 0
        let id: Int
        do throws(HTTP2SectionTooLarge) {
            id = try session.open(request.http2Head, endsStream: endsWithHead)
        } catch {
            let refusal = exchange.outcome(.invalidRequest, error.refusal(of: "the request's fields"))
            removeUnopened(stream)
            exchange.fail(refusal)
            return
        }
        stream.opened(as: id)
        table.opened(stream, as: id)
        flushSoon()
        if session.isExhausted { retireItself(.streamsExhausted) }
        exchange.tell { $0.requestHeadSent($1) }
        // A listener may have cancelled the exchange.
        guard stream.isOpen else { return }
        if isWhole {
            if endsWithHead { stream.requestWritten() } else { stream.finish(with: body) }
        } else if request.continueTimeout != nil {
            stream.enter(.awaitingContinue, within: request.continueTimeout)
        } else {
            stream.openUpload()
        }
    }

    // MARK: Requests that were not written

    // Waiting requests. They move to another connection when this one takes no more requests, because the peer does not
    // know their streams yet.

    /// Declines all waiting streams, because this connection opens no more streams. Their requests move to another
    /// connection.
    private func declineHeld() {
        while let stream = table.held.first { decline(stream) }
    }

    /// Declines a request before anything of it was written. Another connection takes it.
    func decline(_ stream: HTTP2Stream) {
        let error = declined(stream.exchange)
        removeUnopened(stream)
        stream.exchange.fail(error)
    }

    /// Removes a stream that was never opened, and returns its lease to the pool as unused.
    private func removeUnopened(_ stream: HTTP2Stream) {
        guard stream.isOpen else { return }
        table.removeUnopened(stream)
        leave(stream)
        giveBackUnused()
        sendGoAwayIfDue()
    }

    func giveBackUnused() {
        guard !machine.isClosed else { return }
        tellReleased()
        originLink.returnUnused(self)
        closeIfUnwanted()
    }

    private func declined(_ exchange: Exchange) -> TransportOutcome {
        endCause.declined(exchange, hasCarriedOthers: table.hasWritten)
    }

    private func closedBeforeRequest(_ exchange: Exchange) -> TransportOutcome {
        endCause.closedBeforeRequest(exchange, machine.closeReason, hasCarriedOthers: table.hasWritten)
    }

    // MARK: Ends that the peer brings about

    func receivedReset(_ code: HTTP2ErrorCode, on stream: HTTP2Stream) {
        guard !stream.machine.isResponseDone else {
            // The response is complete, and the peer does not want the rest of the request (RFC 9113 §8.1).
            leave(stream)
            if table.close(stream.id) { release() }
            return
        }
        if code == .refusedStream, stream.machine.progress != .responseStarted {
            if machine.streamRefused() { retireItself(.streamsRefused) }
            fail(stream, .connectionClosed, "the peer refused the stream (REFUSED_STREAM)", .refused)
            return
        }
        let truncation = Truncation(
            .streamReset(code: code.name), received: stream.machine.hasHead ? .head : .nothing)
        fail(stream, truncation.code, truncation.message, stream.machine.progress)
    }

    /// Removes a stream that the peer has ended, and fails its exchange.
    private func fail(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, _ progress: RequestProgress
    ) {
        leave(stream)
        if table.close(stream.id) { release() }
        stream.exchange.fail(stream.exchange.outcome(code, message, progress: progress))
    }

    /// Fails a stream on which the peer has broken a rule. The session has already reset the stream. Its place among
    /// the open streams is free once the peer knows of the reset.
    func failed(_ stream: HTTP2Stream, _ violation: HTTP2Violation) {
        let error = stream.exchange.outcome(
            .protocolViolation, "the peer broke HTTP/2's rules on the stream: \(violation)", underlying: violation,
            progress: stream.machine.progress)
        // The stream is removed from the table first. The session has already counted its place, so a cancellation from
        // within `leave` must not count the place again.
        table.close(stream.id)
        leave(stream)
        wasReset()
        stream.exchange.fail(error)
    }

    func received(_ goAway: HTTP2GoAway) {
        endCause.goAway = goAway
        guard isReady else {
            closeNow(.goAway)
            return
        }
        // The pool learns of the GOAWAY before the requests fail, so that refused requests do not come back to this
        // connection.
        retireItself(.goAway)
        for stream in table.refuse(above: goAway.lastID) {
            leave(stream)
            release()
            stream.exchange.fail(endCause.refused(stream))
        }
    }

    // MARK: Ends that we bring about

    /// Ends the stream if its response is complete and its request is done or stopped. This frees its place at once.
    /// After a reset, the place is free only when the peer knows of the reset.
    func closeIfDone(_ stream: HTTP2Stream) {
        // A listener that was called for the end of the response may have ended the stream already.
        guard stream.isOpen else { return }
        switch stream.machine.afterwards {
        case .continues: return
        case .close:
            leave(stream)
            // `leave` may have ended the stream already: see `writeReset`.
            if table.close(stream.id) { release() }
        case .reset:
            leave(stream)
            // The response is complete, and the rest of the request is not sent. That is no error (RFC 9113 §8.1).
            writeReset(stream.id, .noError)
        }
    }

    /// Resets the stream and fails its exchange.
    func reset(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        http2 resetCode: HTTP2ErrorCode = .cancel
    ) {
        let error = stream.exchange.outcome(code, message, underlying: underlying, progress: stream.machine.progress)
        reset(stream, code: resetCode)
        stream.exchange.fail(error)
    }

    /// Resets the stream. The exchange already has its error, or gets it from the function that calls this one.
    func reset(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {
        guard stream.isOpen else { return }
        // The peer does not know a stream that was never opened, so no RST_STREAM may be sent for it.
        guard stream.machine.hasBeenWritten else {
            removeUnopened(stream)
            return
        }
        leave(stream)
        writeReset(stream.id, code)
    }

    private func writeReset(_ id: Int, _ code: HTTP2ErrorCode) {
        // `leave` cancels the body's sequence on this thread. Code of the sequence may then end the stream, for example
        // by cancelling its own request. The place must be released only once.
        guard table.close(id) else { return }
        guard session.isOpen(id) else {
            // Both sides have ended the stream, but the kernel has not accepted all of the request yet.
            release()
            return
        }
        session.reset(id, code: code)
        flushSoon()
        wasReset()
    }

    /// Begins to free the place of a stream that was reset. The place is free once the peer knows of the reset. On a
    /// retired connection, it is free at once.
    private func wasReset() {
        guard !machine.isClosed else { return }
        if machine.isRetired {
            releaseResets()
        } else {
            askForPlaces()
            closeIfUnwanted()
        }
    }

    /// Frees the places of streams that were reset, without waiting for a PING's answer, because the connection opens
    /// no more streams.
    private func releaseResets() {
        for _ in 0..<session.forgetResets() { release() }
    }

    /// Removes the exchange from the connection: ends its deadlines and its upload.
    private func leave(_ stream: HTTP2Stream) {
        sweep.remove(stream)
        stream.leave()
        if session.connectionSendWindow <= 0, !stream.machine.hasRequestEnded { retireIfWindowIsSpent(without: stream) }
    }

    /// Ends one lease: returns the place of one stream to the pool.
    func release() {
        guard !machine.isClosed else { return }
        tellReleased()
        originLink.release(self, keepAliveTimeout: nil, now: max(readAt, sweep.now))
        closeIfUnwanted()
    }

    /// If the connection carries no exchange any more, calls the listeners, once each time that this happens.
    private func tellReleased() {
        guard table.isEmpty, machine.becameIdle() else { return }
        events?.tell { $0.connectionReleased($1) }
    }

    func closeIfUnwanted() {
        if machine.closesWhenIdle, table.isEmpty { closeNow(.poolReleased) }
    }

    // MARK: The end of the connection

    /// Retires the connection: it opens no more streams. Open streams go on.
    func retireItself(_ reason: CloseReason) {
        guard machine.retire() else { return }
        originLink.retired(id, reason)
        declineHeld()
        releaseResets()
    }

    /// Retires the connection after a request that was cut off. Call it if the connection's send window is used up.
    ///
    /// The peer must send WINDOW_UPDATE for that window (RFC 9113 §6.9), but HAProxy 2.6 does not, and the next body
    /// would wait until it times out. The connection is not retired while another body is being sent, because the peer
    /// sends WINDOW_UPDATE for that body.
    private func retireIfWindowIsSpent(without ended: HTTP2Stream) {
        let hasOthers = table.contains { $0 !== ended && !$0.machine.isRequestDone }
        if ended.machine.hasBeenWritten, !hasOthers { retireItself(.requestUnfinished) }
    }

    /// Sends GOAWAY if it is due: no more requests follow (RFC 9113 §6.8).
    func sendGoAwayIfDue() {
        guard machine.takeGoAway(hasHeldRequests: !table.held.isEmpty) else { return }
        session.goAway(code: .noError)
        flushSoon()
    }

    /// Closes the channel; with TLS, after a close_notify. Requests that were written are cut off. Requests that were
    /// not written are declined.
    func closeNow(_ reason: CloseReason) {
        guard machine.close(reason) else { return }
        // If this is false, the session's remaining output is never written.
        let isWritten = channel.isActive && reason != .closedByPeer && reason != .transportError
        let open = table.removeAllOpen()
        let streams = open + table.removeAllHeld()
        let errors = streams.map { stream in
            stream.id != 0 && (isWritten || table.isWritten(stream.id))
                ? endCause.cutOff(stream, by: reason) : closedBeforeRequest(stream.exchange)
        }
        if isWritten { writeEnd(of: open) }
        sweep.remove(self)
        touched = []
        uploads.removeAll()
        for stream in streams { leave(stream) }
        events?.closed(reason)
        originLink.closed(id, reason)
        for (stream, error) in zip(streams, errors) { stream.exchange.fail(error) }
        failReadiness(reason)
        channel.close(promise: nil)
    }

    /// Writes RST_STREAM for each stream, and GOAWAY, even if the channel is not writable. After a violation the
    /// session has no streams and has already written its own GOAWAY.
    private func writeEnd(of streams: [HTTP2Stream]) {
        for stream in streams { session.reset(stream.id, code: .cancel) }
        if !machine.hasSentGoAway { session.goAway(code: .noError) }
        handOutputToChannel()
    }
}
