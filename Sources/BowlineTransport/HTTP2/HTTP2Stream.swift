internal import BowlineCore
internal import NIOCore

/// One exchange on an HTTP/2 connection: what of its response waits to be handed over, and what of its body to be sent.
///
/// Touched on the connection's event loop only.
final class HTTP2Stream: HTTP2TableStream {
    /// Its number (RFC 9113 §5.1.1); 0: it waits to be opened, and the peer knows nothing of it.
    private(set) var id = 0
    let exchange: Exchange
    /// Holds this stream, and outlives it.
    unowned let connection: HTTP2Connection
    var machine: HTTP2StreamStateMachine
    var isOpen = true

    // What has been received and not yet been handed over.
    var head: ResponseHead?
    var arrival = ResponseArrival()
    var expectedLength: Int64?
    var body: ByteBuffer?
    var trailers: ReceivedFields?
    /// The head was handed to the caller; the body goes there as it comes.
    var isDelivered = false
    /// The reader is behind: the peer gets no more room for now.
    var isPaused = false

    // What is being sent.
    /// The upload's pending write, resumed when there is room for more.
    var writer: CheckedContinuation<Void, any Error>?
    /// What waits for a window, or for room in the channel.
    var unsent = HTTP2SendQueue()
    /// Bytes that were handed to the channel, and that the network has not taken.
    var bytesInChannel = 0
    /// It stands in the connection's queue of streams that have something to send.
    var isQueued = false
    /// Whether any have gone out since the write deadline was set.
    var hasWriteProgress = false
    /// Bytes of the body that the network has taken, for upload progress.
    var sentBytes = 0

    // `DeadlineEntry`.
    var phase = DeadlinePhase.none
    var phaseDeadline = MonotonicInstant.distantFuture
    var sweepIndex = -1

    init(exchange: Exchange, connection: HTTP2Connection) {
        self.exchange = exchange
        self.connection = connection
        machine = HTTP2StreamStateMachine(
            isHead: exchange.request.kind == .head, maximumInformational: connection.options.maximumInformational
        )
    }

    /// Its HEADERS have been written.
    func opened(as id: Int) {
        self.id = id
        exchange.streamID = id
        machine.wrote()
    }

    /// What the network has not taken: its bytes, and something for each chunk that waits.
    var unsentCost: Int { unsent.cost + bytesInChannel }

    /// Nothing more is to be written.
    func stopUpload() {
        machine.requestStopped()
        unsent.drop()
        exchange.upload?.stop()
        resumeWriter(throwing: UploadStopped())
    }

    func resumeWriter(throwing error: UploadStopped? = nil) {
        guard let writer else { return }
        self.writer = nil
        if let error { writer.resume(throwing: error) } else { writer.resume() }
    }
}

extension HTTP2Stream: DeadlineEntry {
    var deadline: MonotonicInstant { min(phaseDeadline, exchange.deadline.instant(hasHead: machine.hasHead)) }

    /// The exchange begins a phase that may take so long; nil: any time.
    func enter(_ phase: DeadlinePhase, within limit: Duration?, from start: MonotonicInstant? = nil) {
        self.phase = phase
        guard let limit else {
            phaseDeadline = .distantFuture
            return
        }
        phaseDeadline = (start ?? connection.sweep.now).advanced(by: limit)
        connection.sweep.deadlineMovedEarlier(phaseDeadline)
    }

    func enterBodyWrite() {
        hasWriteProgress = false
        guard !machine.hasHead || machine.isResponseDone else { return }
        enter(.bodyWrite, within: exchange.timeouts.bodyIdle)
    }

    /// A body made progress while a response is being read.
    func extendBodyRead(from instant: MonotonicInstant? = nil) {
        guard phase == .bodyRead, let limit = exchange.timeouts.bodyIdle else { return }
        phaseDeadline = (instant ?? connection.sweep.now).advanced(by: limit)
    }

    func deadlinePassed(now: MonotonicInstant) {
        let deadline = exchange.deadline
        let hasHead = machine.hasHead
        if deadline.instant(hasHead: hasHead) <= now {
            let askedAt = hasHead ? nil : arrival.sent ?? exchange.lease.leased
            connection.timedOut(
                self, deadline.code(hasHead: hasHead), deadline.message(hasHead: hasHead), silentSince: askedAt)
            return
        }
        guard phaseDeadline <= now else { return }
        switch phase {
        case .none, .discarding: phaseDeadline = .distantFuture
        case .awaitingContinue: connection.openUpload(self)
        case .bodyWrite where hasWriteProgress || networkMoved: enterBodyWrite()
        case .bodyWrite:
            bodyIdled("the peer took no byte of the request body for timeouts.bodyIdle")
        case .head:
            let message =
                machine.hasBeenWritten
                ? TimeLimitMessage.responseHead
                : "the connection took no byte of the request within timeouts.responseHead"
            connection.timedOut(
                self, .responseHeadTimeout, message, silentSince: arrival.sent ?? exchange.lease.leased)
        case .bodyRead where isPaused: phaseDeadline = .distantFuture
        case .bodyRead where !machine.isRequestDone && (hasWriteProgress || networkMoved):
            hasWriteProgress = false
            enter(.bodyRead, within: exchange.timeouts.bodyIdle)
        case .bodyRead:
            bodyIdled(TimeLimitMessage.responseBody)
        }
    }

    /// Whether the network has taken a part of what was handed to the channel, since the phase began that ends now: of this
    /// body, or of what stands before it.
    private var networkMoved: Bool {
        guard bytesInChannel > 0 || waitsForChannel else { return false }
        let idle = exchange.timeouts.bodyIdle ?? .zero
        return connection.hasNetworkMoved(since: phaseDeadline.advanced(by: .zero - idle))
    }

    /// Whether it has something to send that the peer's windows allow.
    private var waitsForChannel: Bool {
        isQueued && (unsent.byteCount == 0 || connection.session.sendable(on: id) > 0)
    }

    /// No byte of a body has moved for `timeouts.bodyIdle`, which ends now.
    private func bodyIdled(_ message: String) {
        let idle = exchange.timeouts.bodyIdle ?? .zero
        connection.timedOut(
            self, .bodyIdleTimeout, message, silentSince: phaseDeadline.advanced(by: .zero - idle))
    }
}
