internal import BowlineCore
internal import NIOCore

extension HTTP1Connection {
    // MARK: On the event loop

    /// Writes the head, and the body behind it if the buffer ends with that.
    func write(_ head: ByteBuffer, of exchange: Exchange) {
        body = HTTP1OutboundBody()
        machine.wrote()
        exchange.call.enter(.sending, attempt: exchange.attempt)
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(head), promise: nil)
        // A failed write closes the channel at once, and the exchange with it.
        guard self.exchange === exchange else { return }
        exchange.tell { $0.requestHeadSent($1) }
        // A listener may have cancelled it.
        guard self.exchange === exchange else { return }
        switch exchange.upload {
        case nil:
            body.gave(exchange.request.bodyLength ?? 0)
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
        body.gave(chunk.readableBytes)
        if context.channel.isWritable, confirmation?.isTaken ?? true {
            uploadProgressed()
            reportUpload(of: exchange)
            continuation.resume()
        } else {
            body.storeWriter(continuation)
            enterBodyWrite()
        }
    }

    /// The upload that waits goes on when the network has taken what the promise is about.
    private func resumeWriter(
        of exchange: Exchange, after promise: EventLoopPromise<Void>, _ confirmation: UploadConfirmation
    ) {
        promise.futureResult.assumeIsolated().whenSuccess { [weak exchange] in
            confirmation.isTaken = true
            guard let exchange, self.exchange === exchange, self.channel.isWritable else { return }
            self.writeOn()
        }
    }

    /// Small chunks go out in one buffer, large ones are not copied.
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
        body.gave(bodyBytes)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { [weak exchange] in
            guard let exchange, self.exchange === exchange else { return }
            self.requestWritten(exchange)
        }
        context.writeAndFlush(wrapOutboundOut(ending), promise: written)
        guard self.exchange === exchange, !machine.isRequestDone else { return }
        enterBodyWrite()
    }

    /// The response has arrived whole and the request goes on (RFC 9112 §9.5): only the network's pauses count now, not
    /// the producer's.
    func uploadOutlivedResponse() {
        enter(.none, within: nil)
        if body.hasWriter || unsentBytes > 0 { enterBodyWrite() }
    }

    /// The network has bytes to take. While a response is being read, its deadline is the one that counts.
    private func enterBodyWrite() {
        body.noted(unsent: unsentBytes)
        guard !assembly.hasHead || machine.isResponseDone else { return }
        enter(.bodyWrite, within: deadlines.bodyIdle)
    }

    /// How many bytes lie in the channel, which the network has yet to take.
    var unsentBytes: Int {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// The request made progress. If a response is being read, its deadline moves.
    private func uploadProgressed() {
        guard deadlines.phase == .bodyRead, !machine.isRequestDone else { return }
        body.noted(unsent: unsentBytes)
        deadlines.bodyProgressed(at: sweep.now)
    }

    /// Reports upload progress: the network has taken what was written last. The caller's code may end the exchange.
    ///
    /// Done on the event loop, so that nothing is said of an attempt once it is over.
    private func reportUpload(of exchange: Exchange) {
        guard let report = exchange.request.onUploadProgress, let bytes = body.taken() else { return }
        report(TransferProgress(bytes: bytes, total: exchange.request.bodyLength))
    }

    /// No more of the body is written.
    func stopBody() {
        body.stop()?.resume(throwing: UploadStopped())
    }

    private func requestWritten(_ exchange: Exchange) {
        reportUpload(of: exchange)
        guard self.exchange === exchange else { return }
        let now = sweep.now
        assembly.requestSent(at: now)
        exchange.tell(at: now) { $0.requestBodySent($1) }
        // A listener may have cancelled it.
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

    /// The network takes more: the upload that waits for that goes on.
    private func writeOn() {
        guard let writer = body.resumed() else { return }
        if deadlines.phase == .bodyWrite { enter(.none, within: nil) }
        uploadProgressed()
        if let exchange { reportUpload(of: exchange) }
        writer.resume()
    }
}

/// Whether the network has taken a write. Touched on the connection's event loop only.
private final class UploadConfirmation {
    var isTaken = false
}
