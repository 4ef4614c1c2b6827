internal import BowlineCore
internal import NIOCore

// How streams begin and end, and how the connection ends with them. Everything here runs on the event loop.
extension HTTP2Connection {
    /// How many streams may be open at once.
    var streamLimit: Int { session.streamLimit }

    // MARK: Beginning

    /// Takes the exchange, and sends its request on a stream of its own as soon as the channel takes bytes.
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
        // Before the write: one that fails at once ends the exchange.
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

    /// Why no request can be sent, or not this one.
    private func refusal(of exchange: Exchange) -> TransportOutcome? {
        // The peer may have come to allow fewer; the pool knows it.
        guard session.occupied + table.held.count < streamLimit, machine.opensStreams, !session.isClosing,
            !session.isExhausted
        else { return declined(exchange) }
        if let reason = exchange.request.http2Refusal { return exchange.outcome(.invalidRequest, reason) }
        return nil
    }

    /// Opens the streams that wait, as far as the channel and the peer have room for them.
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
            takeBack(stream)
            exchange.fail(refusal)
            return
        }
        stream.opened(as: id)
        table.opened(stream, as: id)
        flushSoon()
        if session.isExhausted { retireItself(.streamsExhausted) }
        exchange.tell { $0.requestHeadSent($1) }
        // A listener may have cancelled it.
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

    // They go to another connection if this one goes away, and the peer knows nothing of their streams.

    /// Those that wait here go elsewhere: this connection opens no stream any more.
    private func declineHeld() {
        while let stream = table.held.first { decline(stream) }
    }

    /// Gives a request back of which nothing was written: another connection takes it.
    func decline(_ stream: HTTP2Stream) {
        let error = declined(stream.exchange)
        takeBack(stream)
        stream.exchange.fail(error)
    }

    /// Forgets a stream that was never opened.
    private func takeBack(_ stream: HTTP2Stream) {
        guard stream.isOpen else { return }
        table.takeBack(stream)
        leave(stream)
        giveBackUnused()
        sendGoAwayIfDue()
    }

    func giveBackUnused() {
        guard !machine.isClosed else { return }
        tellReleased()
        origin.returnUnused(self)
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
            // The response is whole: the peer does not want the rest of the request (RFC 9113 §8.1).
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

    /// Fails a stream that the peer has ended.
    private func fail(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, _ progress: RequestProgress
    ) {
        leave(stream)
        if table.close(stream.id) { release() }
        stream.exchange.fail(stream.exchange.outcome(code, message, progress: progress))
    }

    /// The peer has broken a rule on a stream. The session has reset it: its place is free when the peer knows.
    func failed(_ stream: HTTP2Stream, _ violation: HTTP2Violation) {
        let error = stream.exchange.outcome(
            .protocolViolation, "the peer broke HTTP/2's rules on the stream: \(violation)", underlying: violation,
            progress: stream.machine.progress)
        // Off the table first: the session has counted its place, and a cancellation from within `leave` must not count it again.
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
        // The pool first: what is refused must not come back here.
        retireItself(.goAway)
        for stream in table.refuse(above: goAway.lastID) {
            leave(stream)
            release()
            stream.exchange.fail(endCause.refused(stream))
        }
    }

    // MARK: Ends that we bring about

    /// Closes the stream if both of its sides are done, which frees its place.
    func closeIfDone(_ stream: HTTP2Stream) {
        // A listener that was told of the end may have ended it another way.
        guard stream.isOpen else { return }
        switch stream.machine.afterwards {
        case .goOn: return
        case .close:
            leave(stream)
            // See `writeReset`.
            if table.close(stream.id) { release() }
        case .reset:
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
        let error = stream.exchange.outcome(code, message, underlying: underlying, progress: stream.machine.progress)
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
    private func wasReset() {
        guard !machine.isClosed else { return }
        if machine.isRetired {
            releaseResets()
        } else {
            askForPlaces()
            closeIfUnwanted()
        }
    }

    /// Frees the places of streams that were reset. Where no more are opened nobody needs to wait for a PING's answer.
    private func releaseResets() {
        for _ in 0..<session.forgetResets() { release() }
    }

    /// The exchange has no more to do with the connection.
    private func leave(_ stream: HTTP2Stream) {
        sweep.remove(stream)
        stream.leave()
        if session.connectionSendWindow <= 0, !stream.machine.hasRequestEnded { retireIfWindowIsSpent(without: stream) }
    }

    /// One place is free.
    func release() {
        guard !machine.isClosed else { return }
        tellReleased()
        origin.release(self, keepAliveTimeout: nil, now: max(readAt, sweep.now))
        closeIfUnwanted()
    }

    /// Listeners are told once each time that the last exchange ends.
    private func tellReleased() {
        guard table.isEmpty, machine.becameIdle() else { return }
        events?.tell { $0.connectionReleased($1) }
    }

    func closeIfUnwanted() {
        if machine.closesWhenIdle, table.isEmpty { closeNow(.poolReleased) }
    }

    // MARK: The end of the connection

    /// No stream is opened any more; those that are open go on.
    func retireItself(_ reason: CloseReason) {
        guard machine.retire() else { return }
        origin.retired(id, reason)
        declineHeld()
        releaseResets()
    }

    /// Opens no more streams on a connection whose window a request that was broken off has used up.
    ///
    /// The peer owes that window (RFC 9113 §6.9), but HAProxy 2.6 does not give it back: the next body would wait until it
    /// times out. While another body is sent, the peer gives back what that one takes.
    private func retireIfWindowIsSpent(without ended: HTTP2Stream) {
        let hasOthers = table.contains { $0 !== ended && !$0.machine.isRequestDone }
        if ended.machine.hasBeenWritten, !hasOthers { retireItself(.requestUnfinished) }
    }

    /// Tells the peer that no more requests will come (RFC 9113 §6.8), if it is time to.
    func sendGoAwayIfDue() {
        guard machine.takeGoAway(hasHeldRequests: !table.held.isEmpty) else { return }
        session.goAway(code: .noError)
        flushSoon()
    }

    /// Closes the channel, with TLS after a close_notify. What the connection carries is cut, and what was not written is declined.
    func closeNow(_ reason: CloseReason) {
        guard machine.close(reason) else { return }
        // Otherwise what the session still has to send is never written.
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
        origin.closed(id, reason)
        for (stream, error) in zip(streams, errors) { stream.exchange.fail(error) }
        failReadiness(reason)
        channel.close(promise: nil)
    }

    /// Writes the end of each stream, and GOAWAY, whether the channel is writable or not. After a violation the session has
    /// written its own GOAWAY, and has no streams.
    private func writeEnd(of streams: [HTTP2Stream]) {
        for stream in streams { session.reset(stream.id, code: .cancel) }
        if !machine.hasSentGoAway { session.goAway(code: .noError) }
        handOutputToChannel()
    }
}
