internal import BowlineCore
internal import NIOCore

// Requests that wait here because the channel takes nothing. Nothing of them has been written: they go to another connection if
// this one goes away, and the peer knows nothing of their streams. Everything here runs on the event loop.
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
            blockedSince = nil
            // In a turn of its own: this may come within a write.
            flushSoon()
        } else if blockedSince == nil {
            blockedSince = sweep.now
            network.takenBytes = takenBytes
        }
        context.fireChannelWritabilityChanged()
    }

    /// The network has taken bytes. If it had taken none for a while, the peer has acknowledged some.
    func noteTaken() {
        guard let since = blockedSince else { return }
        keepAlive.taken(now: sweep.now, blockedSince: since)
    }

    /// Opens the streams that wait, as far as the channel and the peer have room for them.
    func writeHeld() {
        while let stream = held.first, mayWriteMore, closeReason == nil {
            guard session.hasRoom else {
                decline(stream)
                continue
            }
            held.removeFirst()
            writeHead(of: stream)
        }
        sendGoAwayAfterLastArrival()
    }

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
        guard stream.isOpen else { return }
        stream.isOpen = false
        leave(stream)
        giveBackUnused()
        sendGoAwayAfterLastArrival()
    }

    func declinedError(_ exchange: Exchange) -> ServiceError {
        exchange.error(
            .connectionClosed, "the connection takes no more requests" + goAwayNote,
            underlying: HTTP2Declined(hasCarriedOthers: hasWrittenRequest))
    }
}
