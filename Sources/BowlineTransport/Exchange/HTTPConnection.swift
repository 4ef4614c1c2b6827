internal import BowlineCore
internal import NIOCore

/// A connection as its exchanges use it, over either protocol. The pool uses it as a ``PooledConnection``.
///
/// The functions may be called from any thread.
protocol HTTPConnection: PooledConnection {
    /// The constants of this connection.
    var traits: ConnectionTraits { get }

    /// Whether the peer has answered a request. Exchanges use this only when the connection is leased again. An
    /// HTTP/1.1 connection has always answered a request by then.
    var hasAnswered: Bool { get }

    // The traits that exchanges read, as separate properties: reading one of them does not copy all traits.
    var peer: String { get }
    var proxy: Proxy? { get }
    var dialTimings: DialTimings { get }
    var sweep: DeadlineSweep { get }

    /// Sends the exchange's request.
    func start(_ exchange: Exchange)

    /// Gives back a lease that was not used.
    func returnUnused()

    /// Informs the connection that the calling task was cancelled, so that the response is not wanted.
    func cancelled(_ exchange: Exchange)

    /// Informs the connection that the caller does not want the rest of the response's body.
    func abandoned(_ exchange: Exchange)

    /// Informs the connection that the reader has caught up, so that more may be read.
    func resumeReading(_ exchange: Exchange)

    /// Writes a chunk of the request body; returns when there is room for the next.
    ///
    /// - Throws: ``UploadStopped`` if the rest is not wanted.
    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws

    /// Writes the last bytes of a body of declared length, and ends it.
    func finishBody(_ last: ByteBuffer, for exchange: Exchange)

    /// Ends the request body.
    func finishBody(trailers: CheckedTrailers?, for exchange: Exchange)

    /// Informs the connection that the request body cannot be completed.
    func uploadFailed(_ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?)

    /// Informs the connection that its pool is gone. The connection closes when it carries no exchange.
    func poolReleased()
}

/// The constants of one connection.
struct ConnectionTraits: Sendable {
    let id: ConnectionID
    /// The number by which the pool identifies the connection's event loop.
    let affinity: Int
    let channel: any Channel
    let eventLoop: any EventLoop
    let peer: String
    /// The proxy of the route; nil: the connection is direct.
    let proxy: Proxy?
    /// Whether the bytes on the socket are encrypted.
    let isTLS: Bool
    /// How long the dial of this connection took.
    let dialTimings: DialTimings
    let sweep: DeadlineSweep
    /// Runs tasks on the event loop.
    let executor: EventLoopTaskExecutor
    /// The link to the pool of the connection's origin.
    let originLink: OriginLink

    init(
        id: ConnectionID, affinity: Int, channel: any Channel, peer: String, proxy: Proxy? = nil, isTLS: Bool,
        dialTimings: DialTimings, sweep: DeadlineSweep, executor: EventLoopTaskExecutor, originLink: OriginLink
    ) {
        self.id = id
        self.affinity = affinity
        self.channel = channel
        eventLoop = channel.eventLoop
        self.peer = peer
        self.proxy = proxy
        self.isTLS = isTLS
        self.dialTimings = dialTimings
        self.sweep = sweep
        self.executor = executor
        self.originLink = originLink
    }
}

extension HTTPConnection {
    var id: ConnectionID { traits.id }
    var affinity: Int { traits.affinity }
    var channel: any Channel { traits.channel }
    var eventLoop: any EventLoop { traits.eventLoop }
    var peer: String { traits.peer }
    var proxy: Proxy? { traits.proxy }
    var isTLS: Bool { traits.isTLS }
    var dialTimings: DialTimings { traits.dialTimings }
    var sweep: DeadlineSweep { traits.sweep }
    var executor: EventLoopTaskExecutor { traits.executor }
    var originLink: OriginLink { traits.originLink }
    var options: ConnectionOptions { traits.originLink.options }

    func onLoop(_ action: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { action() } else { eventLoop.execute(action) }
    }
}
