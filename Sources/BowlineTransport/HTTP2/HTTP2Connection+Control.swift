internal import BowlineCore
internal import NIOCore

// What the peer says about streams and the connection. Everything here runs on the event loop.
extension HTTP2Connection {
    /// How many refused streams end a connection: the second shows that the first was no accident.
    private static let refusalLimit = 2

    func receivedSettings() {
        becameReady()
        if streamLimit != announcedLimit, closeReason == nil {
            announcedLimit = streamLimit
            origin.capacityChanged(id, streamLimit)
        }
        // Fewer than before: the pool first, so that what does not fit does not come back here.
        while let stream = held.last, session.occupied + held.count > streamLimit { decline(stream) }
    }

    /// The peer has acknowledged our settings, which changes the window of each stream.
    func settingsAcknowledged() {
        readStep = http2.streamWindow / Self.readStepPart
    }

    func received(_ goAway: HTTP2GoAway) {
        peerGoAway = goAway
        if onReady != nil {
            closeNow(.goAway)
            return
        }
        // The pool first: what is refused must not come back here.
        retireItself(.goAway)
        for stream in table.refuse(above: goAway.lastID) {
            leave(stream)
            release()
            let progress = stream.machine.progress == .responseStarted ? .responseStarted : RequestProgress.refused
            stream.exchange.fail(
                stream.exchange.error(
                    .connectionClosed, "the peer did not process the request" + goAwayNote, underlying: goAway,
                    progress: progress))
        }
    }

    func receivedReset(_ code: HTTP2ErrorCode, on id: Int) {
        guard let stream = table[id] else { return }
        let machine = (isDone: stream.machine.isResponseDone, hasHead: stream.machine.hasHead)
        if machine.isDone {
            // The response is whole: the peer does not want the rest of the request (RFC 9113 §8.1).
            stream.stopUpload()
            leave(stream)
            if table.close(id) { release() }
            return
        }
        if code == .refusedStream, stream.machine.progress != .responseStarted {
            refusedStreams += 1
            if refusedStreams >= Self.refusalLimit { retireItself(.streamsRefused) }
            fail(stream, .connectionClosed, "the peer refused the stream (REFUSED_STREAM)", progress: .refused)
            return
        }
        fail(
            stream, machine.hasHead ? .incompleteBody : .streamReset,
            machine.hasHead
                ? "the peer reset the stream within the response body (\(code.name))"
                : "the peer reset the stream (\(code.name))"
        )
    }

    /// The peer has broken a rule on a stream. The session has reset it: its place is free when the peer knows.
    func streamFailed(_ id: Int, _ violation: HTTP2Violation) {
        guard let stream = table[id] else { return }
        let error = stream.exchange.error(
            .protocolViolation, "the peer broke HTTP/2's rules on the stream: \(violation)", underlying: violation,
            progress: stream.machine.progress)
        // Off the table first: the session has counted its place, and a cancellation from within `leave` must not count it again.
        table.close(id)
        leave(stream)
        wasReset()
        stream.exchange.fail(error)
    }

    /// The peer has broken a rule of the connection. The session has written GOAWAY.
    func connectionFailed(_ violation: HTTP2Violation) {
        peerViolation = violation
        channelError = violation
        end(.protocolError) { stream in
            stream.exchange.error(
                .protocolViolation, "the peer broke HTTP/2's rules: \(violation)", underlying: violation,
                progress: stream.machine.progress)
        }
    }

    // MARK: PING

    func receivedMessage() {
        if keepAlive.receivedMessage(), session.resets > 0,
            let number = keepAlive.streamReset(now: readAt, isPressing: false)
        {
            sendPing(number)
        }
    }

    func receivedPong(_ number: UInt64) {
        guard keepAlive.answered(number) else { return }
        if isDoubted {
            isDoubted = false
            origin.confirmed(id)
        }
        for _ in 0..<session.pingAnswered() { release() }
        if session.resets > 0 {
            let isPressing = session.resets >= max(1, streamLimit / 2)
            if let number = keepAlive.streamReset(now: sweep.now, isPressing: isPressing) {
                sendPing(number)
            } else {
                keepAliveMoved()
            }
        }
    }

    // MARK: Doubt

    /// A request has run out of time. If not one byte has come on the connection since `silentSince`, the peer may be gone:
    /// the connection gets no new requests until it has answered a PING, and ends when the answer is overdue.
    ///
    /// Bytes that come meanwhile do not end the doubt: only an answer shows that ours arrive.
    func timedOut(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, silentSince: MonotonicInstant?
    ) {
        // The pool first: whoever is told tries again at once, and must not come back here.
        if let silentSince, readAt <= silentSince, closeReason == nil,
            !SiblingSuspicion.isTooShort(silentSince.duration(to: sweep.now), for: code)
        {
            isDoubted = true
            // Each time: the pool may have been told of an answer while its own probe was on the way here.
            origin.doubted(id)
        }
        reset(stream, code, message)
        askIfDoubted()
    }

    /// Sends a PING, unless one is on its way: its answer does as well.
    func askIfDoubted() {
        guard isDoubted, closeReason == nil, onReady == nil else { return }
        if let number = keepAlive.doubted(now: sweep.now) { sendPing(number) } else { keepAliveMoved() }
    }

    // MARK: Windows

    /// The reader has taken bytes, or has caught up.
    ///
    /// The session gives the stream's window back in steps of half of it. The connection's window it gives back as bytes come, so
    /// that a reader who is behind holds up its own stream only; what such readers make us keep is bounded by their streams' windows.
    func readOn(_ stream: HTTP2Stream) {
        let taken = stream.exchange.takeTaken()
        if taken.count > 0 { session.consumed(taken.count, on: stream.id) }
        if session.outputByteCount > 0 { flushSoon() }
        guard stream.isPaused, !taken.isPaused else { return }
        stream.isPaused = false
        if stream.phase == .bodyRead { stream.enter(.bodyRead, within: stream.exchange.timeouts.bodyIdle) }
    }

    /// The peer lets us send more: on one stream, or on all.
    func windowOpened(_ id: Int?) {
        guard let id else {
            // From the one behind the last on: else the first took all of a window that opens in small steps.
            let last = lastSender
            table.forEach { if $0.id > last { enqueue($0) } }
            table.forEach { enqueue($0) }
            return
        }
        if let stream = table[id] { enqueue(stream) }
    }
}
