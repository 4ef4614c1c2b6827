internal import BowlineCore
internal import NIOCore
internal import Synchronization

/// One HTTP/2 connection: the channel's last handler, which gives bytes to an ``HTTP2ClientSession`` and acts on its events.
///
/// It carries as many exchanges as the peer allows, each on a stream of its own; there is no channel per stream. What one turn
/// of the event loop sends goes out in one write.
// What every request touches is not checked for overlapping accesses (Docs/Decisions/unchecked-exclusivity.md): nothing that
// changes it in place calls out while it does. The session calls nobody: its events are taken from it first, and acted on then.
// Safety: all mutable state is touched on `eventLoop` only; what other threads may read is immutable.
final class HTTP2Connection: HTTPConnection, @unchecked Sendable {
    let traits: ConnectionTraits
    private(set) var events: ConnectionEvents?
    let isMultiplexed = true
    let http2: HTTP2Options

    // On the event loop.
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var session: HTTP2ClientSession
    /// The streams that have been opened.
    @exclusivity(unchecked) var table = HTTP2StreamTable<HTTP2Stream>()
    @exclusivity(unchecked) var keepAlive: HTTP2KeepAlive
    /// Streams that wait for the channel, in order: nothing of them has been written.
    @exclusivity(unchecked) var held: [HTTP2Stream] = []
    /// Streams that have something of a body to send, each once; they take turns.
    @exclusivity(unchecked) var senders = CircularBuffer<HTTP2Stream>(initialCapacity: 2)
    /// The stream of whose body a piece was written last.
    @exclusivity(unchecked) var lastSender = 0
    /// Streams whose upload waits for room, each once.
    @exclusivity(unchecked) var waitingUploads: [HTTP2Stream] = []
    /// What the channel has been given and the network may not have taken.
    @exclusivity(unchecked) var marks = HTTP2SentMarks<HTTP2Stream>()
    /// Since when the channel has not been writable; nil if it is.
    @exclusivity(unchecked) var blockedSince: MonotonicInstant?
    /// The first stream whose HEADERS the channel has not been given.
    @exclusivity(unchecked) var firstUnwritten = Int.max
    /// Bytes that the channel has been given.
    @exclusivity(unchecked) var writtenBytes = 0
    /// How many of them the network had taken when that was last asked, and when it was found to have taken more.
    @exclusivity(unchecked) var network = (takenBytes: 0, movedAt: MonotonicInstant(nanoseconds: 0))
    /// Whether the channel has been given the HEADERS of any request.
    @exclusivity(unchecked) var hasWrittenRequest = false
    /// A request got no byte in time, and the peer has not answered a PING since.
    var isDoubted = false
    /// Told once, when the peer's settings are there or the connection has failed before.
    var onReady: ((HTTP2Connection, Result<Void, any Error>) -> Void)?
    /// Streams that have received something in this read and have not handed it over.
    @exclusivity(unchecked) var touched: [HTTP2Stream] = []
    @exclusivity(unchecked) var isReading = false
    @exclusivity(unchecked) var isFlushScheduled = false
    /// The peer's GOAWAY, if it has sent one: streams above its last id were not looked at.
    var peerGoAway: HTTP2GoAway?
    /// No stream is opened any more.
    @exclusivity(unchecked) var isRetired = false
    var hasSentGoAway = false
    var refusedStreams = 0
    /// How many leases have come here, of how many once the pool gives no more.
    private var arrivals = 0
    private var lastArrival: Int?
    /// Whether exchanges have begun and listeners have not been told of the last one's end.
    var isLeased = false
    /// Nobody will lease it again: it closes when it carries nothing.
    var isUnwanted = false
    /// The last error the channel reported: the cause of the close that follows.
    var channelError: (any Error)?
    @exclusivity(unchecked) var closeReason: CloseReason?
    /// When bytes last came.
    @exclusivity(unchecked) var readAt: MonotonicInstant
    /// When the first of the open streams was opened.
    @exclusivity(unchecked) var askedAt: MonotonicInstant
    /// After how many bytes that a reader has taken its stream's window is looked at: a quarter of the window, which is 65,535
    /// bytes until the peer has acknowledged our settings (RFC 9113 §6.9.2).
    @exclusivity(unchecked) var readStep = 65_535 / HTTP2Connection.readStepPart
    /// The rule that the peer has broken, if it has ended the connection.
    var peerViolation: HTTP2Violation?
    /// How many streams the pool knows to be allowed.
    var announcedLimit: Int
    /// When the peer's settings have to be there.
    var settingsDeadline = MonotonicInstant.distantFuture
    @exclusivity(unchecked) var sweepIndex = -1
    private var capacityAtStart = 1
    private let answered = Atomic(false)

    /// See ``readStep``.
    static let readStepPart = 4

    init(_ traits: ConnectionTraits, http2: HTTP2Options, firstStreamID: Int) {
        self.traits = traits
        self.http2 = http2
        let session = HTTP2ClientSession(
            options: HTTP2SessionOptions(http2, traits.origin.options), firstStreamID: firstStreamID,
            allocator: traits.channel.allocator)
        announcedLimit = session.streamLimit
        self.session = session
        keepAlive = HTTP2KeepAlive(options: http2)
        readAt = traits.sweep.now
        askedAt = readAt
    }

    /// The connection is ready for requests. Called before the pool gets it.
    func announce(_ events: ConnectionEvents?) {
        self.events = events?.established()
    }

    /// Constant once the pool may ask: set before `onReady`.
    var capacity: Int { capacityAtStart }

    var hasAnswered: Bool { answered.load(ordering: .relaxed) }

