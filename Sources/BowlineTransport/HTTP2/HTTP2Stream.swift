internal import BowlineCore
internal import NIOCore

/// One exchange on an HTTP/2 connection: what of its response has come, and what of its body is to be sent.
///
/// Touched on the connection's event loop only.
// What every request touches is not checked for overlapping accesses (Docs/Decisions/unchecked-exclusivity.md): nothing that
// changes it in place calls out while it does.
final class HTTP2Stream: HTTP2UploadStream {
    /// Its number (RFC 9113 §5.1.1); 0: it waits to be opened, and the peer knows nothing of it.
    private(set) var id = 0
    let exchange: Exchange
    /// Holds this stream, and outlives it.
    unowned let connection: HTTP2Connection
    @exclusivity(unchecked) var machine: HTTP2StreamStateMachine
    @exclusivity(unchecked) var response = ResponseAssembly()
    @exclusivity(unchecked) var sending = HTTP2SendQueue()
    @exclusivity(unchecked) private(set) var deadlines: ExchangeDeadlines
    /// The connection's table has it. See ``HTTP2TableStream``.
    var isOpen = true
    /// It is among the streams that have something to send. See ``HTTP2BodySender``.
    var isQueued = false
    /// The reader is behind: the peer gets no more room for now.
    var isPaused = false
    /// The upload's pending write, resumed when there is room for more.
    private var writer: CheckedContinuation<Void, any Error>?
    var sweepIndex = -1

    init(exchange: Exchange, connection: HTTP2Connection) {
        self.exchange = exchange
        self.connection = connection
        machine = HTTP2StreamStateMachine(
            isHead: exchange.request.kind == .head, maximumInformational: connection.options.maximumInformational
        )
        deadlines = ExchangeDeadlines(attempt: exchange.deadline, bodyIdle: exchange.timeouts.bodyIdle)
    }

    /// Its HEADERS have been written.
    func opened(as id: Int) {
        self.id = id
        exchange.streamID = id
        machine.wrote()
    }

    /// The exchange has no more to do with the connection.
    func leave() {
        deadlines.began(.none)
        stopUpload()
        // Once a response has begun no attempt sends the body again: its sequence is released.
        if response.hasHead { exchange.request.abandonBody(after: response.status) }
    }

    // MARK: The upload's pending write

    var isWaitingForRoom: Bool { writer != nil }

    /// The upload waits until there is room.
    func waitForRoom(_ writer: CheckedContinuation<Void, any Error>) {
        self.writer = writer
        enterBodyWrite()
    }

    /// There is room: the upload goes on.
    func resumeUpload() {
        guard isWaitingForRoom else { return }
        if deadlines.phase == .bodyWrite { enter(.none, within: nil) }
        resumeWriter()
    }

    /// Nothing more is to be written.
    func stopUpload() {
        machine.requestStopped()
        sending.drop()
        exchange.upload?.stop()
        resumeWriter(throwing: UploadStopped())
    }

    private func resumeWriter(throwing error: UploadStopped? = nil) {
        guard let writer else { return }
        self.writer = nil
        if let error { writer.resume(throwing: error) } else { writer.resume() }
    }
}

extension HTTP2Stream: DeadlineEntry {
    var deadline: MonotonicInstant { deadlines.instant(hasHead: machine.hasHead) }

    /// The exchange begins a phase that may take so long; nil: any time.
    func enter(_ phase: ExchangeDeadlines.Phase, within limit: Duration?, from start: MonotonicInstant? = nil) {
        guard let limit else {
            deadlines.began(phase)
            return
        }
        deadlines.began(phase, until: (start ?? connection.sweep.now).advanced(by: limit))
        connection.sweep.deadlineMovedEarlier(deadlines.phaseInstant)
    }

    func enterBodyWrite() {
        sending.forgetProgress()
        guard !machine.hasHead || machine.isResponseDone else { return }
        enter(.bodyWrite, within: deadlines.bodyIdle)
    }

    /// A body made progress while a response is being read.
    func extendBodyRead(from instant: MonotonicInstant) {
        deadlines.bodyProgressed(at: instant)
    }

    func deadlinePassed(now: MonotonicInstant) {
        let asksForProgress = deadlines.asksForProgress(
            now: now, isRequestDone: machine.isRequestDone, isReaderBehind: isPaused)
        let facts = ExchangeDeadlines.Facts(
            hasHead: machine.hasHead, isRequestDone: machine.isRequestDone, isReaderBehind: isPaused,
            hasUploadProgress: asksForProgress && hasUploadProgress, hasBeenWritten: machine.hasBeenWritten,
            askedAt: response.arrival.sent ?? exchange.lease.leased)
        switch deadlines.passed(now: now, facts) {
        case .nothing, .stopDiscarding: break
        case .extended:
            sending.forgetProgress()
            connection.sweep.deadlineMovedEarlier(deadlines.phaseInstant)
        case .openUpload: openUpload()
        case .failed(let code, let message, let silentSince):
            connection.timedOut(self, code, message, silentSince: silentSince)
        }
    }

    /// Whether the network has taken a part of this body since the phase began that ends now, or of what stands before it in the
    /// channel.
    private var hasUploadProgress: Bool {
        if sending.hasProgress { return true }
        guard sending.bytesInChannel > 0 || waitsForChannel else { return false }
        return connection.hasNetworkMoved(since: deadlines.idleSince)
    }

    /// Whether it has something to send that the peer's windows allow.
    private var waitsForChannel: Bool {
        isQueued && (sending.byteCount == 0 || connection.sendable(on: self) > 0)
    }
}
