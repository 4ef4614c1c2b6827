internal import BowlineCore
internal import NIOCore

// The channel's side: what was read, what is to be written, and whether the network and the peer are there. Everything here runs
// on the event loop.
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
        // What an event makes us do may change the session, or end the connection.
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
        // In this turn: until the channel has closed, with TLS up to a second, it would be leased.
        handOverTouched()
        isReading = false
        closeNow(table.isEmpty ? .closedByPeer : .transportError)
    }

    func channelInactive(context: ChannelHandlerContext) {
        handOverTouched()
        isReading = false
        closeNow(endCause.error == nil || table.isEmpty ? .closedByPeer : .transportError)
    }

    /// When bytes last came: during a read, when it began.
    var readAt: MonotonicInstant { liveness.readAt }

    /// The stream's head has come, and is handed over when the read ends.
    func touch(_ stream: HTTP2Stream) {
        if touched.last !== stream { touched.append(stream) }
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
            stream.readEnded()
        }
        touched.removeAll(keepingCapacity: true)
    }

    /// A reader has taken so many bytes of the stream's body.
    func consumed(_ count: Int, on stream: HTTP2Stream) {
        if count > 0 { session.consumed(count, on: stream.id) }
        if session.outputByteCount > 0 { flushSoon() }
    }

    // MARK: Writing

    /// Writes what was sent in this turn of the loop with one system call. During a read the end of it writes.
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
        network.blockedSince == nil && uploads.hasRoom(in: session.outputByteCount)
    }

    /// Gives the channel what the session has to send, after heads and bodies that wait.
    ///
    /// While the channel is not writable, the output stays in the session: it bounds what a peer that does not read can make us
    /// write. The channel is writable while at most `connection.writeBufferLimit` bytes lie in it, and one output carries about as
    /// many and one frame at most.
    private func writeOutput() {
        guard mayHandOver else { return }
        // What is sent from here on goes out with this.
        isFlushScheduled = true
        if !table.held.isEmpty { writeHeld() }
        if uploads.isDue { writeBodies() }
        isFlushScheduled = false
        handOutputToChannel()
        guard mayHandOver else { return }
        while let stream = uploads.popRoomy(upTo: options.writeBufferLimit / 2) { stream.resumeUpload() }
        if uploads.isDue || !table.held.isEmpty { flushSoon() }
    }

    private var mayHandOver: Bool { !machine.isClosed && network.blockedSince == nil && context != nil }

    private func writeBodies() {
        while !machine.isClosed, network.blockedSince == nil, let refused = uploads.write(to: &session) {
            reset(refused.stream, .invalidRequest, refused.section.refusal(of: "the request's trailers"))
        }
    }

    /// Writes and flushes the session's output, all of it, in one write.
    func handOutputToChannel() {
        guard let context, let output = session.takeOutput() else { return }
        // What it has taken since the last flush: this one begins the count anew.
        if uploads.awaitsNetwork, !machine.isClosed { lookAtNetwork() }
        table.gaveOutput()
        network.gave(output.readableBytes)
        var promise: EventLoopPromise<Void>?
        if let end = uploads.flushed() {
            let written = eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenSuccess { self.networkTook(upTo: end) }
            promise = written
        }
        context.writeAndFlush(wrapOutboundOut(output), promise: promise)
        if !uploads.isAllTaken, !machine.isClosed { network.mark(waiting: waitingBytes) }
    }

    /// The stream has something of its body to send.
    func bodyWaits(on stream: HTTP2Stream) {
        uploads.add(stream)
        flushSoon()
    }

    /// The stream's upload goes on when little of it is left unwritten.
    func uploadWaits(on stream: HTTP2Stream) {
        uploads.waitForRoom(stream)
    }

    /// The peer lets us send more: on one stream, or on all.
    private func windowOpened(_ id: Int?) {
        guard let id else {
            // From the one behind the last on: else the first took all of a window that opens in small steps.
            table.forEach(after: uploads.lastSender) { uploads.add($0) }
            return
        }
        if let stream = table[id] { uploads.add(stream) }
    }

    /// How many bytes of a body the peer's windows allow on the stream.
    func sendable(on stream: HTTP2Stream) -> Int { session.sendable(on: stream.id) }

    // MARK: The network

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            networkMoved()
            network.becameWritable()
            // In a turn of its own: this may come within a write.
            flushSoon()
        } else {
            channelBlocked()
        }
        context.fireChannelWritabilityChanged()
    }

    private func channelBlocked() {
        network.becameBlocked(waiting: waitingBytes, now: sweep.now)
    }

    /// The network has taken a flush.
    private func networkTook(upTo end: Int) {
        network.tookFlush(now: sweep.now)
        while !machine.isClosed, let mark = uploads.takenNext(upTo: end) {
            switch mark {
            case .body(let stream, let count, let isLast):
                if stream.isOpen { networkMoved() }
                stream.sent(count, isLast: isLast)
            case .ping(let number): if liveness.left(number, now: sweep.now) { deadlineMoved() }
            }
        }
    }

    /// The network has taken bytes. If it had taken none for a while, the peer has acknowledged some.
    func networkMoved() {
        if let since = network.blockedSince { liveness.networkTook(now: sweep.now, blockedSince: since) }
    }

    /// Whether the network has taken any of our bytes since `instant`.
    func hasNetworkMoved(since instant: MonotonicInstant) -> Bool {
        lookAtNetwork()
        return network.hasMoved(since: instant)
    }

    private func lookAtNetwork() {
        if network.looked(waiting: waitingBytes, now: sweep.now) { networkMoved() }
    }

    /// How many bytes wait in the channel; with TLS a little more than it was given.
    private var waitingBytes: Int { (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    // MARK: The peer

    /// Sends a PING that is due. Without one the instant at which to look after the peer may have come closer.
    func ask(_ number: UInt64?) {
        if let number {
            session.ping(number)
            uploads.wrotePing(number)
            flushSoon()
        }
        deadlineMoved()
    }

    /// The instant at which to look after the peer may have come closer.
    func deadlineMoved() {
        sweep.deadlineMovedEarlier(deadline)
    }

    /// It is time to look after the peer.
    func askPeer(now: MonotonicInstant) {
        if network.blockedSince != nil { lookAtNetwork() }
        switch liveness.deadlinePassed(now: now, hasStreams: !table.isEmpty) {
        case .nothing: break
        case .ping(let number): ask(number)
        case .dead: closeNow(.keepAliveFailed)
        case .missing: retireItself(.keepAliveFailed)
        }
    }

    /// HEADERS or DATA have come.
    private func receivedMessage() {
        if let number = liveness.receivedMessage(resets: session.resets) { ask(number) }
    }

    private func receivedPong(_ number: UInt64) {
        let answer = liveness.answered(number)
        guard answer != .stale else { return }
        if answer == .confirmed { origin.confirmed(id) }
        for _ in 0..<session.pingAnswered() { release() }
        if session.resets > 0 { askForPlaces() }
    }

    /// Asks for the places of streams that were reset, if it is time to.
    func askForPlaces() {
        ask(liveness.streamReset(places: session.resets + session.awaitedResets, of: streamLimit, now: sweep.now))
    }

    /// The pool asks whether the peer is there.
    func probed() {
        guard !machine.isClosed else { return }
        liveness.probed()
        // An answer to an earlier PING may have come between the pool's doubt and this.
        origin.doubted(id)
        askIfDoubted()
    }

    /// A request has run out of time. If not one byte has come on the connection since `silentSince`, the peer may be gone:
    /// the connection gets no new requests until it has answered a PING, and ends when the answer is overdue.
    func timedOut(
        _ stream: HTTP2Stream, _ code: ServiceError.Code, _ message: String, silentSince: MonotonicInstant?
    ) {
        // The pool first: a caller that gets the error tries again at once, and must not come back here. Each time: the pool may
        // have been told of an answer while its own probe was on the way here.
        if !machine.isClosed, liveness.timedOut(code, silentSince: silentSince, now: sweep.now) { origin.doubted(id) }
        reset(stream, code, message)
        askIfDoubted()
    }

    /// Sends a PING, unless one is on its way: its answer does as well.
    private func askIfDoubted() {
        guard liveness.isDoubted, !machine.isClosed, isReady else { return }
        ask(liveness.pingForDoubt(now: sweep.now))
    }
}
