internal import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import NIOHTTP2

// What the peer says about streams and the connection. Everything here runs on the event loop.
extension HTTP2Connection {
    /// How many refused streams end a connection: the second shows that the first was no accident.
    private static let refusalLimit = 2

    func received(_ new: [HTTP2Setting]) {
        let limit = streamLimit
        settings.apply(new)
        becameReady()
        if streamLimit != limit, closeReason == nil { origin.capacityChanged(id, streamLimit) }
        // Fewer than before: the pool first, so that what does not fit does not come back here.
        while let stream = held.last, table.occupied > settings.maximumStreams { decline(stream) }
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

    func receivedReset(_ code: NIOHTTP2.HTTP2ErrorCode, on id: Int) {
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

    /// The frame handler has ended a stream. One that is still ours was ended for what the peer did on it.
    func streamClosed(_ id: Int, _ reason: NIOHTTP2.HTTP2ErrorCode?) {
        guard let reason, let stream = table[id] else { return }
        // It has sent RST_STREAM: the place is free when the peer knows.
        let error = stream.exchange.error(
            .protocolViolation, "the peer broke HTTP/2's rules on the stream (\(reason.name))",
            progress: stream.machine.progress)
        leave(stream)
        table.reset(id)
        wasReset()
        stream.exchange.fail(error)
    }

    // MARK: PING

    func receivedMessage() {
        if keepAlive.receivedMessage(), table.resets > 0,
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
        for _ in 0..<table.pingAnswered() { release() }
        if table.resets > 0 {
            let isPressing = table.resets >= max(1, streamLimit / 2)
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

    /// The peer has acknowledged our settings, which changes the window of each stream, those that are open included.
    func windowsChanged(by change: Int) {
        acknowledgedWindow += change
        for stream in table.streams {
            if let window = stream.inboundWindow { stream.inboundWindow = window + change }
        }
    }

    /// Tells the peer that it may send on, in steps of half a window.
    ///
    /// The connection's window is given back as bytes come, so that a reader who is behind holds up its own stream only;
    /// what such readers make us keep is bounded by their streams' windows.
    func windowChanged(_ event: NIOHTTP2WindowUpdatedEvent) {
        if event.streamID == .rootStream, let window = event.outboundWindowSize { outboundWindow = window }
        guard let window = event.inboundWindowSize, closeReason == nil else { return }
        if event.streamID == .rootStream {
            giveBack(window, of: http2.connectionWindow, on: .rootStream)
        } else if let stream = table[Int(event.streamID)], !stream.machine.isResponseDone {
            stream.inboundWindow = window
            if !stream.isPaused { giveBack(window, of: acknowledgedWindow, on: event.streamID) }
        }
    }

    /// The reader has caught up.
    func readOn(_ stream: HTTP2Stream) {
        guard stream.isPaused else { return }
        stream.isPaused = false
        if stream.phase == .bodyRead { stream.enter(.bodyRead, within: stream.exchange.timeouts.bodyIdle) }
        if let window = stream.inboundWindow, !stream.machine.isResponseDone {
            giveBack(window, of: acknowledgedWindow, on: HTTP2StreamID(stream.id))
        }
    }

    private func giveBack(_ window: Int, of full: Int, on id: HTTP2StreamID) {
        guard window <= full / 2 else { return }
        write(.windowUpdate(windowSizeIncrement: full - window), on: id)
        flushSoon()
    }
}
