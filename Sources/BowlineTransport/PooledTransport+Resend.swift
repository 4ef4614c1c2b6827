internal import BowlineCore

/// Decides whether the transport resends a request by itself (RFC 9110 §9.2.2): at most once, on a new connection.
///
/// A request that a used-up connection refused is an exception: under load the next connection can be used up before the
/// request's turn comes. Each such connection has served other requests, so the request is resent up to ``refusalLimit`` times.
struct ResendPolicy {
    private static let refusalLimit = 100

    /// How often the request was sent again.
    private(set) var count = 0

    /// How often a connection turned out to take no more requests when this one came to it: one that had carried others,
    /// and one that had not.
    private var declines = (used: 0, new: 0)

    /// How far the sending had got that was done again.
    private var earlierProgress = RequestProgress.neverSent

    /// The next connection must be newly dialled: its siblings may be as dead as the one that failed. Not so where the
    /// peer has refused the request: that connection is well, or gets no more requests.
    var requiresFresh: Bool { count > 0 && earlierProgress != .refused }

    /// Returns whether the transport may send again after `outcome`, and counts the resend: one, or more where connections were
    /// used up.
    ///
    /// - Parameter wasPooled: The connection had been waiting in the pool, so it may have died there unnoticed.
    mutating func claimResend(of request: PreparedRequest, after outcome: TransportOutcome, wasPooled: Bool) -> Bool {
        guard request.isReplayable else { return false }
        if case .declined(let hasCarriedOthers) = outcome.connection {
            // Nothing was sent, so nothing is sent again: only another connection is asked for.
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
        // Timeouts, violations and failures of the body itself are answers, not dead connections.
        guard isSafe, outcome.code == .connectionClosed else { return false }
        count += 1
        earlierProgress = outcome.progress
        return true
    }

    /// `error` as the end of the whole attempt: once ambiguous, its progress stays so, however early the resend failed.
    func withEarlierProgress(_ error: ServiceError) -> ServiceError {
        guard earlierProgress == .ambiguous, error.progress == .neverSent || error.progress == .refused else {
            return error
        }
        var error = error
        error.progress = .ambiguous
        return error
    }
}

/// What the failure of one exchange says about the other connections to its origin.
enum SiblingSuspicion: Sendable, Equatable {
    case none
    /// The connection had died while it lay in the pool: those that were unused as long probably have, too.
    case dead
    /// No byte came in time: the path to the peer may be gone, for each connection that has been silent as long.
    case silent

    /// A deadline that left the exchange less time than this is ignored: a peer may need that long.
    private static let shortestSilence = Duration.milliseconds(100)

    /// Whether the end of that limit says nothing about the peer, because the exchange had so little time.
    static func isTooShort(_ waited: Duration, for code: ServiceError.Code) -> Bool {
        (code == .deadlineExceeded || code == .attemptTimeout) && waited < shortestSilence
    }

    init(_ exchange: Exchange, after outcome: TransportOutcome, waited: Duration) {
        self.init(
            outcome, wasPooled: exchange.wasPooled, isMultiplexed: exchange.connection.isMultiplexed, waited: waited)
    }

    /// - Parameter waited: How long the exchange had its connection.
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
    /// The error of a request whose deadline had passed before it got a connection.
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

    /// Says in our terms why the pool gave no connection.
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
