internal import BowlineCore
internal import NIOCore

/// A connection as its exchanges use it, over either protocol. The pool uses it as a ``PooledConnection``.
///
/// The functions may be called from any thread.
protocol HTTPConnection: PooledConnection {
    /// The constants of this connection.
    var traits: ConnectionTraits { get }

    /// Whether the peer has answered a request. Asked only when the connection is leased again; over HTTP/1.1 the
    /// answer is then always yes.
    var hasAnswered: Bool { get }

    // The traits that exchanges read, one by one: reading one does not copy them all.
    var peer: String { get }
    var dialDuration: Duration { get }
    var sweep: DeadlineSweep { get }

    /// Sends the exchange's request.
    func start(_ exchange: Exchange)

    /// Gives back a lease that was not used.
    func returnUnused()

    /// The calling task was cancelled: the response is not wanted.
    func cancelled(_ exchange: Exchange)

    /// The rest of the body is not wanted.
    func abandoned(_ exchange: Exchange)

    /// The reader has caught up: more may be read.
    func resumeReading(_ exchange: Exchange)

    /// Writes a chunk of the request body; returns when there is room for the next.
    ///
    /// - Throws: ``UploadStopped`` if the rest is not wanted.
    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws

    /// Writes the last bytes of a body of declared length, and ends it.
    func finishBody(_ last: ByteBuffer, for exchange: Exchange)

    /// Ends the request body.
    func finishBody(trailers: CheckedTrailers?, for exchange: Exchange)

    /// The request body cannot be completed.
    func uploadFailed(_ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?)

    /// The pool is gone: the connection closes when it carries nothing.
    func poolReleased()
}

/// The constants of one connection.
struct ConnectionTraits: Sendable {
    let id: ConnectionID
    /// Identifies the event loop to the pool.
    let affinity: Int
    let channel: any Channel
    let eventLoop: any EventLoop
    let peer: String
    let isTLS: Bool
    /// How long the dial of this connection took.
    let dialDuration: Duration
    let sweep: DeadlineSweep
    /// Runs tasks on the event loop.
    let executor: EventLoopTaskExecutor
    /// The link to the pool of the connection's origin.
    let origin: OriginLink

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
}

extension HTTPConnection {
    var id: ConnectionID { traits.id }
    var affinity: Int { traits.affinity }
    var channel: any Channel { traits.channel }
    var eventLoop: any EventLoop { traits.eventLoop }
    var peer: String { traits.peer }
    var isTLS: Bool { traits.isTLS }
    var dialDuration: Duration { traits.dialDuration }
    var sweep: DeadlineSweep { traits.sweep }
    var executor: EventLoopTaskExecutor { traits.executor }
    var origin: OriginLink { traits.origin }
    var options: ConnectionOptions { traits.origin.options }

    func onLoop(_ action: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { action() } else { eventLoop.execute(action) }
    }
}
