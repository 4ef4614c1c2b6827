internal import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import NIOHTTP2
internal import Synchronization

/// One HTTP/2 connection: the handler behind `NIOHTTP2Handler`, which does frames, HPACK and both directions' windows.
///
/// It carries as many exchanges as the peer allows, each on a stream of its own; there is no channel per stream.
// What every request touches is not checked for overlapping accesses (Docs/Decisions/unchecked-exclusivity.md): nothing that
// changes it in place calls out while it does.
// Safety: all mutable state is touched on `eventLoop` only; what other threads may read is immutable.
final class HTTP2Connection: HTTPConnection, @unchecked Sendable {
    let http2: HTTP2Options
    let frames: HTTP2FrameWatch

    // On the event loop.
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var table = HTTP2StreamTable<HTTP2Stream>()
    @exclusivity(unchecked) var settings = HTTP2PeerSettings()
    @exclusivity(unchecked) var keepAlive: HTTP2KeepAlive
    @exclusivity(unchecked) var gate = HTTP2WriteGate()
    /// Streams whose HEADERS wait for the channel, in order.
    @exclusivity(unchecked) var held: [HTTP2Stream] = []
    /// Whether the HEADERS of any request have been written.
    @exclusivity(unchecked) var hasWrittenRequest = false
    /// HEADERS are being handed to the frame handler.
    @exclusivity(unchecked) var isWritingHeaders = false
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
    /// How many bytes of a response the peer may send ahead, as far as it has acknowledged our settings.
    var acknowledgedWindow = HTTP2Limits.initialWindow
    /// How many bytes of request bodies the peer takes on the whole connection.
    var outboundWindow = HTTP2Limits.initialWindow
    /// When the peer's settings have to be there.
    var settingsDeadline = MonotonicInstant.distantFuture
    @exclusivity(unchecked) var sweepIndex = -1
    private var capacityAtStart = 1
    private let answered = Atomic(false)

    init(
        id: ConnectionID, affinity: Int, channel: any Channel, peer: String, isTLS: Bool,
        http2: HTTP2Options, dialDuration: Duration, sweep: DeadlineSweep, executor: EventLoopTaskExecutor,
        origin: OriginLink
    ) {
        self.http2 = http2
        frames = HTTP2FrameWatch()
        keepAlive = HTTP2KeepAlive(options: http2)
        readAt = sweep.now
        askedAt = readAt
        super.init(
            id: id, affinity: affinity, channel: channel, peer: peer, isTLS: isTLS,
            dialDuration: dialDuration, sweep: sweep, executor: executor, origin: origin
        )
    }

    override var isMultiplexed: Bool { true }
    /// Constant once the pool may ask: set before `onReady`.
    override var capacity: Int { capacityAtStart }

    override var hasAnswered: Bool { answered.load(ordering: .relaxed) }

    /// A response's head has come.
    func noteAnswer() {
        if !hasAnswered { answered.store(true, ordering: .relaxed) }
    }

    /// Puts the protocol's handlers into the channel, and begins to speak.
    ///
    /// - Parameter onReady: Called on the loop, once: with the peer's settings, from when on the connection can carry
    ///   requests; or with why it never will.
    func begin(
        before deadline: MonotonicInstant, onReady: @escaping (HTTP2Connection, Result<Void, any Error>) -> Void
    ) throws {
        self.onReady = onReady
        settingsDeadline = deadline
        try channel.pipeline.syncOperations.addHandlers([makeFrameHandler(), self])
        sweep.add(self)
        let increment = http2.connectionWindow - 65_535
        if increment > 0 { write(.windowUpdate(windowSizeIncrement: increment), on: .rootStream) }
        flushSoon()
    }

