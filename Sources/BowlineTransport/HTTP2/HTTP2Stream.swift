internal import BowlineCore
internal import NIOCore

/// One exchange on an HTTP/2 connection: the part of its response that has arrived, and the part of its body that is
/// not sent yet.
///
/// Touched on the connection's event loop only.
// Properties that every request touches are not checked for overlapping accesses
// (Docs/Decisions/unchecked-exclusivity.md). So code that changes one of them in place calls no other code during the
// change.
final class HTTP2Stream: HTTP2UploadStream {
    /// The stream's number (RFC 9113 §5.1.1). 0: the stream waits to be opened, and the peer does not know it.
    private(set) var id = 0
    let exchange: Exchange
    /// The connection owns this stream, so the connection exists while the stream does.
    unowned let connection: HTTP2Connection
    @exclusivity(unchecked) var machine: HTTP2StreamStateMachine
    @exclusivity(unchecked) var response = ResponseAssembly()
    @exclusivity(unchecked) var sending = HTTP2SendQueue()
    @exclusivity(unchecked) private(set) var deadlines: ExchangeDeadlines
    /// Whether the connection's table has the stream. See ``HTTP2TableStream``.
    var isOpen = true
    /// Whether the stream is queued to send something. See ``HTTP2BodySender``.
    var isQueued = false
    /// Whether the reader is behind, so that the peer gets no more window for now.
    var isPaused = false
    /// The upload's pending write. It resumes when there is room for more.
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

    /// Records that the stream's HEADERS have been written under this number.
    func opened(as id: Int) {
        self.id = id
        exchange.streamID = id
        machine.wrote()
    }

    /// Ends the deadlines and the upload, because the exchange leaves the connection.
    func leave() {
        deadlines.began(.none)
        stopUpload()
        // After a response has begun, no attempt sends the body again. So its sequence is released.
        if response.hasHead { exchange.request.abandonBody(after: response.status) }
    }

    // MARK: The upload's pending write

    var isWaitingForRoom: Bool { writer != nil }

    /// Keeps the upload's write pending until there is room.
    func waitForRoom(_ writer: CheckedContinuation<Void, any Error>) {
        self.writer = writer
        enterBodyWrite()
    }

    /// Resumes the upload's pending write, because there is room.
    func resumeUpload() {
        guard isWaitingForRoom else { return }
        if deadlines.phase == .bodyWrite { enter(.none, within: nil) }
        resumeWriter()
    }

    /// Stops the upload: nothing more of the request is written.
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

    /// Begins a phase of the exchange, which may take `limit`. nil: no limit.
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

    /// Extends the deadline for the response's body, because a body made progress while the response is read.
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

    /// Whether the kernel has accepted bytes since the current phase began. Bytes of this body count, and bytes that
    /// are before it in the channel.
    private var hasUploadProgress: Bool {
        if sending.hasProgress { return true }
        guard sending.bytesInChannel > 0 || waitsForChannel else { return false }
        return connection.hasKernelAccepted(since: deadlines.idleSince)
    }

    /// Whether the stream has something to send that the peer's windows allow.
    private var waitsForChannel: Bool {
        isQueued && (sending.byteCount == 0 || connection.sendable(on: self) > 0)
    }
}
