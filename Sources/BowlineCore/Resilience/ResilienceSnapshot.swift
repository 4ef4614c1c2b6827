/// The gates of a client at one moment, from `client.resilience.snapshot()`.
public struct ResilienceSnapshot: Sendable {
    /// The scopes that the client knows, sorted by name. A client keeps at most 1,024 scopes that are not in use. It
    /// forgets a scope that has not been used for some time.
    public let scopes: [ScopeSnapshot]

    package init(scopes: [ScopeSnapshot]) {
        self.scopes = scopes
    }

    /// Attempts of all scopes that the gates have admitted and that have not ended.
    public var inFlight: Int { scopes.reduce(0) { $0 + $1.inFlight } }
    /// Attempts of all scopes that wait for a gate.
    public var waiting: Int { scopes.reduce(0) { $0 + $1.waiting } }

    /// Returns the gates of a scope; nil: the client does not know it.
    public func scope(_ scope: PolicyScope) -> ScopeSnapshot? { scopes.first { $0.scope == scope } }
}

/// The gates of one scope at one moment.
public struct ScopeSnapshot: Sendable {
    /// The scope.
    public let scope: PolicyScope
    /// Attempts that the gates have admitted and that have not ended. An attempt ends when its response head has arrived
    /// or it has failed.
    public let inFlight: Int
    /// Attempts that wait for a gate.
    public let waiting: Int
    /// Attempts admitted since the client came to know the scope.
    public let admitted: Int
    /// Attempts refused since then.
    public let refused: Int
    /// The rate gate.
    public let rate: RateSnapshot
    /// The limit of concurrency; nil: no attempt to the scope has had one.
    public let concurrency: ConcurrencySnapshot?
    /// The circuit breaker.
    public let breaker: BreakerSnapshot

    package init(
        scope: PolicyScope, inFlight: Int, waiting: Int, admitted: Int, refused: Int, rate: RateSnapshot,
        concurrency: ConcurrencySnapshot?, breaker: BreakerSnapshot
    ) {
        self.scope = scope
        self.inFlight = inFlight
        self.waiting = waiting
        self.admitted = admitted
        self.refused = refused
        self.rate = rate
        self.concurrency = concurrency
        self.breaker = breaker
    }
}

/// The rate gate of one scope at one moment.
public struct RateSnapshot: Sendable, Hashable {
    /// For how long the gate stays closed, because the service has asked for a pause; nil: it is not closed.
    public let closedFor: Duration?
    /// The attempts per second that the rest of the service's quota allows (`RateLimit`); nil: the quota does not slow
    /// the gate.
    public let quotaPerSecond: Double?
    /// Whether the store of tokens fails, so that a bucket in this process replaces it.
    public let isStoreAway: Bool

    package init(closedFor: Duration?, quotaPerSecond: Double?, isStoreAway: Bool) {
        self.closedFor = closedFor
        self.quotaPerSecond = quotaPerSecond
        self.isStoreAway = isStoreAway
    }
}

/// The limit of concurrency of one scope at one moment.
public struct ConcurrencySnapshot: Sendable, Hashable {
    /// How many attempts may be in flight.
    public let limit: Int
    /// Attempts that are in flight and count for the limit.
    public let inFlight: Int
    /// Attempts that wait for the limit.
    public let waiting: Int

    package init(limit: Int, inFlight: Int, waiting: Int) {
        self.limit = limit
        self.inFlight = inFlight
        self.waiting = waiting
    }
}

/// The circuit breaker of one scope at one moment.
public struct BreakerSnapshot: Sendable, Hashable {
    /// Its state.
    public let state: BreakerState
    /// The time until the first probe may be sent; nil: the breaker is not open, or until `reset`.
    public let openFor: Duration?

    package init(state: BreakerState, openFor: Duration?) {
        self.state = state
        self.openFor = openFor
    }
}
