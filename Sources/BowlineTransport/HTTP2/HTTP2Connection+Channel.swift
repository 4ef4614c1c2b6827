internal import BowlineCore
internal import NIOCore

// The channel's side of the connection: reading, writing, and checking the kernel and the peer. All code here runs on
// the event loop.
extension HTTP2Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if !context.channel.isWritable { channelBlocked() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !machine.isClosed else { return }
        if !isReading {
            isReading = true
            liveness.received(now: sweep.now)
        }
        session.receive(unwrapInboundIn(data))
        // Handling an event may change the session or end the connection.
        while !machine.isClosed, let event = session.nextEvent(now: readAt) { received(event) }
    }

    private func received(_ event: consuming HTTP2ClientSession.Event) {
        switch consume event {
        case .headers(let id, let fields, let endsStream):
            receivedMessage()
            if let stream = table[id] { stream.received(fields, endsStream: endsStream) }
        case .data(let id, let bytes, let endsStream):
            receivedMessage()
            if let stream = table[id] { stream.received(bytes, endsStream: endsStream) }
        case .reset(let id, let code): if let stream = table[id] { receivedReset(code, on: stream) }
        case .goAway(let lastStream, let code): received(HTTP2GoAway(lastID: lastStream, code: code))
        case .settings: receivedSettings()
        case .settingsAcknowledged: settingsAcknowledged()
        case .pong(let number): receivedPong(number)
        case .ping: break
        case .windowOpened(let id): windowOpened(id)
        case .streamFailed(let id, let violation): if let stream = table[id] { failed(stream, violation) }
        case .connectionFailed(let violation):
            endCause.broken(violation)
            closeNow(.protocolError)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        handOverTouched()
        executor.runReady()
        isReading = false
        writeOutput()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        endCause.caught(TLSFailure(error) ?? error)
        if endCause.goAway != nil, table.isEmpty {
            closeNow(.goAway)
            return
        }
        // Closes the connection in this turn of the loop. With TLS the channel takes up to a second to close, and the
        // pool could lease the connection meanwhile.
        handOverTouched()
        isReading = false
        closeNow(table.isEmpty ? .closedByPeer : .transportError)
    }

    func channelInactive(context: ChannelHandlerContext) {
        handOverTouched()
        isReading = false
        closeNow(endCause.error == nil || table.isEmpty ? .closedByPeer : .transportError)
    }

    /// When bytes last arrived. During a read: when the read began.
    var readAt: MonotonicInstant { liveness.readAt }

    /// Adds a stream with a new head. The head is delivered when the read ends.
    func touch(_ stream: HTTP2Stream) {
        if touched.last !== stream { touched.append(stream) }
    }

    /// Delivers to callers what has arrived in this read, for each response that is not complete.
    private func handOverTouched() {
        guard !touched.isEmpty else { return }
        // Loops by index, because a second reference to the list would cost an allocation when the list is emptied. If
        // the connection ends during the loop, it empties the list.
        var index = 0
        while index < touched.count {
            let stream = touched[index]
            index += 1
            stream.readEnded()
        }
        touched.removeAll(keepingCapacity: true)
    }

    /// Gives the peer window back for `count` bytes of the stream's body that a reader has taken.
    func consumed(_ count: Int, on stream: HTTP2Stream) {
        if count > 0 { session.consumed(count, on: stream.id) }
        if session.outputByteCount > 0 { flushSoon() }
    }

    // MARK: Writing

    /// Schedules one write, with one system call, for everything that this turn of the loop sends. During a read, the
    /// end of the read writes it.
    func flushSoon() {
        guard !isReading, !isFlushScheduled else { return }
        isFlushScheduled = true
        eventLoop.execute {
            self.isFlushScheduled = false
            self.writeOutput()
        }
    }

    /// Whether another head, or more of a body, may be written now. A channel that is not writable gets nothing.
    var mayWriteMore: Bool {
        kernelProgress.blockedSince == nil && uploads.hasRoom(in: session.outputByteCount)
    }

    /// Gives the channel the session's output, after adding the heads and bodies that wait.
    ///
    /// While the channel is not writable, the output stays in the session. The session limits how much a peer that does
    /// not read can make us write. The channel is writable while it contains at most `connection.writeBufferLimit`
    /// bytes. One output carries about as many bytes, plus at most one frame.
    private func writeOutput() {
        guard mayHandOver else { return }
        // Everything that is sent from here on goes out with this output, so no other write is scheduled.
        isFlushScheduled = true
        if !table.held.isEmpty { writeHeld() }
        if uploads.isDue { writeBodies() }
        isFlushScheduled = false
        handOutputToChannel()
        guard mayHandOver else { return }
        while let stream = uploads.popUploadWithRoom(upTo: options.writeBufferLimit / 2) { stream.resumeUpload() }
        if uploads.isDue || !table.held.isEmpty { flushSoon() }
    }

    private var mayHandOver: Bool { !machine.isClosed && kernelProgress.blockedSince == nil && context != nil }

    private func writeBodies() {
        while !machine.isClosed, kernelProgress.blockedSince == nil, let refused = uploads.write(to: &session) {
            reset(refused.stream, .invalidRequest, refused.section.refusal(of: "the request's trailers"))
        }
    }

    /// Writes and flushes the session's whole output in one write.
    func handOutputToChannel() {
        guard let context, let output = session.takeOutput() else { return }
        // Looks first at what the kernel has accepted since the last flush, because this flush restarts the count.
        if uploads.awaitsKernel, !machine.isClosed { measureKernelProgress() }
        table.passedOutputToChannel()
        kernelProgress.passedToChannel(output.readableBytes)
        var promise: EventLoopPromise<Void>?
        if let end = uploads.flushed() {
            let written = eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenSuccess { self.kernelAccepted(upTo: end) }
            promise = written
        }
        context.writeAndFlush(wrapOutboundOut(output), promise: promise)
        if !uploads.isAllAccepted, !machine.isClosed { kernelProgress.mark(waiting: waitingBytes) }
    }

    /// Gives the stream a turn to send its body in one of the next outputs.
    func bodyWaits(on stream: HTTP2Stream) {
        uploads.add(stream)
        flushSoon()
    }

    /// Makes the stream's upload wait until only few of its bytes are not written yet.
    func uploadWaits(on stream: HTTP2Stream) {
        uploads.waitForRoom(stream)
    }

    /// Gives streams a turn to send, because the peer has opened a window: that of the stream `id`, or of all streams
    /// if `id` is nil.
    private func windowOpened(_ id: Int?) {
        guard let id else {
            // Begins behind the stream that sent last. If it always began with the first stream and the window opened
            // in small steps, that stream would take the whole window.
            table.forEach(after: uploads.lastSender) { uploads.add($0) }
            return
        }
        if let stream = table[id] { uploads.add(stream) }
    }

    /// How many bytes of a body the peer's windows allow on the stream.
    func sendable(on stream: HTTP2Stream) -> Int { session.sendable(on: stream.id) }

    // MARK: What the kernel has accepted

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            kernelAcceptedBytes()
            kernelProgress.becameWritable()
            // In another turn of the loop: this function may be called during a write.
            flushSoon()
        } else {
            channelBlocked()
        }
        context.fireChannelWritabilityChanged()
    }

    private func channelBlocked() {
        kernelProgress.becameBlocked(waiting: waitingBytes, now: sweep.now)
    }

    /// Handles a flush that the kernel has accepted.
    private func kernelAccepted(upTo end: Int) {
        kernelProgress.acceptedFlush(now: sweep.now)
        while !machine.isClosed, let mark = uploads.acceptedNext(upTo: end) {
            switch mark {
            case .body(let stream, let count, let isLast):
                if stream.isOpen { kernelAcceptedBytes() }
                stream.sent(count, isLast: isLast)
            case .ping(let number): if liveness.pingAccepted(number, now: sweep.now) { deadlineMoved() }
            }
        }
    }

    /// Records that the kernel has accepted bytes. If the channel was blocked, this shows that the peer has
    /// acknowledged some bytes.
    func kernelAcceptedBytes() {
        if let since = kernelProgress.blockedSince { liveness.kernelAccepted(now: sweep.now, blockedSince: since) }
    }

    /// Whether the kernel has accepted any of our bytes since `instant`.
    func hasKernelAccepted(since instant: MonotonicInstant) -> Bool {
        measureKernelProgress()
        return kernelProgress.hasAccepted(since: instant)
    }

    private func measureKernelProgress() {
        if kernelProgress.observed(waiting: waitingBytes, now: sweep.now) { kernelAcceptedBytes() }
    }

    /// How many bytes wait in the channel. With TLS, encryption adds some bytes to those that the channel was given.
    private var waitingBytes: Int { (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    // MARK: The peer

    /// Sends the PING with this number; nil: sends nothing. In both cases updates the deadline, which may have moved
    /// earlier.
    func ask(_ number: UInt64?) {
        if let number {
            session.ping(number)
            uploads.wrotePing(number)
            flushSoon()
        }
        deadlineMoved()
    }

    /// Informs the sweep that the connection's deadline may have moved earlier.
    func deadlineMoved() {
        sweep.deadlineMovedEarlier(deadline)
    }

    /// Checks whether the peer is there, when the deadline has come.
    func askPeer(now: MonotonicInstant) {
        if kernelProgress.blockedSince != nil { measureKernelProgress() }
        switch liveness.deadlinePassed(now: now, hasStreams: !table.isEmpty) {
        case .nothing: break
        case .ping(let number): ask(number)
        case .dead: closeNow(.keepAliveFailed)
        case .missing: retireItself(.keepAliveFailed)
        }
    }

    /// Records that HEADERS or DATA have arrived. If reset streams have waited for that, sends the PING that they need.
    private func receivedMessage() {
        if let number = liveness.receivedMessage(resets: session.resets) { ask(number) }
    }

    private func receivedPong(_ number: UInt64) {
        let answer = liveness.answered(number)
        guard answer != .stale else { return }
        if answer == .confirmed { originLink.confirmed(id) }
        for _ in 0..<session.pingAnswered() { release() }
        if session.resets > 0 { askForPlaces() }
        // The next PING may be due before the answer to this one was.
        deadlineMoved()
    }

    /// Sends a PING, if one may be sent now. Its answer frees the places that reset streams keep
    /// (``HTTP2StreamRecords``).
    func askForPlaces() {
        ask(liveness.streamReset(places: session.resets + session.awaitedResets, of: streamLimit, now: sweep.now))
    }

    /// Checks whether the peer is there, because the pool asks.
    func probed() {
        guard !machine.isClosed else { return }
        liveness.probed()
        // The doubt is reported again, because an answer to an earlier PING may have ended it in the pool before this
        // probe arrived.
        originLink.doubted(id)
        askIfDoubted()
    }

    /// Handles a request that has timed out. If no byte has arrived on the connection since `silentSince`, the peer may
    /// be gone. Then the connection gets no new requests until the peer has answered a PING, and it closes when the
    /// answer is overdue.
    func timedOut(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, silentSince: MonotonicInstant?
    ) {
        // The pool learns of the doubt before the caller gets the error: the caller may try again at once, and must not
        // get this connection. The doubt is reported each time, because an answer may have ended it in the pool while
        // the pool's own probe was on its way here.
        if !machine.isClosed, liveness.timedOut(code, silentSince: silentSince, now: sweep.now) {
            originLink.doubted(id)
        }
        reset(stream, code, message)
        askIfDoubted()
    }

    /// Sends a PING if the connection is doubted (``HTTP2Liveness``) and no PING is on its way. The answer to any PING
    /// ends the doubt.
    private func askIfDoubted() {
        guard liveness.isDoubted, !machine.isClosed, isReady else { return }
        ask(liveness.pingForDoubt(now: sweep.now))
    }
}
