internal import BowlineCore
internal import NIOCore

// How a stream's request is sent after its HEADERS.
extension HTTP2Stream {
    /// Starts the wait for the channel: nothing of the request is written yet.
    func held() {
        exchange.call.enter(.sending, attempt: exchange.attempt)
        enter(.head, within: exchange.timeouts.responseHead)
    }

    /// Lets the upload begin to send its body.
    func openUpload() {
        enter(.none, within: nil)
        exchange.upload?.open()
    }

    /// Queues a chunk of an upload. Resumes `writer` when there is room for the next chunk.
    func write(_ chunk: ByteBuffer, _ writer: CheckedContinuation<Void, any Error>) {
        sending.append(chunk)
        connection.bodyWaits(on: self)
        if sending.unsentCost < connection.options.writeBufferLimit {
            writer.resume()
        } else {
            waitForRoom(writer)
            connection.uploadWaits(on: self)
        }
    }

    /// Ends the request after the last bytes of its body.
    func finish(with last: ByteBuffer) {
        sending.append(last)
        end(.withBody)
    }

    /// Ends the request with these trailers.
    func finish(with trailers: CheckedTrailers) {
        end(.withTrailers(trailers))
    }

    private func end(_ ending: HTTP2SendQueue.Ending) {
        sending.ending = ending
        connection.bodyWaits(on: self)
        enterBodyWrite()
    }

    /// Records that the kernel has accepted `count` bytes of the body. `isLast`: they end the request.
    func sent(_ count: Int, isLast: Bool) {
        guard isOpen else { return }
        sending.sent(count)
        if count > 0, let report = exchange.request.onUploadProgress {
            report(TransferProgress(bytes: sending.sentBytes, total: exchange.request.bodyLength))
            guard isOpen else { return }
        }
        if !machine.isRequestDone { extendBodyRead(from: connection.sweep.now) }
        if isLast {
            requestWritten()
        } else if sending.unsentCost <= connection.options.writeBufferLimit / 2 {
            resumeUpload()
        }
    }

    /// Handles the end of the request: the kernel has accepted all of it, or, without a body, its HEADERS were written.
    func requestWritten() {
        let now = connection.sweep.now
        response.requestSent(at: now)
        exchange.tell(at: now) { $0.requestBodySent($1) }
        // A listener may have cancelled the exchange.
        guard isOpen else { return }
        if !machine.hasHead {
            exchange.call.enter(.awaitingHead, attempt: exchange.attempt)
            enter(.head, within: exchange.timeouts.responseHead, from: now)
        }
        machine.requestFinished()
        connection.closeIfDone(self)
    }
}
