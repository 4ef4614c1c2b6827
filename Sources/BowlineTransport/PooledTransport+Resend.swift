internal import BowlineCore

/// Decides whether the transport itself resends a request (RFC 9110 §9.2.2): at most once.
///
/// There is one exception: a request that the peer refused because the connection was used up. A connection is used up
/// if it has carried other requests and the peer then ended it with GOAWAY and `NO_ERROR`. Under load, the next
/// connection can be used up too before it gets the request. So such a request is resent up to ``refusalLimit`` times.
/// The peer works, because each of these connections has carried other requests.
struct ResendPolicy {
    private static let refusalLimit = 100

    /// How many times the request has been resent.
    private(set) var count = 0

    /// How many connections took no more requests when this request arrived: connections that had carried other
    /// requests, and connections that had not.
    private var declines = (used: 0, new: 0)

    /// Whether the request has had a connection: one that took no more requests, or one on which it was sent.
    var hasTried: Bool { count > 0 || declines != (0, 0) }

    /// The progress of the last send that was repeated.
    private var earlierProgress = RequestProgress.neverSent

    /// Whether the next connection must be newly dialled, because the other connections may be as dead as the failed
    /// one. Not needed after the peer has refused the request: the refusing connection works, or gets no more requests.
    var requiresFresh: Bool { count > 0 && earlierProgress != .refused }

    /// Returns whether the transport may send again after `outcome`, and counts the resend. One resend is allowed, or
    /// more if the peer refused the request on used-up connections.
    ///
    /// - Parameter wasPooled: Whether the connection had been idle in the pool, so that it may have died there
    ///   unnoticed.
    mutating func claimResend(of request: PreparedRequest, after outcome: TransportOutcome, wasPooled: Bool) -> Bool {
        guard request.isReplayable else { return false }
        if case .declined(let hasCarriedOthers) = outcome.connection {
            // Nothing was sent, so this is no resend: the request only needs another connection.
            if hasCarriedOthers {
                declines.used += 1
                return declines.used <= Self.refusalLimit
            }
            declines.new += 1
            return declines.new <= 1
        }
        guard request.allowsResend else { return false }
        let isSafe =
            switch outcome.progress {
            case .neverSent: wasPooled
            case .refused: true
            case .ambiguous: wasPooled && request.isIdempotent
            case .responseStarted: false
            }
        let isUsedUp = outcome.connection == .goneAway(isUsedUp: true) && outcome.progress == .refused
        guard count == 0 || isUsedUp && earlierProgress == .refused && count < Self.refusalLimit else { return false }
        // A timeout, a protocol violation or a failure of the body is a result, not the sign of a dead connection.
        guard isSafe, outcome.code == .connectionClosed else { return false }
        count += 1
        earlierProgress = outcome.progress
        return true
    }

    /// Returns `error` as the error of the whole attempt. After an ambiguous first send, the progress stays ambiguous,
    /// even if the resend failed before it sent anything.
    func withEarlierProgress(_ error: ServiceError) -> ServiceError {
        guard earlierProgress == .ambiguous, error.progress == .neverSent || error.progress == .refused else {
            return error
        }
        var error = error
        error.progress = .ambiguous
        return error
    }
}

/// The suspicion about the other connections to an origin that follows from the failure of one exchange.
enum SiblingSuspicion: Sendable, Equatable {
    case none
    /// The connection had died while it was idle. Connections that have been idle as long are probably dead too.
    case dead
    /// No byte arrived in time. The path to the peer may be gone, for all connections that have been silent as long.
    case silent

    /// If a limit left the exchange less time than this, the end of the limit says nothing about the peer: a healthy
    /// peer may need that long.
    private static let shortestSilence = Duration.milliseconds(100)

    /// Whether the end of this time limit says nothing about the peer, because the exchange had too little time.
    static func isTooShort(_ waited: Duration, for code: ServiceError.Code) -> Bool {
        (code == .deadlineExceeded || code == .attemptTimeout) && waited < shortestSilence
    }

    init(_ exchange: Exchange, after outcome: TransportOutcome, waited: Duration) {
        self.init(
            outcome, wasPooled: exchange.wasPooled, isMultiplexed: exchange.connection.isMultiplexed, waited: waited)
    }

    /// - Parameter waited: For how long the exchange had its connection.
    init(_ outcome: TransportOutcome, wasPooled: Bool, isMultiplexed: Bool, waited: Duration) {
        guard outcome.progress == .neverSent || outcome.progress == .ambiguous, wasPooled || isMultiplexed,
            !outcome.isDeclined
        else {
            self = .none
            return
        }
        switch outcome.code {
        case .connectionClosed: self = wasPooled ? .dead : .none
        case .responseHeadTimeout, .bodyIdleTimeout: self = .silent
        case .attemptTimeout, .deadlineExceeded: self = Self.isTooShort(waited, for: outcome.code) ? .none : .silent
        default: self = .none
        }
    }
}

extension AttemptDeadline {
    /// Returns the error of a request whose deadline passed before it got a connection.
    func passed(_ request: PreparedRequest, now: MonotonicInstant) -> ServiceError {
        ServiceError(code, message(hasHead: false), request: request, now: now)
    }
}

extension ServiceError {
    fileprivate init(
        _ code: Code, _ message: String, underlying: (any Error)? = nil, request: PreparedRequest, now: MonotonicInstant
    ) {
        self.init(
            code, message, underlying: underlying, attempts: request.context.attempt,
            origin: request.origin.description,
            phase: request.context.call.phase
        )
        elapsed = request.deadline.started.duration(to: now)
    }

    /// Describes in the client's own terms why the pool gave no connection.
    init(_ error: PoolError, request: PreparedRequest, now: MonotonicInstant) {
        func make(_ code: Code, _ message: String, _ underlying: (any Error)? = nil) -> ServiceError {
            ServiceError(code, message, underlying: underlying, request: request, now: now)
        }
        let deadline = request.deadline
        let context = request.context
        switch error {
        case .saturated(let waiting):
            self = make(.poolSaturated, "\(waiting) requests wait for a connection already (pool.maximumWaiting)")
        case .acquireTimeout(let lastDialError, _, let waiting):
            self = make(
                .poolAcquireTimeout,
                "no connection within timeouts.poolAcquire; \(waiting) more requests are waiting", lastDialError
            )
        case .deadlineExceeded(let lastDialError):
            self = make(
                deadline.code, deadline.message(hasHead: false) + " while waiting for a connection", lastDialError)
        case .dialFailed(let error):
            guard var failure = error as? ServiceError else {
                self = make(.connectFailed, "the connection could not be established", error)
                return
            }
            failure.attempts = context.attempt
            failure.elapsed = deadline.started.duration(to: now)
            self = failure
        case .draining:
            self = make(.shuttingDown, "the client is shutting down")
        case .closed:
            self = make(
                .forciblyClosed,
                "cut off by a shutdown's deadline in phase \(context.call.phase), attempt \(context.attempt)"
            )
        }
    }
}