    /// A response's head has come.
    func noteAnswer() {
        if !hasAnswered { answered.store(true, ordering: .relaxed) }
    }

    /// Puts the connection into the channel, and begins to speak.
    ///
    /// - Parameter onReady: Called on the loop, once: with the peer's settings, from when on the connection can carry
    ///   requests; or with why it never will.
    func begin(
        before deadline: MonotonicInstant, onReady: @escaping (HTTP2Connection, Result<Void, any Error>) -> Void
    ) throws {
        self.onReady = onReady
        settingsDeadline = deadline
        try channel.pipeline.syncOperations.addHandler(self)
        sweep.add(self)
        session.start()
        flushSoon()
    }

    /// The peer's settings are there.
    func becameReady() {
        guard let onReady else { return }
        self.onReady = nil
        settingsDeadline = .distantFuture
        capacityAtStart = streamLimit
        onReady(self, .success(()))
    }

    /// How many streams may be open at once.
    var streamLimit: Int { session.streamLimit }

    /// Whether it carries no request, written or not.
    var isIdle: Bool { table.isEmpty && held.isEmpty }

    // MARK: From any thread

    func start(_ exchange: Exchange) {
        onLoop {
            self.open(exchange)
            self.leaseArrived()
        }
    }

    func returnUnused() {
        onLoop {
            self.giveBackUnused()
            self.leaseArrived()
        }
    }

    func leaseUnused() {
        onLoop { self.leaseArrived() }
    }

    func probe() {
        onLoop {
            guard self.closeReason == nil else { return }
            self.isDoubted = true
            // An answer to an earlier PING may have come between the pool's doubt and this.
            self.origin.doubted(self.id)
            self.askIfDoubted()
        }
    }

    func cancelled(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.reset($0, code: .cancel) } }
    }

    func abandoned(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.reset($0, code: .cancel) } }
    }

    func resumeReading(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.readOn($0) } }
    }

    func retire(_ reason: CloseReason, leases: Int) {
        onLoop {
            self.lastArrival = leases
            self.sendGoAwayAfterLastArrival()
        }
    }

    func close(_ reason: CloseReason) {
        onLoop { self.closeNow(reason) }
    }

    func poolReleased() {
        onLoop {
            self.isUnwanted = true
            self.closeIfUnwanted()
        }
    }

    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            onLoop { self.writeData(chunk, for: exchange, continuation) }
        }
    }

    func finishBody(_ last: ByteBuffer, for exchange: Exchange) {
        onLoop { self.finish(last, trailers: nil, for: exchange) }
    }

    func finishBody(trailers: HTTPFields?, for exchange: Exchange) async throws {
        if let trailers {
            var checked = ByteBuffer()
            do {
                try HTTP1RequestWriter.writeLastChunk(trailers: trailers, into: &checked)
            } catch {
                throw RequestBodyFailure(ServiceError(.invalidRequest, "trailer: \(error)"))
            }
        }
        onLoop { self.finish(ByteBuffer(), trailers: trailers, for: exchange) }
    }

    func uploadFailed(
        _ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?
    ) {
        onLoop {
            guard let stream = self.stream(of: exchange), !stream.machine.isRequestStopped else { return }
            self.reset(stream, code, message, underlying: underlying)
        }
    }

    // MARK: On the event loop

    func stream(of exchange: Exchange) -> HTTP2Stream? {
        if exchange.streamID != 0 { return table[exchange.streamID] }
        return held.first { $0.exchange === exchange }
    }

    func giveBackUnused() {
        guard closeReason == nil else { return }
        tellReleased()
        origin.returnUnused(self)
        closeIfUnwanted()
    }

    /// One lease more has been used, or given back unused.
    private func leaseArrived() {
        arrivals += 1
        sendGoAwayAfterLastArrival()
    }

    /// A peer that is told of the end may look at nothing that comes after that.
    func sendGoAwayAfterLastArrival() {
        if let lastArrival, arrivals >= lastArrival, held.isEmpty { sendGoAway() }
    }

    /// Listeners are told once each time that the last exchange ends.
    func tellReleased() {
        guard isIdle, isLeased else { return }
        isLeased = false
        events?.tell { $0.connectionReleased($1) }
    }

    func closeIfUnwanted() {
        if isUnwanted, isIdle, closeReason == nil { closeNow(.poolReleased) }
    }
}

extension HTTP2SessionOptions {
    fileprivate init(_ http2: HTTP2Options, _ connection: ConnectionOptions) {
        self.init()
        streamWindow = http2.streamWindow
        connectionWindow = http2.connectionWindow
        maximumStreams = http2.maximumStreams
        fieldLimits.maximumListSize = connection.maximumHeadBytes + 32 * connection.maximumFields
        // With `:status`.
        fieldLimits.maximumFields = connection.maximumFields + 1
    }
}

/// The peer's word that it takes no more requests, and the `underlying` error of those that it refuses.
struct HTTP2GoAway: Error {
    /// The last stream that is, or may have been, looked at; 0: none.
    var lastID: Int
    var code = HTTP2ErrorCode.noError

    var isError: Bool { code != .noError }
    /// Whether the connection has taken requests and ends in good order, which says nothing about the next.
    var saysUsedUp: Bool { !isError && lastID > 0 }
}

/// A request came to a connection that took no more when it came: nothing of it was written. The `underlying` error.
struct HTTP2Declined: Error {
    /// Whether the connection has carried requests: the next one may well take this.
    var hasCarriedOthers: Bool
    /// The error that ended the connection, if one did.
    var cause: (any Error)?
}
