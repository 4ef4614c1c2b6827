internal import BowlineCore
internal import NIOCore

// How requests are sent. Everything here runs on the event loop.
extension HTTP2Connection {
    /// How much of bodies and heads one write has: what a turn sends beyond it goes out in the next.
    private static let outputLimit = 131_072
    /// How much of a body is written before the next stream has its turn, if several have something to send.
    private static let turn = 16_384

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
    var mayWriteMore: Bool { blockedSince == nil && session.outputByteCount < Self.outputLimit }

    /// Gives the channel what the session has to send, after heads and bodies that wait.
    ///
    /// While the channel is not writable, the output stays in the session: it bounds what a peer that does not read can make us
    /// write.
    func writeOutput() {
        guard closeReason == nil, blockedSince == nil, context != nil else { return }
        // What is sent from here on goes out with this.
        isFlushScheduled = true
        if !held.isEmpty { writeHeld() }
        if !senders.isEmpty { writeBodies() }
        isFlushScheduled = false
        handOutputToChannel()
        guard closeReason == nil, blockedSince == nil, context != nil else { return }
        if !waitingUploads.isEmpty { resumeUploads() }
        if !senders.isEmpty || !held.isEmpty { flushSoon() }
    }

    /// Writes and flushes the session's output, all of it, in one write.
    func handOutputToChannel() {
        guard let context, let output = session.takeOutput() else { return }
        // What it has taken since the last flush: this one begins the count anew.
        if marks.awaitsNetwork, closeReason == nil { noteNetwork() }
        if firstUnwritten != .max { hasWrittenRequest = true }
        firstUnwritten = .max
        writtenBytes += output.readableBytes
        var promise: EventLoopPromise<Void>?
        if let end = marks.flush() {
            let written = eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenSuccess { self.networkTook(upTo: end) }
            promise = written
        }
        context.writeAndFlush(wrapOutboundOut(output), promise: promise)
        if !marks.isEmpty, closeReason == nil { network.takenBytes = takenBytes }
    }

    /// The network has taken a flush.
    private func networkTook(upTo end: Int) {
        network.movedAt = sweep.now
        while closeReason == nil, let mark = marks.next(upTo: end) {
            switch mark {
            case .body(let stream, let count, let isLast): sent(count, isLast: isLast, on: stream)
            case .ping(let number):
                if keepAlive.left(number, now: sweep.now) { keepAliveMoved() }
            }
        }
    }

    // MARK: Heads

