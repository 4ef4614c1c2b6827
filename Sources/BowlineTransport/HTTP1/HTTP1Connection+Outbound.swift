internal import BowlineCore
internal import NIOCore

/// What of a request has been written.
struct OutboundRequest {
    /// The upload's pending write, resumed when the network takes more.
    var writer: CheckedContinuation<Void, any Error>?
    var isStopped = false
    /// How many bytes the network had still to take when the write deadline was set.
    var unsentBytes = 0
    /// Bytes of the body that were handed to the network and that it has yet to take, for ``HTTP1Connection/reportUpload``.
    var unreportedBytes = 0
    /// Bytes of the body that the network has taken.
    var reportedBytes = 0
    var sentAt: MonotonicInstant?
    /// Small writes since the network was last asked whether it has taken them.
    var smallWrites = 0

    /// Writes up to this size cost more memory than they have bytes, as long as they wait.
    static let smallWrite = 1024
    /// How many of them are written before the network must have taken them.
    static let maximumSmallWrites = 256

    /// Notes a write.
    ///
    /// - Returns: whether the network has to take it before there is another: so many small ones may be waiting.
    mutating func needsConfirmation(of count: Int) -> Bool {
        guard count <= Self.smallWrite else { return false }
        smallWrites += 1
        guard smallWrites >= Self.maximumSmallWrites else { return false }
        smallWrites = 0
        return true
    }

    /// Nothing more is to be written.
    mutating func stop() {
        isStopped = true
        let writer = self.writer
        self.writer = nil
        writer?.resume(throwing: UploadStopped())
    }
}

extension HTTP1Connection {
    // MARK: On the event loop

    /// Writes the head, and the body behind it if the buffer ends with that.
    func write(_ head: ByteBuffer, of exchange: Exchange) {
        outbound = OutboundRequest()
        machine.wrote()
        exchange.call.enter(.sending, attempt: exchange.attempt)
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(head), promise: nil)
        // A failed write closes the channel at once, and the exchange with it.
        guard self.exchange === exchange else { return }
        exchange.tell { $0.requestHeadSent($1) }
        switch exchange.upload {
        case nil:
            outbound.unreportedBytes = exchange.request.bodyLength ?? 0
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
        guard self.exchange === exchange, !outbound.isStopped, let context else {
            continuation.resume(throwing: UploadStopped())
            return
        }
        let confirmation = outbound.needsConfirmation(of: chunk.readableBytes) ? UploadConfirmation() : nil
        let promise = confirmation.map { _ in context.eventLoop.makePromise(of: Void.self) }
        if let promise, let confirmation { resumeWriter(of: exchange, after: promise, confirmation) }
        if exchange.upload?.isChunked == true {
            writeChunk(chunk, context, promise)
        } else {
            context.writeAndFlush(wrapOutboundOut(chunk), promise: promise)
        }
        guard self.exchange === exchange, !outbound.isStopped else {
            continuation.resume(throwing: UploadStopped())
            return
        }
        outbound.unreportedBytes = chunk.readableBytes
        if context.channel.isWritable, confirmation?.isTaken ?? true {
            extendBodyReadForUpload()
            reportUpload(of: exchange)
            continuation.resume()
        } else {
            outbound.writer = continuation
            enterBodyWrite(exchange)
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
        guard self.exchange === exchange, !outbound.isStopped, let context else { return }
        outbound.unreportedBytes = bodyBytes
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { [weak exchange] in
            guard let exchange, self.exchange === exchange else { return }
            self.requestWritten(exchange)
        }
        context.writeAndFlush(wrapOutboundOut(ending), promise: written)
        guard self.exchange === exchange, !machine.isRequestDone else { return }
        enterBodyWrite(exchange)
    }

    /// The response has arrived whole and the request goes on (RFC 9112 §9.5): only the network's pauses count now, not
    /// the producer's.
    func uploadOutlivedResponse() {
        enter(.none, within: nil)
        if let exchange, outbound.writer != nil || unsentBytes > 0 { enterBodyWrite(exchange) }
    }

    /// The network has bytes to take. While a response is being read, its deadline is the one that counts.
    private func enterBodyWrite(_ exchange: Exchange) {
        noteUnsentBytes()
        guard inbound.head == nil || machine.isResponseDone else { return }
        enter(.bodyWrite, within: exchange.timeouts.bodyIdle)
    }

    private var unsentBytes: Int {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// What ``hasWriteProgress()`` compares with.
    func noteUnsentBytes() {
        outbound.unsentBytes = unsentBytes
    }

    /// Whether the network has taken anything since this was last asked.
    func hasWriteProgress() -> Bool {
        let unsent = unsentBytes
        defer { outbound.unsentBytes = unsent }
        return unsent < outbound.unsentBytes
    }

    /// Tells whoever wants to know that the network has taken what was written last. Their code may end the exchange.
    ///
    /// Done on the event loop, so that nothing is said of an attempt once it is over.
    private func reportUpload(of exchange: Exchange) {
        guard let report = exchange.request.onUploadProgress, outbound.unreportedBytes > 0 else { return }
        outbound.reportedBytes += outbound.unreportedBytes
        outbound.unreportedBytes = 0
        report(TransferProgress(bytes: outbound.reportedBytes, total: exchange.request.bodyLength))
    }

    private func requestWritten(_ exchange: Exchange) {
        reportUpload(of: exchange)
        guard self.exchange === exchange else { return }
        let now = sweep.now
        outbound.sentAt = now
        exchange.tell(at: now) { $0.requestBodySent($1) }
        extendBodyReadForUpload()
        if inbound.head == nil {
            exchange.call.enter(.awaitingHead, attempt: exchange.attempt)
            enter(.head, within: exchange.timeouts.responseHead, from: now)
        }
        settle(machine.requestFinished(), keepAlive: inbound.keepAlive)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { writeOn() }
    }

    /// The network takes more: the upload that waits for that goes on.
    private func writeOn() {
        guard let writer = outbound.writer else { return }
        outbound.writer = nil
        if phase == .bodyWrite { enter(.none, within: nil) }
        extendBodyReadForUpload()
        if let exchange { reportUpload(of: exchange) }
        writer.resume()
    }
}

/// Whether the network has taken a write. Touched on the connection's event loop only.
private final class UploadConfirmation {
    var isTaken = false
}
