internal import BowlineCore
internal import NIOCore

/// A connection as its exchanges and the pool see it, whichever protocol it speaks.
///
/// A class rather than a protocol: what is constant is read without a call, and the pool's generic parameter is one type.
// Safety: what other threads may read is immutable; what subclasses change they change on `eventLoop` only.
class HTTPConnection: @unchecked Sendable, PooledConnection {
    let id: ConnectionID
    let affinity: Int
    let eventLoop: any EventLoop
    let channel: any Channel
    let peer: String
    let isTLS: Bool
    /// How long the dial took that made it.
    let dialDuration: Duration
    let sweep: DeadlineSweep
    /// Runs tasks on the event loop.
    let executor: EventLoopTaskExecutor
    let origin: OriginLink
    /// Tells a client's listeners; nil without any. Set before the pool gets the connection, and then constant.
    private(set) var events: ConnectionEvents?

    var options: ConnectionOptions { origin.options }

    /// What the connections of one origin share: their options, and how they reach their pool, weakly: it may be gone before
    /// them.
    final class OriginLink: Sendable {
        let options: ConnectionOptions
        /// The response is complete. With how long the server keeps the connection, if it said so, and the time.
        let release: @Sendable (HTTPConnection, Duration?, MonotonicInstant) -> Void
        /// Nothing was written: the lease does not count as a use, and what the server last said of its patience holds.
        let returnUnused: @Sendable (HTTPConnection) -> Void
        let closed: @Sendable (ConnectionID, CloseReason) -> Void
        /// It carries so many requests at once from now on.
        let capacityChanged: @Sendable (ConnectionID, Int) -> Void
        /// It takes no more requests, and ends with those that it carries.
        let retired: @Sendable (ConnectionID, CloseReason) -> Void
        /// A request on it got no byte in time: it gets no new requests until it is confirmed.
        let doubted: @Sendable (ConnectionID) -> Void
        /// The peer has shown that it is there.
        let confirmed: @Sendable (ConnectionID) -> Void

        init(
            options: ConnectionOptions,
            release: @escaping @Sendable (HTTPConnection, Duration?, MonotonicInstant) -> Void,
            returnUnused: @escaping @Sendable (HTTPConnection) -> Void,
            closed: @escaping @Sendable (ConnectionID, CloseReason) -> Void,
            capacityChanged: @escaping @Sendable (ConnectionID, Int) -> Void = { _, _ in },
            retired: @escaping @Sendable (ConnectionID, CloseReason) -> Void = { _, _ in },
            doubted: @escaping @Sendable (ConnectionID) -> Void = { _ in },
            confirmed: @escaping @Sendable (ConnectionID) -> Void = { _ in }
        ) {
            self.options = options
            self.release = release
            self.returnUnused = returnUnused
            self.closed = closed
            self.capacityChanged = capacityChanged
            self.retired = retired
            self.doubted = doubted
            self.confirmed = confirmed
        }
    }

    init(
        id: ConnectionID, affinity: Int, channel: any Channel, peer: String, isTLS: Bool,
        dialDuration: Duration, sweep: DeadlineSweep, executor: EventLoopTaskExecutor, origin: OriginLink
    ) {
        self.id = id
        self.affinity = affinity
        self.channel = channel
        eventLoop = channel.eventLoop
        self.peer = peer
        self.isTLS = isTLS
        self.dialDuration = dialDuration
        self.sweep = sweep
        self.executor = executor
        self.origin = origin
    }

    /// The connection is ready for requests.
    func announce(_ events: ConnectionEvents?) {
        self.events = events?.established()
    }

    func onLoop(_ action: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { action() } else { eventLoop.execute(action) }
    }

    // MARK: What a protocol defines. Called from any thread.

    var isMultiplexed: Bool { false }
    var capacity: Int { 1 }
    /// Whether a request was answered; of one that carries a request at a time that is so if it is leased again.
    var hasAnswered: Bool { true }

    /// There will be no more leases than these, in all; some of them may still be on their way here.
    func retire(_ reason: CloseReason, leases: Int) {}

    /// A lease of it was granted and has ended before its user came: one that ``retire(_:leases:)`` counts will not come.
    func leaseUnused() {}

    /// Asks the peer for a sign of life; ``OriginLink/confirmed`` follows, or the end of the connection.
    func probe() {}

    /// Closes it, and cuts what it carries.
    func close(_ reason: CloseReason) { preconditionFailure("abstract") }

    /// The pool is gone: it closes when it carries nothing.
    func poolReleased() { close(.poolReleased) }

    /// Sends the exchange's request.
    func start(_ exchange: Exchange) { preconditionFailure("abstract") }

    /// A lease that was not used goes back.
    func returnUnused() { preconditionFailure("abstract") }

    /// The calling task was cancelled: the response is not wanted.
    func cancelled(_ exchange: Exchange) { preconditionFailure("abstract") }

    /// The rest of the body is not wanted.
    func abandoned(_ exchange: Exchange) { preconditionFailure("abstract") }

    /// The reader has caught up: more may be read.
    func resumeReading(_ exchange: Exchange) { preconditionFailure("abstract") }

    /// Writes a chunk of the request body; returns when there is room for the next.
    ///
    /// - Throws: ``UploadStopped`` if the rest is not wanted.
    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws { preconditionFailure("abstract") }

    /// Writes the last bytes of a body of declared length, and ends it.
    func finishBody(_ last: ByteBuffer, for exchange: Exchange) { preconditionFailure("abstract") }

    /// Ends the request body.
    func finishBody(trailers: CheckedTrailers?, for exchange: Exchange) { preconditionFailure("abstract") }

    /// The request body cannot be completed.
    func uploadFailed(
        _ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?
    ) { preconditionFailure("abstract") }
}