    /// Opens the exchange's stream and writes its HEADERS.
    func writeHead(of stream: HTTP2Stream) {
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
            let refusal = exchange.error(.invalidRequest, Self.refusal(of: "the request's fields", error))
            takeBack(stream)
            exchange.fail(refusal)
            return
        }
        stream.opened(as: id)
        table.opened(stream, as: id)
        firstUnwritten = min(firstUnwritten, id)
        flushSoon()
        if session.isExhausted { retireItself(.streamsExhausted) }
        exchange.tell { $0.requestHeadSent($1) }
        // A listener may have cancelled it.
        guard stream.isOpen else { return }
        if isWhole {
            if endsWithHead { requestWritten(stream) } else { sendWhole(body, on: stream) }
        } else if request.continueTimeout != nil {
            stream.enter(.awaitingContinue, within: request.continueTimeout)
        } else {
            openUpload(stream)
        }
    }

    private static func refusal(of what: String, _ section: HTTP2SectionTooLarge) -> String {
        "\(what) count \(section.size) bytes, more than the \(section.limit) that the peer accepts"
            + " (SETTINGS_MAX_HEADER_LIST_SIZE)"
    }

    // MARK: Bodies

    private func sendWhole(_ body: ByteBuffer, on stream: HTTP2Stream) {
        stream.unsent.append(body)
        stream.unsent.ending = .withBody
        enqueue(stream)
        flushSoon()
        stream.enterBodyWrite()
    }

    func openUpload(_ stream: HTTP2Stream) {
        stream.enter(.none, within: nil)
        stream.exchange.upload?.open()
    }

    /// The stream has its turn when what is written next is put together, if it has something to send.
    func enqueue(_ stream: HTTP2Stream) {
        guard !stream.isQueued, stream.isOpen, stream.unsent.isDue else { return }
        stream.isQueued = true
        senders.append(stream)
    }

    /// Writes as much of the bodies as the peer's windows and one output allow, in turns.
    private func writeBodies() {
        while mayWriteMore, closeReason == nil, let stream = senders.popFirst() {
            stream.isQueued = false
            guard stream.isOpen else { continue }
            let limit = senders.isEmpty ? Self.outputLimit - session.outputByteCount : Self.turn
            // Without a window it leaves the queue until one opens.
            if writeBody(of: stream, upTo: limit) { enqueue(stream) }
        }
    }

    /// Writes a piece of a body, and the end of the request if nothing waits behind it. Returns whether more can follow at once.
    private func writeBody(of stream: HTTP2Stream, upTo limit: Int) -> Bool {
        let count = min(limit, stream.unsent.byteCount, session.sendable(on: stream.id))
        guard count > 0 || stream.unsent.byteCount == 0 else { return false }
        if count > 0 { lastSender = stream.id }
        let piece = count > 0 ? stream.unsent.take(count) : ByteBuffer()
        let isAll = stream.unsent.byteCount == 0
        var endsWithBody = false
        if isAll, case .withBody = stream.unsent.ending { endsWithBody = true }
        if count > 0 || endsWithBody {
            if endsWithBody { stream.unsent.ending = .written }
            session.send(piece, endsStream: endsWithBody, on: stream.id)
            note(piece.readableBytes, isLast: endsWithBody, on: stream)
        }
        if isAll, case .withTrailers(let fields) = stream.unsent.ending { writeTrailers(fields, on: stream) }
        return stream.isOpen && stream.unsent.isDue
    }

    private func writeTrailers(_ fields: HTTPFields, on stream: HTTP2Stream) {
        stream.unsent.ending = .written
        do throws(HTTP2SectionTooLarge) {
            try session.sendTrailers(HTTP2RequestTrailers(fields: fields), on: stream.id)
        } catch {
            reset(stream, .invalidRequest, Self.refusal(of: "the request's trailers", error))
            return
        }
        note(0, isLast: true, on: stream)
    }

    private func note(_ count: Int, isLast: Bool, on stream: HTTP2Stream) {
        stream.bytesInChannel += count
        marks.add(.body(stream, count: count, isLast: isLast))
    }

    /// The network has taken a part of a body.
    private func sent(_ count: Int, isLast: Bool, on stream: HTTP2Stream) {
        guard stream.isOpen else { return }
        stream.bytesInChannel -= count
        stream.hasWriteProgress = true
        if blockedSince != nil { noteTaken() }
        stream.sentBytes += count
        let report = stream.exchange.request.onUploadProgress
        if count > 0, let report {
            report(TransferProgress(bytes: stream.sentBytes, total: stream.exchange.request.bodyLength))
            guard stream.isOpen else { return }
        }
        if !stream.machine.isRequestDone { stream.extendBodyRead() }
        if isLast {
            requestWritten(stream)
        } else if stream.unsentCost <= options.writeBufferLimit / 2 {
            resumeUpload(of: stream)
        }
    }

    /// The channel has room: uploads go on of which little waits here.
    ///
    /// What the channel still has of them does not count. So the channel is full whenever the network is, and a new request then
    /// waits here, where it can be taken back.
    private func resumeUploads() {
        for stream in waitingUploads where stream.isOpen && stream.unsent.cost <= options.writeBufferLimit / 2 {
            resumeUpload(of: stream)
        }
        waitingUploads.removeAll { $0.writer == nil }
    }

    private func resumeUpload(of stream: HTTP2Stream) {
        guard stream.writer != nil else { return }
        if stream.phase == .bodyWrite { stream.enter(.none, within: nil) }
        stream.resumeWriter()
    }

    func writeData(
        _ chunk: ByteBuffer, for exchange: Exchange, _ continuation: CheckedContinuation<Void, any Error>
    ) {
        guard let stream = stream(of: exchange), !stream.machine.isRequestStopped else {
            continuation.resume(throwing: UploadStopped())
            return
        }
        guard chunk.readableBytes > 0 else {
            continuation.resume()
            return
        }
        stream.unsent.append(chunk)
        enqueue(stream)
        flushSoon()
        if stream.unsentCost < options.writeBufferLimit {
            continuation.resume()
        } else {
            stream.writer = continuation
            if !waitingUploads.contains(where: { $0 === stream }) { waitingUploads.append(stream) }
            stream.enterBodyWrite()
        }
    }

    func finish(_ last: ByteBuffer, trailers: HTTPFields?, for exchange: Exchange) {
        guard let stream = stream(of: exchange), !stream.machine.isRequestStopped else { return }
        if let trailers, !trailers.isEmpty {
            stream.unsent.ending = .withTrailers(trailers)
            enqueue(stream)
            flushSoon()
            stream.enterBodyWrite()
        } else {
            sendWhole(last, on: stream)
        }
    }

    /// The request has been handed to the network whole.
    private func requestWritten(_ stream: HTTP2Stream) {
        let exchange = stream.exchange
        let now = sweep.now
        stream.arrival.sent = now
        exchange.tell(at: now) { $0.requestBodySent($1) }
        // A listener may have cancelled it.
        guard stream.isOpen else { return }
        if !stream.machine.hasHead {
            exchange.call.enter(.awaitingHead, attempt: exchange.attempt)
            stream.enter(.head, within: exchange.timeouts.responseHead, from: now)
        }
        stream.machine.requestFinished()
        settle(stream)
    }

    // MARK: Whether the network takes bytes

    /// Whether it has taken any of ours since `instant`. A flush tells only when all of it has gone out, which may take long.
    func hasNetworkMoved(since instant: MonotonicInstant) -> Bool {
        noteNetwork()
        return network.movedAt > instant
    }

    /// Looks whether the network has taken more since this was last asked.
    private func noteNetwork() {
        let taken = takenBytes
        guard taken > network.takenBytes else { return }
        network = (taken, sweep.now)
        noteTaken()
    }

    /// How many bytes the network has taken; a little less than that, with what TLS adds to those that wait.
    var takenBytes: Int {
        writtenBytes - ((try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0)
    }

    // MARK: Keep-alive

    func sendPing(_ number: UInt64) {
        session.ping(number)
        marks.add(.ping(number))
        keepAliveMoved()
        flushSoon()
    }

    /// The instant at which to look after the peer may have come closer.
    func keepAliveMoved() {
        sweep.deadlineMovedEarlier(deadline)
    }
}

extension HTTP2Connection: DeadlineEntry {
    var deadline: MonotonicInstant {
        if onReady != nil { return settingsDeadline }
        return keepAlive.deadline(readAt: readAt, askedAt: askedAt, hasStreams: !isIdle)
    }

    func deadlinePassed(now: MonotonicInstant) {
        if onReady != nil {
            channelError = DialFailure.timedOut
            closeNow(.timedOut)
            return
        }
        if blockedSince != nil { noteNetwork() }
        let action = keepAlive.deadlinePassed(now: now, readAt: readAt, askedAt: askedAt, hasStreams: !isIdle)
        switch action {
        case .nothing: break
        case .ping(let number): sendPing(number)
        case .dead: closeNow(.keepAliveFailed)
        case .missing: retireItself(.keepAliveFailed)
        }
    }
}
