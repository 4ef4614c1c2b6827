internal import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import NIOHPACK
internal import NIOHTTP2

// How requests are sent. Everything here runs on the event loop.
extension HTTP2Connection {
    typealias OutboundOut = HTTP2Frame

    /// The largest piece of a body in one frame: what every peer takes (RFC 9113 §4.2).
    private static let frameSize = 16_384

    func write(_ payload: HTTP2Frame.FramePayload, on id: HTTP2StreamID, promise: EventLoopPromise<Void>? = nil) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        frames.isOurs = true
        context.write(NIOAny(HTTP2Frame(streamID: id, payload: payload)), promise: promise)
        frames.isOurs = false
    }

    /// Flushes what was written in this turn of the loop with one system call. During a read the end of it flushes.
    func flushSoon() {
        guard !isReading, !isFlushScheduled else { return }
        isFlushScheduled = true
        eventLoop.execute {
            self.isFlushScheduled = false
            self.context?.flush()
        }
    }

    func writeHead(of stream: HTTP2Stream) {
        let exchange = stream.exchange
        let request = exchange.request
        exchange.call.enter(.sending, attempt: exchange.attempt)
        let fields = request.makeHTTP2Fields()
        let mayBeTooLarge =
            settings.maximumHeaderListSize != nil || request.headLength > HTTP2FieldSectionSize.harmlessHead
        if mayBeTooLarge, let reason = refusal(of: fields, "the request's fields") {
            let error = exchange.error(.invalidRequest, reason)
            takeBack(stream)
            exchange.fail(error)
            return
        }
        let body = request.inlineBody
        let isWhole = exchange.upload == nil
        let endsWithHead = isWhole && body.readableBytes == 0
        write(.headers(.init(headers: fields, endStream: endsWithHead)), of: stream, isHead: true)
        guard stream.isOpen else { return }
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
        flushSoon()
    }

    /// Writes HEADERS, which the frame handler must not hold back: if it has not written them when the call returns, its
    /// compression table may differ from the peer's, and the connection ends.
    private func write(
        _ headers: HTTP2Frame.FramePayload, of stream: HTTP2Stream, isHead: Bool, promise: EventLoopPromise<Void>? = nil
    ) {
        frames.wroteHeaders = false
        isWritingHeaders = true
        write(headers, on: HTTP2StreamID(stream.id), promise: promise)
        isWritingHeaders = false
        if frames.wroteHeaders { hasWrittenRequest = true }
        guard !frames.wroteHeaders, stream.isOpen, closeReason == nil else { return }
        headersNotWritten(of: stream, isHead: isHead)
    }

    /// HEADERS were not written within the call: the connection ends, and the others on it are told that it has.
    ///
    /// The request, or its trailers, may be why. So it is not declined: it would end one connection after another.
    private func headersNotWritten(of stream: HTTP2Stream, isHead: Bool) {
        let failure = HTTP2HeadersNotWritten(cause: channelError)
        channelError = failure
        end(.transportError, for: stream) {
            guard $0 === stream else { return self.cutOff($0, by: .transportError) }
            // The frame handler may have counted the stream as opened before it failed.
            return $0.exchange.error(
                .invalidRequest, failure.message(isHead: isHead), underlying: failure,
                progress: isHead ? .neverSent : $0.machine.progress)
        }
    }

    private func sendWhole(_ body: ByteBuffer, on stream: HTTP2Stream) {
        send(body, endsRequest: true, on: stream)
        guard stream.isOpen, !stream.machine.isRequestDone else { return }
        stream.enterBodyWrite()
    }

    func openUpload(_ stream: HTTP2Stream) {
        stream.enter(.none, within: nil)
        stream.exchange.upload?.open()
    }

    /// Writes bytes of a body, in frames that tell when they have gone out.
    private func send(_ bytes: ByteBuffer, endsRequest: Bool, on stream: HTTP2Stream) {
        var rest = bytes
        let id = HTTP2StreamID(stream.id)
        repeat {
            let piece = rest.readSlice(length: min(rest.readableBytes, Self.frameSize)) ?? ByteBuffer()
            let isLast = endsRequest && rest.readableBytes == 0
            let count = piece.readableBytes
            stream.unsentBytes += count
            stream.unsentFrames += 1
            let written = eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenSuccess {
                self.sent(count, isLast: isLast, on: stream)
            }
            write(.data(.init(data: .byteBuffer(piece), endStream: isLast)), on: id, promise: written)
        } while rest.readableBytes > 0
        flushSoon()
    }

    /// A piece of a body has gone out.
    private func sent(_ count: Int, isLast: Bool, on stream: HTTP2Stream) {
        guard stream.isOpen else { return }
        stream.unsentBytes -= count
        if count > 0 { stream.unsentFrames -= 1 }
        stream.hasWriteProgress = true
        if gate.blockedSince != nil { noteTaken() }
        stream.sentBytes += count
        let report = stream.exchange.request.onUploadProgress
        if count > 0, let report, isLast || stream.unsentBytes == 0 {
            report(TransferProgress(bytes: stream.sentBytes, total: stream.exchange.request.bodyLength))
            guard stream.isOpen else { return }
        }
        if !stream.machine.isRequestDone { stream.extendBodyRead() }
        if isLast {
            requestWritten(stream)
        } else if stream.unsentTrailers != nil {
            writeTrailers(of: stream)
        } else if stream.unsentCost <= options.writeBufferLimit / 2, stream.writer != nil {
            if stream.phase == .bodyWrite { stream.enter(.none, within: nil) }
            stream.resumeWriter()
        }
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
        send(chunk, endsRequest: false, on: stream)
        guard stream.isOpen, !stream.machine.isRequestStopped else {
            continuation.resume(throwing: UploadStopped())
            return
        }
        if stream.unsentCost < options.writeBufferLimit {
            continuation.resume()
        } else {
            stream.writer = continuation
            stream.enterBodyWrite()
        }
    }

    func finish(_ last: ByteBuffer, trailers: HTTPFields?, for exchange: Exchange) {
        guard let stream = stream(of: exchange), !stream.machine.isRequestStopped else { return }
        if let trailers, !trailers.isEmpty {
            stream.unsentTrailers = HTTP2RequestHead.trailers(trailers)
            writeTrailers(of: stream)
            guard stream.isOpen, !stream.machine.isRequestDone else { return }
            stream.enterBodyWrite()
        } else {
            sendWhole(last, on: stream)
        }
    }

    /// Writes the trailers once the body before them is out: behind bytes that wait for a window the frame handler would
    /// hold them back.
    func writeTrailers(of stream: HTTP2Stream) {
        guard stream.unsentBytes == 0, gate.isOpen, let headers = stream.unsentTrailers else { return }
        stream.unsentTrailers = nil
        if let reason = refusal(of: headers, "the request's trailers") {
            reset(stream, .invalidRequest, reason)
            return
        }
        let written = eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess {
            self.sent(0, isLast: true, on: stream)
        }
        write(.headers(.init(headers: headers, endStream: true)), of: stream, isHead: false, promise: written)
        flushSoon()
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

    // MARK: Keep-alive

    func sendPing(_ number: UInt64) {
        table.pingSent()
        let left = eventLoop.makePromise(of: Void.self)
        left.futureResult.assumeIsolated().whenSuccess {
            guard self.closeReason == nil, self.keepAlive.left(number, now: self.sweep.now) else { return }
            self.keepAliveMoved()
        }
        write(.ping(HTTP2PingData(withInteger: number), ack: false), on: .rootStream, promise: left)
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
        return keepAlive.deadline(readAt: readAt, askedAt: askedAt, hasStreams: !table.isEmpty)
    }

    func deadlinePassed(now: MonotonicInstant) {
        if onReady != nil {
            channelError = DialFailure.timedOut
            closeNow(.timedOut)
            return
        }
        let action = keepAlive.deadlinePassed(
            now: now, readAt: readAt, askedAt: askedAt, hasStreams: !table.isEmpty)
        switch action {
        case .nothing: break
        case .ping(let number): sendPing(number)
        case .dead: closeNow(.keepAliveFailed)
        case .missing: retireItself(.keepAliveFailed)
        }
    }
}

/// The frame handler held HEADERS back, or could not encode them. The `underlying` error of the request whose they were, and
/// of those that its connection's end cut off.
struct HTTP2HeadersNotWritten: Error {
    /// What the frame handler said, if it said something.
    var cause: (any Error)?

    fileprivate func message(isHead: Bool) -> String {
        let reason = cause.map { " (\(String("\(type(of: $0))".prefix(80))))" } ?? ""
        let what = isHead ? "fields" : "trailers"
        return "the request's \(what) could not be written\(reason), and the connection has ended"
    }
}
