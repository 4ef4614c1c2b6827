internal import BowlineCore

/// The deadlines of one exchange: the deadline of its attempt, and the deadline of its current phase.
///
/// | phase | its deadline passes when | then |
/// |---|---|---|
/// | none | never | – |
/// | awaitingContinue | the peer has not answered `Expect: 100-continue` | the body is sent |
/// | bodyWrite | the kernel has accepted nothing of the request | `bodyIdleTimeout`; extended if the kernel has accepted some |
/// | head | no head has come | `responseHeadTimeout` |
/// | bodyRead | no byte of the body has come | `bodyIdleTimeout`; extended if the kernel has accepted some of an upload |
/// | discarding | the rest of an unwanted body has not come | discarding stops |
///
/// If both have passed, the attempt's deadline decides. In `bodyRead` the phase's deadline does not apply while reading
/// is paused for a slow reader: the peer is not responsible for time in which we do not read.
///
/// Each time ``phaseInstant`` moves earlier, the driver reports it to ``DeadlineSweep``, which has the timer.
struct ExchangeDeadlines {
    enum Phase: Hashable {
        case none
        /// The request waits for the peer's answer to `Expect: 100-continue`. If none comes in time, the body is sent
        /// anyway.
        case awaitingContinue
        case bodyWrite
        case head
        case bodyRead
        case discarding
    }

    /// The facts that the driver collects when a deadline may have passed.
    struct Facts {
        /// Whether the head of the response has arrived.
        var hasHead: Bool
        /// Whether the request was written whole, or its rest is not sent.
        var isRequestDone: Bool
        /// Whether reading has stopped because the reader is behind.
        var isReaderBehind: Bool
        /// Whether the kernel has accepted some of the request since the driver last looked. Valid only if
        /// ``asksForProgress(now:isRequestDone:isReaderBehind:)`` has returned true.
        var hasUploadProgress: Bool
        /// Whether the connection has written the head of the request.
        var hasBeenWritten: Bool
        /// When the wait for the head began: when the whole request was written, or when the connection was leased if
        /// the request is not written yet.
        var askedAt: MonotonicInstant
    }

    /// The action that the driver must take after a deadline has passed.
    enum Consequence: Equatable {
        /// No deadline has passed, or the deadline that has passed does not matter any more.
        case nothing
        /// The request makes progress: the phase begins again, and so does the driver's measure of progress.
        case extended
        /// The peer has not answered `Expect: 100-continue`: the upload opens.
        case openUpload
        /// The exchange fails. `silentSince`: the instant from which the peer should have sent something; nil: not
        /// known.
        case failed(ServiceError.Code, String, silentSince: MonotonicInstant?)
        /// The rest of an unwanted body has not come in time.
        case stopDiscarding
    }

    private(set) var phase = Phase.none
    /// The deadline of the phase; `distantFuture`: none.
    private(set) var phaseInstant = MonotonicInstant.distantFuture
    private let attempt: AttemptDeadline
    /// `timeouts.bodyIdle`.
    let bodyIdle: Duration?

    /// Makes the deadlines of a connection without an exchange: none of them ever passes.
    init() {
        self.init(
            attempt: AttemptDeadline(deadline: nil, limit: nil, started: MonotonicInstant(nanoseconds: 0)),
            bodyIdle: nil)
    }

    init(attempt: AttemptDeadline, bodyIdle: Duration?) {
        self.attempt = attempt
        self.bodyIdle = bodyIdle
    }

    /// Returns the earlier of the attempt's deadline and the phase's deadline.
    func instant(hasHead: Bool) -> MonotonicInstant { min(phaseInstant, attempt.instant(hasHead: hasHead)) }

    /// Begins a phase that must be over by `instant`.
    mutating func began(_ phase: Phase, until instant: MonotonicInstant = .distantFuture) {
        self.phase = phase
        phaseInstant = instant
    }

    /// Moves the deadline of `bodyRead`: bytes of the response's body have arrived, or the kernel has accepted some of
    /// the request while the response is being read. The upload counts because a peer that answers before it has the
    /// whole request may wait for the rest.
    mutating func bodyProgressed(at instant: MonotonicInstant) {
        guard phase == .bodyRead, let bodyIdle else { return }
        phaseInstant = instant.advanced(by: bodyIdle)
    }

    /// The instant since which no byte of a body has moved. Valid when the deadline of a body's phase passes.
    var idleSince: MonotonicInstant { phaseInstant.advanced(by: .zero - (bodyIdle ?? .zero)) }

    /// Returns whether ``passed(now:_:)`` needs ``Facts/hasUploadProgress``. The driver asks first, because it must
    /// look at the channel to find that out, and each look begins a new measurement.
    func asksForProgress(now: MonotonicInstant, isRequestDone: Bool, isReaderBehind: Bool) -> Bool {
        guard phaseInstant <= now else { return false }
        return switch phase {
        case .bodyWrite: true
        case .bodyRead: !isReaderBehind && !isRequestDone
        case .none, .awaitingContinue, .head, .discarding: false
        }
    }

    /// Decides what to do about deadlines that may have passed.
    mutating func passed(now: MonotonicInstant, _ facts: Facts) -> Consequence {
        let hasHead = facts.hasHead
        if attempt.instant(hasHead: hasHead) <= now {
            return .failed(
                attempt.code(hasHead: hasHead), attempt.message(hasHead: hasHead),
                silentSince: hasHead ? nil : facts.askedAt)
        }
        guard phaseInstant <= now else { return .nothing }
        switch phase {
        case .none:
            phaseInstant = .distantFuture
            return .nothing
        case .awaitingContinue:
            began(.none)
            return .openUpload
        case .head:
            let message = facts.hasBeenWritten ? TimeLimitMessage.responseHead : Self.requestNotTaken
            return .failed(.responseHeadTimeout, message, silentSince: facts.askedAt)
        case .bodyWrite: return bodyIdled(now: now, hasMoved: facts.hasUploadProgress, Self.bodyNotTaken)
        case .bodyRead where facts.isReaderBehind:
            phaseInstant = .distantFuture
            return .nothing
        case .bodyRead:
            // While the kernel accepts one very large chunk, no other event reports progress.
            let hasMoved = !facts.isRequestDone && facts.hasUploadProgress
            return bodyIdled(now: now, hasMoved: hasMoved, TimeLimitMessage.responseBody)
        case .discarding: return .stopDiscarding
        }
    }

    private mutating func bodyIdled(now: MonotonicInstant, hasMoved: Bool, _ message: String) -> Consequence {
        guard hasMoved else { return .failed(.bodyIdleTimeout, message, silentSince: idleSince) }
        began(phase, until: bodyIdle.map { now.advanced(by: $0) } ?? .distantFuture)
        return .extended
    }

    private static let bodyNotTaken = "the peer took no byte of the request body for timeouts.bodyIdle"
    private static let requestNotTaken = "the connection took no byte of the request within timeouts.responseHead"
}
