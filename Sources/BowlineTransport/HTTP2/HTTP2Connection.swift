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
    /// Calls a client's listeners; nil without any. Set before the pool gets the connection.
    private(set) var events: ConnectionEvents?
    let isMultiplexed = true
    let http2: HTTP2Options

    // On the event loop.
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var session: HTTP2ClientSession
    @exclusivity(unchecked) var machine = HTTP2ConnectionStateMachine()
    @exclusivity(unchecked) var table = HTTP2StreamTable<HTTP2Stream>()
    @exclusivity(unchecked) var uploads: HTTP2Uploads<HTTP2Stream>
    @exclusivity(unchecked) var network: HTTP2NetworkProgress
    @exclusivity(unchecked) var liveness: HTTP2Liveness
    var endCause = HTTP2EndCause()
    /// Streams whose heads have come in this read and were not handed over.
    @exclusivity(unchecked) var touched: [HTTP2Stream] = []
    @exclusivity(unchecked) var isReading = false
    @exclusivity(unchecked) var isFlushScheduled = false
    /// After how many bytes that a reader has taken its stream's window is looked at: a quarter of the window, which is 65,535
    /// bytes until the peer has acknowledged our settings (RFC 9113 §6.9.2).
    @exclusivity(unchecked) private(set) var readStep = 65_535 / HTTP2Connection.readStepPart
    @exclusivity(unchecked) var sweepIndex = -1
    /// Called once, when the peer's settings are there or the connection has failed before.
    private var onReady: ((HTTP2Connection, Result<Void, any Error>) -> Void)?
    /// When the peer's settings have to be there.
    private var settingsDeadline = MonotonicInstant.distantFuture
    /// How many streams the pool knows to be allowed.
    private var announcedLimit: Int
    private var capacityAtStart = 1
    private let answered = Atomic(false)

    /// See ``readStep``.
    private static let readStepPart = 4

    init(_ traits: ConnectionTraits, http2: HTTP2Options, firstStreamID: Int) {
        self.traits = traits
        self.http2 = http2
        let session = HTTP2ClientSession(
            options: HTTP2SessionOptions(http2, traits.origin.options), firstStreamID: firstStreamID,
            allocator: traits.channel.allocator)
        announcedLimit = session.streamLimit
        self.session = session
        uploads = HTTP2Uploads(channelLimit: traits.origin.options.writeBufferLimit)
        let now = traits.sweep.now
        network = HTTP2NetworkProgress(now: now)
        liveness = HTTP2Liveness(options: http2, now: now)
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
        onLoop { self.probed() }
    }

    func cancelled(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.reset($0, code: .cancel) } }
    }

    func abandoned(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange).map { self.reset($0, code: .cancel) } }
    }

    func resumeReading(_ exchange: Exchange) {
        onLoop { self.stream(of: exchange)?.readOn() }
    }

    func retire(_ reason: CloseReason, leases: Int) {
        onLoop {
            self.machine.limitLeases(to: leases)
            self.sendGoAwayIfDue()
        }
    }

    func close(_ reason: CloseReason) {
        onLoop { self.closeNow(reason) }
    }

    func poolReleased() {
        onLoop {
            self.machine.poolReleased()
            self.closeIfUnwanted()
        }
    }

    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            onLoop { self.write(chunk, for: exchange, continuation) }
        }
    }

    func finishBody(_ last: ByteBuffer, for exchange: Exchange) {
        onLoop { self.sendingStream(of: exchange)?.finish(with: last) }
    }

    func finishBody(trailers: CheckedTrailers?, for exchange: Exchange) {
        onLoop { self.finish(ByteBuffer(), trailers: trailers, for: exchange) }
    }

    func uploadFailed(
        _ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?
    ) {
        onLoop {
            guard let stream = self.sendingStream(of: exchange) else { return }
            self.reset(stream, code, message, underlying: underlying)
        }
    }

    // MARK: On the event loop

    /// The stream of an exchange that the connection has.
    private func stream(of exchange: Exchange) -> HTTP2Stream? {
        if exchange.streamID != 0 { return table[exchange.streamID] }
        return table.held.first { $0.exchange === exchange }
    }

    /// The same, unless the rest of its request is not wanted.
    private func sendingStream(of exchange: Exchange) -> HTTP2Stream? {
        stream(of: exchange).flatMap { $0.machine.isRequestStopped ? nil : $0 }
    }

    private func write(
        _ chunk: ByteBuffer, for exchange: Exchange, _ writer: CheckedContinuation<Void, any Error>
    ) {
        guard let stream = sendingStream(of: exchange) else {
            writer.resume(throwing: UploadStopped())
            return
        }
        if chunk.readableBytes > 0 { stream.write(chunk, writer) } else { writer.resume() }
    }

    /// Ends the request's body with `last`, or with trailers.
    private func finish(_ last: ByteBuffer, trailers: CheckedTrailers?, for exchange: Exchange) {
        guard let stream = sendingStream(of: exchange) else { return }
        if let trailers, !trailers.fields.isEmpty { stream.finish(with: trailers) } else { stream.finish(with: last) }
    }

    /// One lease more has been used, or given back unused.
    private func leaseArrived() {
        machine.leaseArrived()
        sendGoAwayIfDue()
    }
}

// MARK: Becoming ready

extension HTTP2Connection {
    /// Whether the peer's settings are there, or the connection has failed before.
    var isReady: Bool { onReady == nil }

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

    func receivedSettings() {
        if let onReady {
            self.onReady = nil
            settingsDeadline = .distantFuture
            capacityAtStart = streamLimit
            onReady(self, .success(()))
        }
        if streamLimit != announcedLimit, !machine.isClosed {
            announcedLimit = streamLimit
            origin.capacityChanged(id, streamLimit)
        }
        // Fewer than before: the pool first, so that what does not fit does not come back here.
        while let stream = table.held.last, session.occupied + table.held.count > streamLimit { decline(stream) }
    }

    /// The peer has acknowledged our settings, which changes the window of each stream.
    func settingsAcknowledged() {
        readStep = http2.streamWindow / Self.readStepPart
    }

    /// Nothing waits for the connection to be ready any more.
    func forgetReadiness() {
        onReady = nil
    }

    /// The connection ends before it was ready.
    func failReadiness(_ reason: CloseReason) {
        onReady?(self, .failure(endCause.whyNotReady(reason)))
        onReady = nil
    }
}

extension HTTP2Connection: DeadlineEntry {
    var deadline: MonotonicInstant { isReady ? liveness.deadline(hasStreams: !table.isEmpty) : settingsDeadline }

    func deadlinePassed(now: MonotonicInstant) {
        if isReady {
            askPeer(now: now)
        } else {
            endCause.caught(DialFailure.timedOut)
            closeNow(.timedOut)
        }
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

/// What the peer said when it took no more requests.
struct HTTP2GoAway {
    /// The last stream that is, or may have been, looked at; 0: none.
    var lastID: Int
    var code = HTTP2ErrorCode.noError

    var isError: Bool { code != .noError }
    /// Whether the connection has taken requests and ends in good order, which says nothing about the next.
    var saysUsedUp: Bool { !isError && lastID > 0 }
}
