internal import BowlineCore
internal import BowlinePool
internal import NIOCore

// Requests that wait here because the frame handler would hold them back. Nothing of them has been written: they go to another
// connection if this one goes away, and the peer knows nothing of their streams. Everything here runs on the event loop.
extension HTTP2Connection {
    /// Keeps the request until the channel takes bytes again.
    func hold(_ stream: HTTP2Stream) {
        held.append(stream)
        stream.exchange.call.enter(.sending, attempt: stream.exchange.attempt)
        stream.enter(.head, within: stream.exchange.timeouts.responseHead)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            noteTaken()
            if gate.becameWritable() { eventLoop.execute { self.emptyAndWriteHeld() } }
        } else {
            gate.becameUnwritable(now: sweep.now)
        }
        context.fireChannelWritabilityChanged()
    }

    /// The network has taken bytes. If it had taken none for a while, the peer has acknowledged some.
    func noteTaken() {
        guard let since = gate.blockedSince else { return }
        keepAlive.taken(now: sweep.now, blockedSince: since)
    }

    private func emptyAndWriteHeld() {
        guard closeReason == nil, let context else { return }
        context.flush()
        gate.flushed()
        while gate.isOpen, closeReason == nil, let stream = held.first {
            guard hasRoom else {
                decline(stream)
                continue
            }
            held.removeFirst()
            writeHead(of: stream)
        }
        guard gate.isOpen, closeReason == nil else { return }
        for stream in table.streams where stream.isOpen && stream.unsentTrailers != nil { writeTrailers(of: stream) }
        sendGoAwayAfterLastArrival()
    }

    /// Whether the peer takes one stream more; those that it has been told of and those whose reset it may not know count.
    var hasRoom: Bool { table.occupied - held.count < settings.maximumStreams }

    /// Those that wait here go elsewhere: this connection opens no stream any more.
    func declineHeld() {
        while let stream = held.first { decline(stream) }
    }

    /// Gives a request back of which nothing was written: another connection takes it.
    func decline(_ stream: HTTP2Stream) {
        let error = declinedError(stream.exchange)
        takeBack(stream)
        stream.exchange.fail(error)
    }

    /// Forgets a stream that was never opened.
    func takeBack(_ stream: HTTP2Stream) {
        leave(stream)
        guard table.close(stream.id) else { return }
        giveBackUnused()
        sendGoAwayAfterLastArrival()
    }

    func declinedError(_ exchange: Exchange) -> ServiceError {
        exchange.error(
            .connectionClosed, "the connection takes no more requests" + goAwayNote,
            underlying: HTTP2Declined(hasCarriedOthers: hasWrittenRequest))
    }
}
