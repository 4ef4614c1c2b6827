internal import BowlineCore
internal import NIOCore

// How a stream's request is sent behind its HEADERS.
extension HTTP2Stream {
    /// It waits for the channel: nothing of it is written yet.
    func held() {
        exchange.call.enter(.sending, attempt: exchange.attempt)
        enter(.head, within: exchange.timeouts.responseHead)
    }

    /// The peer may get the body of an upload.
    func openUpload() {
        enter(.none, within: nil)
        exchange.upload?.open()
    }

    /// A chunk of an upload. The writer goes on when there is room for the next.
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

    /// The last bytes of the body: the request ends behind them.
    func finish(with last: ByteBuffer) {
        sending.append(last)
        end(.withBody)
    }

    /// The request ends with these fields.
    func finish(with trailers: CheckedTrailers) {
        end(.withTrailers(trailers))
    }

    private func end(_ ending: HTTP2SendQueue.Ending) {
        sending.ending = ending
        connection.bodyWaits(on: self)
        enterBodyWrite()
    }

    /// The network has taken a part of the body.
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

    /// The request has been handed to the network whole.
    func requestWritten() {
        let now = connection.sweep.now
        response.requestSent(at: now)
        exchange.tell(at: now) { $0.requestBodySent($1) }
        // A listener may have cancelled it.
        guard isOpen else { return }
        if !machine.hasHead {
            exchange.call.enter(.awaitingHead, attempt: exchange.attempt)
            enter(.head, within: exchange.timeouts.responseHead, from: now)
        }
        machine.requestFinished()
        connection.closeIfDone(self)
    }
}
