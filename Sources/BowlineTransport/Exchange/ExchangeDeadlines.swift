internal import BowlineCore

/// The deadlines of one exchange: its attempt's, and that of the phase that it is in.
///
/// | phase | its deadline passes when | then |
/// |---|---|---|
/// | none | never | – |
/// | awaitingContinue | the peer has not answered `Expect: 100-continue` | the upload opens |
/// | bodyWrite | the network has taken nothing of the request | `bodyIdleTimeout`; extended if the network has taken some |
/// | head | no head has come | `responseHeadTimeout` |
/// | bodyRead | no byte of the body has come | `bodyIdleTimeout`; extended if an upload goes on and moves |
/// | discarding | the rest of an unwanted body has not come | discarding stops |
///
/// The attempt's deadline comes before that of a phase. In `bodyRead` no deadline counts while the reader is behind: time in which we
/// do not read is not the peer's.
///
/// The driver gives ``phaseInstant`` to the sweep whenever it moves earlier.
struct ExchangeDeadlines {
    enum Phase: Hashable {
        case none
        /// The peer may still say that it wants the body. After that it gets the body anyway.
        case awaitingContinue
        case bodyWrite
        case head
        case bodyRead
        case discarding
    }

    /// What the driver knows when a deadline has passed.
    struct Facts {
        /// The head of the response has come.
        var hasHead: Bool
        /// The request was written whole, or its rest is not sent.
        var isRequestDone: Bool
        /// Reading has stopped because the reader is behind.
        var isReaderBehind: Bool
        /// The network has taken some of the request since this was last asked: see ``asksForProgress(now:isRequestDone:isReaderBehind:)``.
        var hasUploadProgress: Bool
        /// The connection was given the head of the request.
        var hasBeenWritten: Bool
        /// When the peer was asked for a head: when the request was written, or the connection was leased.
        var askedAt: MonotonicInstant
    }

    /// What follows from a deadline that has passed.
    enum Consequence: Equatable {
        /// None has passed, or it does not matter any more.
        case nothing
        /// The request moves: the phase has begun anew, and so does the driver's measure of progress.
        case extended
        /// The peer has said nothing about `Expect: 100-continue`.
        case openUpload
        /// The exchange fails. `silentSince`: since when the peer should have sent something; nil: that is not known.
        case failed(ServiceError.Code, String, silentSince: MonotonicInstant?)
        /// What is left of an unwanted body has not come in time.
        case stopDiscarding
    }

    private(set) var phase = Phase.none
    /// When the phase has to be over; `distantFuture`: at any time.
    private(set) var phaseInstant = MonotonicInstant.distantFuture
    private let attempt: AttemptDeadline
    /// `timeouts.bodyIdle`.
    let bodyIdle: Duration?

    /// The deadlines of no exchange: none passes.
    init() {
        self.init(
            attempt: AttemptDeadline(deadline: nil, limit: nil, started: MonotonicInstant(nanoseconds: 0)),
            bodyIdle: nil)
    }

    init(attempt: AttemptDeadline, bodyIdle: Duration?) {
        self.attempt = attempt
        self.bodyIdle = bodyIdle
    }

    /// The earlier of the deadlines of the attempt and of the phase.
    func instant(hasHead: Bool) -> MonotonicInstant { min(phaseInstant, attempt.instant(hasHead: hasHead)) }

    /// The exchange has begun a phase that has to be over by `instant`.
    mutating func began(_ phase: Phase, until instant: MonotonicInstant = .distantFuture) {
        self.phase = phase
        phaseInstant = instant
    }

    /// Bytes of the response's body have come, or the network has taken some of the request while a response is being read. A peer that
    /// answers before it has all of the request may wait for the rest.
    mutating func bodyProgressed(at instant: MonotonicInstant) {
        guard phase == .bodyRead, let bodyIdle else { return }
        phaseInstant = instant.advanced(by: bodyIdle)
    }

    /// Since when no byte of a body has moved, if the phase is one of a body and its deadline passes now.
    var idleSince: MonotonicInstant { phaseInstant.advanced(by: .zero - (bodyIdle ?? .zero)) }

    /// Whether ``passed(now:_:)`` looks at ``Facts/hasUploadProgress``. Finding it out costs a look at the channel, and asking twice
    /// changes the answer.
    func asksForProgress(now: MonotonicInstant, isRequestDone: Bool, isReaderBehind: Bool) -> Bool {
        guard phaseInstant <= now else { return false }
        return switch phase {
        case .bodyWrite: true
        case .bodyRead: !isReaderBehind && !isRequestDone
        case .none, .awaitingContinue, .head, .discarding: false
        }
    }

    /// A deadline may have passed.
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
            // The network takes a chunk so large that nothing else tells of it.
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
