internal import BowlineCore
internal import NIOCore

extension HTTP1Connection {
    // MARK: On the event loop

    /// Writes the head, and the body if the buffer contains it.
    func write(_ head: ByteBuffer, of exchange: Exchange) {
        body = HTTP1OutboundBody()
        machine.wrote()
        exchange.call.enter(.sending, attempt: exchange.attempt)
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(head), promise: nil)
        // A failed write closes the channel at once, which ends the exchange.
        guard self.exchange === exchange else { return }
        exchange.tell { $0.requestHeadSent($1) }
        // A listener may have cancelled the exchange.
        guard self.exchange === exchange else { return }
        switch exchange.upload {
        case nil:
            body.passedToChannel(exchange.request.bodyLength ?? 0)
            requestWritten(exchange)
        case .some where exchange.request.continueTimeout != nil:
            enter(.awaitingContinue, within: exchange.request.continueTimeout)
        case .some: openUpload(exchange)
        }
    }

    func openUpload(_ exchange: Exchange) {
        enter(.none, within: nil)
        exchange.upload?.open()
    }

    func write(
        _ chunk: ByteBuffer, for exchange: Exchange, _ continuation: CheckedContinuation<Void, any Error>
    ) {
        guard self.exchange === exchange, !body.isStopped, let context else {
            continuation.resume(throwing: UploadStopped())
            return
        }
        let confirmation = body.beginWrite(chunk.readableBytes) == .needed ? UploadConfirmation() : nil
        let promise = confirmation.map { _ in context.eventLoop.makePromise(of: Void.self) }
        if let promise, let confirmation { resumeWriter(of: exchange, after: promise, confirmation) }
        if exchange.upload?.isChunked == true {
            writeChunk(chunk, context, promise)
        } else {
            context.writeAndFlush(wrapOutboundOut(chunk), promise: promise)
        }
        guard self.exchange === exchange, !body.isStopped else {
            continuation.resume(throwing: UploadStopped())
            return
        }
        body.passedToChannel(chunk.readableBytes)
        if context.channel.isWritable, confirmation?.isAccepted ?? true {
            uploadProgressed()
            reportUpload(of: exchange)
            continuation.resume()
        } else {
            body.storeWriter(continuation)
            enterBodyWrite()
        }
    }

    /// Resumes the waiting upload when `promise` succeeds: the kernel has accepted the write.
    private func resumeWriter(
        of exchange: Exchange, after promise: EventLoopPromise<Void>, _ confirmation: UploadConfirmation
    ) {
        promise.futureResult.assumeIsolated().whenSuccess { [weak exchange] in
            confirmation.isAccepted = true
            guard let exchange, self.exchange === exchange, self.channel.isWritable else { return }
            self.writeOn()
        }
    }

    /// Writes a chunk with its framing. A small chunk is copied into one buffer with the framing; a large chunk is not
    /// copied.
    private func writeChunk(
        _ chunk: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
    ) {
        let isSmall = chunk.readableBytes <= 16_384
        var buffer = context.channel.allocator.buffer(capacity: isSmall ? chunk.readableBytes + 20 : 18)
        HTTP1RequestWriter.writeChunkPrefix(count: chunk.readableBytes, into: &buffer)
        if isSmall {
            buffer.writeImmutableBuffer(chunk)
            HTTP1RequestWriter.writeChunkSuffix(into: &buffer)
            context.writeAndFlush(wrapOutboundOut(buffer), promise: promise)
        } else {
            context.write(wrapOutboundOut(buffer), promise: nil)
            context.write(wrapOutboundOut(chunk), promise: nil)
            context.writeAndFlush(wrapOutboundOut(Self.chunkSuffix), promise: promise)
        }
    }

    private static let chunkSuffix = ByteBuffer(staticString: "\r\n")

    func finish(_ ending: ByteBuffer, bodyBytes: Int, for exchange: Exchange) {
        guard self.exchange === exchange, !body.isStopped, let context else { return }
        body.passedToChannel(bodyBytes)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { [weak exchange] in
            guard let exchange, self.exchange === exchange else { return }
            self.requestWritten(exchange)
        }
        context.writeAndFlush(wrapOutboundOut(ending), promise: written)
        guard self.exchange === exchange, !machine.isRequestDone else { return }
        enterBodyWrite()
    }

    /// Handles the end of a response while the request is still being sent (RFC 9112 §9.5). From now on,
    /// `timeouts.bodyIdle` counts only time in which bytes wait in the channel and the kernel accepts none. The
    /// producer of the body may be slow.
    func uploadOutlivedResponse() {
        enter(.none, within: nil)
        if body.hasWriter || unsentBytes > 0 { enterBodyWrite() }
    }

    /// Starts the deadline for the bytes that wait in the channel. While a response is being read, the response's
    /// deadline counts instead.
    private func enterBodyWrite() {
        body.mark(unsent: unsentBytes)
        guard !assembly.hasHead || machine.isResponseDone else { return }
        enter(.bodyWrite, within: deadlines.bodyIdle)
    }

    /// How many bytes wait in the channel: the kernel has not accepted them yet.
    var unsentBytes: Int {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Notes that the request makes progress. If a response is being read, its deadline moves.
    private func uploadProgressed() {
        guard deadlines.phase == .bodyRead, !machine.isRequestDone else { return }
        body.mark(unsent: unsentBytes)
        deadlines.bodyProgressed(at: sweep.now)
    }

    /// Reports upload progress to the caller, because the channel accepts more. The caller's closure may end the
    /// exchange.
    ///
    /// Runs on the event loop, so that no progress is reported for an attempt that is over.
    private func reportUpload(of exchange: Exchange) {
        guard let report = exchange.request.onUploadProgress, let bytes = body.report() else { return }
        report(TransferProgress(bytes: bytes, total: exchange.request.bodyLength))
    }

    /// Stops the body: no more of it is written, and a waiting writer fails.
    func stopBody() {
        body.stop()?.resume(throwing: UploadStopped())
    }

    private func requestWritten(_ exchange: Exchange) {
        reportUpload(of: exchange)
        guard self.exchange === exchange else { return }
        let now = sweep.now
        assembly.requestSent(at: now)
        exchange.tell(at: now) { $0.requestBodySent($1) }
        // A listener may have cancelled the exchange.
        guard self.exchange === exchange else { return }
        uploadProgressed()
        if !assembly.hasHead {
            exchange.call.enter(.awaitingHead, attempt: exchange.attempt)
            enter(.head, within: exchange.timeouts.responseHead, from: now)
        }
        apply(machine.requestFinished())
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { writeOn() }
    }

    /// Resumes the upload that waits, because the channel accepts more bytes now.
    private func writeOn() {
        guard let writer = body.resumed() else { return }
        if deadlines.phase == .bodyWrite { enter(.none, within: nil) }
        uploadProgressed()
        if let exchange { reportUpload(of: exchange) }
        writer.resume()
    }
}

/// Whether the kernel has accepted a write. Touched on the connection's event loop only.
private final class UploadConfirmation {
    var isAccepted = false
}