    private func makeFrameHandler() -> NIOHTTP2Handler {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: http2.streamWindow),
            HTTP2Setting(parameter: .maxHeaderListSize, value: options.maximumHeadBytes + 32 * options.maximumFields),
        ]
        // Checked here, so that the error is the stream's own and names what is wrong.
        connection.headerBlockValidation = .disabled
        connection.contentLengthValidation = .disabled
        connection.maximumSequentialEmptyDataFrames = HTTP2Limits.emptyDataFrames
        connection.maximumBufferedControlFrames = HTTP2Limits.bufferedControlFrames
        // The size of the section is what counts.
        connection.maximumSequentialContinuationFrames = HTTP2Limits.continuationFrames
        // A reset stream is remembered until the peer has answered a PING sent after it.
        connection.maximumRecentlyResetStreams = max(32, http2.maximumStreams)
        connection.controlFrameRateLimit.maximumCount = HTTP2Limits.controlFrames
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.streamResetFrameRateLimit.maximumCount = HTTP2Limits.resets
        return NIOHTTP2Handler(
            mode: .client, frameDelegate: frames, connectionConfiguration: connection, streamConfiguration: stream
        )
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
    var streamLimit: Int { min(settings.maximumStreams, http2.maximumStreams) }

    // MARK: From any thread

    override func start(_ exchange: Exchange) {
        onLoop {
            self.open(exchange)
            self.leaseArrived()
        }
    }

    override func returnUnused() {
        onLoop {
            self.giveBackUnused()
            self.leaseArrived()
        }
    }

    override func leaseUnused() {
        onLoop { self.leaseArrived() }
    }

    override func probe() {
        onLoop {
            guard self.closeReason == nil else { return }
            self.isDoubted = true
            // An answer to an earlier PING may have come between the pool's doubt and this.
            self.origin.doubted(self.id)
            self.askIfDoubted()
        }
    }

    override func cancelled(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.reset($0, code: .cancel) } }
    }

    override func abandoned(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.reset($0, code: .cancel) } }
    }

    override func resumeReading(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.readOn($0) } }
    }

    override func retire(_ reason: CloseReason, leases: Int) {
        onLoop {
            self.lastArrival = leases
            self.sendGoAwayAfterLastArrival()
        }
    }

    override func close(_ reason: CloseReason) {
        onLoop { self.closeNow(reason) }
    }

    override func poolReleased() {
        onLoop {
            self.isUnwanted = true
            self.closeIfUnwanted()
        }
    }

    override func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            onLoop { self.writeData(chunk, for: exchange, continuation) }
        }
    }

    override func finishBody(_ last: ByteBuffer, for exchange: Exchange) {
        onLoop { self.finish(last, trailers: nil, for: exchange) }
    }

    override func finishBody(trailers: HTTPFields?, for exchange: Exchange) async throws {
        if let trailers {
            var checked = ByteBuffer()
            do {
                try HTTP1RequestWriter.writeLastChunk(trailers: trailers, into: &checked)
            } catch {
                throw RequestBodyFailure(ServiceError(.invalidRequest, "trailer: \(error)"))
            }
            if let reason = HTTP2RequestHead.refusal(of: trailers) {
                throw RequestBodyFailure(ServiceError(.invalidRequest, "trailer: \(reason)"))
            }
        }
        onLoop { self.finish(ByteBuffer(), trailers: trailers, for: exchange) }
    }

    override func uploadFailed(
        _ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?
    ) {
        onLoop {
            guard let stream = self.stream(of: exchange), !stream.machine.isRequestStopped else { return }
            self.reset(stream, code, message, underlying: underlying)
        }
    }

    // MARK: On the event loop

    func stream(of exchange: Exchange) -> HTTP2Stream? {
        table[exchange.streamID]
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
        guard table.isEmpty, isLeased else { return }
        isLeased = false
        events?.tell { $0.connectionReleased($1) }
    }

    func closeIfUnwanted() {
        if isUnwanted, table.isEmpty, closeReason == nil { closeNow(.poolReleased) }
    }
}

/// What a peer that floods us may do before the connection ends. Counts are over 30 s where nothing else is said.
enum HTTP2Limits {
    /// The window of a stream before our settings are acknowledged (RFC 9113 §6.9.2).
    static let initialWindow = 65_535
    /// In a row, without a byte.
    static let emptyDataFrames = 100
    /// For one field section, whose size has its own limit.
    static let continuationFrames = 4096
    /// Waiting to be written: answers to PING and SETTINGS that the peer does not read.
    static let bufferedControlFrames = 1000
    /// PING, SETTINGS, PRIORITY and the like; answers to our own PINGs count.
    static let controlFrames = 2000
    /// RST_STREAM.
    static let resets = 2000
}

/// The peer's word that it takes no more requests, and the `underlying` error of those that it refuses.
struct HTTP2GoAway: Error {
    /// The last stream that is, or may have been, looked at; 0: none.
    var lastID: Int
    var code = NIOHTTP2.HTTP2ErrorCode.noError

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

/// What of a peer's settings concerns us; the frame handler heeds the others.
struct HTTP2PeerSettings {
    /// A peer that names no limit has none; the frame handler holds back what goes beyond 100 all the same, where requests
    /// would wait unseen.
    var maximumStreams = 100
    /// The largest frame that the peer takes.
    var maximumFrameSize = 16_384
    /// nil: no limit.
    var maximumHeaderListSize: Int?

    mutating func apply(_ settings: [HTTP2Setting]) {
        for setting in settings {
            switch setting.parameter {
            case .maxConcurrentStreams: maximumStreams = setting.value
            case .maxFrameSize: maximumFrameSize = setting.value
            case .maxHeaderListSize: maximumHeaderListSize = setting.value
            default: break
            }
        }
    }
}
