internal import BowlineCore
internal import NIOCore
internal import Synchronization

/// One HTTP/2 connection: the last handler of the channel. It gives received bytes to an ``HTTP2ClientSession`` and
/// acts on the session's events.
///
/// The connection carries as many exchanges as the peer allows, each on its own stream. A stream has no channel of its
/// own. Everything that one turn of the event loop sends goes out in one write.
// Properties that every request touches are not checked for overlapping accesses
// (Docs/Decisions/unchecked-exclusivity.md). So code that changes one of them in place calls no other code during the
// change. The session calls no other code: the connection first takes the events from the session, and then acts on
// them.
// Safety: mutable state is touched on `eventLoop` only. Other threads read what is constant once the pool has it, or atomic.
final class HTTP2Connection: HTTPConnection, @unchecked Sendable {
    let traits: ConnectionTraits
    /// Calls the client's listeners. nil: there are none. Set before the pool gets the connection.
    private(set) var events: ConnectionEvents?
    let isMultiplexed = true
    let http2: HTTP2Options

    // Touched on the event loop only.
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var session: HTTP2ClientSession
    @exclusivity(unchecked) var machine = HTTP2ConnectionStateMachine()
    @exclusivity(unchecked) var table = HTTP2StreamTable<HTTP2Stream>()
    @exclusivity(unchecked) var uploads: HTTP2Uploads<HTTP2Stream>
    @exclusivity(unchecked) var kernelProgress: HTTP2KernelProgress
    @exclusivity(unchecked) var liveness: HTTP2Liveness
    var endCause = HTTP2EndCause()
    /// Streams whose response heads arrived in this read and were not delivered to the callers yet.
    @exclusivity(unchecked) var touched: [HTTP2Stream] = []
    @exclusivity(unchecked) var isReading = false
    @exclusivity(unchecked) var isFlushScheduled = false
    /// How many bytes a reader takes before the connection checks whether WINDOW_UPDATE is due for the stream: a
    /// quarter of the window. The window is 65,535 bytes until the peer has acknowledged our settings (RFC 9113
    /// §6.9.2).
    @exclusivity(unchecked) private(set) var readStep = 65_535 / HTTP2Connection.readStepPart
    @exclusivity(unchecked) var sweepIndex = -1
    /// Called once: when the peer's settings have arrived, or when the connection fails before that.
    private var onReady: ((HTTP2Connection, Result<Void, any Error>) -> Void)?
    /// When the peer's settings must have arrived.
    private var settingsDeadline = MonotonicInstant.distantFuture
    /// The stream limit that the pool knows.
    private var announcedLimit: Int
    private var capacityAtStart = 1
    private let answered = Atomic(false)

    /// The number of ``readStep``s in a window.
    private static let readStepPart = 4

    init(_ traits: ConnectionTraits, http2: HTTP2Options, firstStreamID: Int) {
        self.traits = traits
        self.http2 = http2
        let session = HTTP2ClientSession(
            options: HTTP2SessionOptions(http2, traits.originLink.options), firstStreamID: firstStreamID,
            allocator: traits.channel.allocator)
        announcedLimit = session.streamLimit
        self.session = session
        uploads = HTTP2Uploads(channelLimit: traits.originLink.options.writeBufferLimit)
        let now = traits.sweep.now
        kernelProgress = HTTP2KernelProgress(now: now)
        liveness = HTTP2Liveness(options: http2, now: now)
    }

    /// Reports to listeners that the connection is ready for requests. Called before the pool gets the connection.
    func announce(_ events: ConnectionEvents?) {
        self.events = events?.established()
    }

    /// The stream limit at the moment when the connection became ready. Constant after that: set before `onReady` is
    /// called.
    var capacity: Int { capacityAtStart }

    var hasAnswered: Bool { answered.load(ordering: .relaxed) }

    /// Records that the head of a response has arrived.
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

    /// Returns the stream of the exchange. nil: the connection has none for it.
    private func stream(of exchange: Exchange) -> HTTP2Stream? {
        if exchange.streamID != 0 { return table[exchange.streamID] }
        return table.held.first { $0.exchange === exchange }
    }

    /// Returns the stream of the exchange. nil: there is none, or the rest of its request is not sent.
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

    /// Ends the request with `last`, or with trailers if there are any.
    private func finish(_ last: ByteBuffer, trailers: CheckedTrailers?, for exchange: Exchange) {
        guard let stream = sendingStream(of: exchange) else { return }
        if let trailers, !trailers.fields.isEmpty { stream.finish(with: trailers) } else { stream.finish(with: last) }
    }

    /// Counts one more lease whose request has reached the connection, or that was returned unused.
    private func leaseArrived() {
        machine.leaseArrived()
        sendGoAwayIfDue()
    }
}

// MARK: Becoming ready

extension HTTP2Connection {
    /// Whether the peer's settings have arrived, or the connection has failed before that.
    var isReady: Bool { onReady == nil }

    /// Adds the connection to the channel's pipeline, and sends the preface and our settings.
    ///
    /// - Parameter onReady: Called once, on the event loop. Success: the peer's settings have arrived, and the
    ///   connection can carry requests. Failure: why it never will.
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
            deadlineMoved()
        }
        if streamLimit != announcedLimit, !machine.isClosed {
            announcedLimit = streamLimit
            originLink.capacityChanged(id, streamLimit)
        }
        // The peer may have lowered its stream limit. The pool learns of the new limit before requests are declined, so
        // that these requests do not come back to this connection.
        while let stream = table.held.last, session.occupied + table.held.count > streamLimit { decline(stream) }
    }

    /// Updates the read step: the peer has acknowledged our settings, which changes the window of each stream.
    func settingsAcknowledged() {
        readStep = http2.streamWindow / Self.readStepPart
    }

    /// Drops `onReady` without a call: the dial no longer waits for the connection.
    func forgetReadiness() {
        onReady = nil
    }

    /// Reports the failure to `onReady`, if the connection ends before it was ready.
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
        // One more field than the limit, for `:status`.
        fieldLimits.maximumFields = connection.maximumFields + 1
    }
}

/// The content of the peer's GOAWAY.
struct HTTP2GoAway {
    /// The highest stream that the peer may have processed. 0: none.
    var lastID: Int
    var code = HTTP2ErrorCode.noError

    var isError: Bool { code != .noError }
    /// Whether the peer ends the connection without an error, after it accepted requests. Such an end says nothing
    /// about the next connection.
    var saysUsedUp: Bool { !isError && lastID > 0 }
}
