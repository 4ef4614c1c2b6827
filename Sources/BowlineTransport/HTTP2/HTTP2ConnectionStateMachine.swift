internal import BowlineCore

/// Decides whether an HTTP/2 connection opens streams, when its GOAWAY is due, and when it closes.
///
/// | event | open | retired | closed |
/// |---|---|---|---|
/// | `retire` | retired: the driver informs the pool | – | – |
/// | `streamRefused` | counted; the second one asks for `retire` | counted | counted |
/// | `poolReleased` | closes when it is idle | closes when it is idle | – |
/// | `close` | closed | closed | – |
///
/// Our GOAWAY is due once: when the request of each lease that the pool has granted has reached the connection, or the
/// lease was returned unused, and no request waits to be written. A peer that has received GOAWAY may ignore every
/// later stream. After our GOAWAY the connection opens no stream, retired or not.
struct HTTP2ConnectionStateMachine: ~Copyable {
    private enum State {
        case open
        case retired
        case closed(CloseReason)
    }

    /// How many refused streams retire a connection. A single refusal may be an accident.
    private static let refusalLimit = 2

    private var state = State.open
    private(set) var hasSentGoAway = false
    private var refusedStreams = 0
    /// How many leases have reached the connection as a request, or were returned unused.
    private var leases = 0
    /// How many leases the pool has granted in all. nil: the pool still grants leases.
    private var lastLease: Int?
    /// Whether a request has begun since listeners were last called for an idle connection.
    private var isLeased = false
    /// Whether the pool is gone, so that no request leases the connection again.
    private var isUnwanted = false

    var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    /// The reason why the connection is closed. nil: it is not closed.
    var closeReason: CloseReason? {
        if case .closed(let reason) = state { reason } else { nil }
    }

    /// Whether the connection has retired itself: it opens no more streams, and is not closed.
    var isRetired: Bool {
        if case .retired = state { true } else { false }
    }

    /// Whether the connection opens streams.
    var opensStreams: Bool {
        if case .open = state { !hasSentGoAway } else { false }
    }

    /// Whether the connection closes as soon as it carries no request.
    var closesWhenIdle: Bool { isUnwanted && !isClosed }

    // MARK: Leases

    /// Counts a lease whose request has reached the connection, or that was returned unused.
    mutating func leaseArrived() {
        leases += 1
    }

    /// Sets how many leases the pool grants in all.
    mutating func limitLeases(to count: Int) {
        lastLease = count
    }

    /// Returns whether our GOAWAY is due now. If it is, it counts as sent.
    ///
    /// - Parameter hasHeldRequests: Whether requests wait to be written.
    mutating func takeGoAway(hasHeldRequests: Bool) -> Bool {
        guard let lastLease, leases >= lastLease, !hasHeldRequests, !hasSentGoAway, !isClosed else { return false }
        hasSentGoAway = true
        return true
    }

    /// Records that a request has begun.
    mutating func requestBegan() {
        isLeased = true
    }

    /// Records that the connection carries no request. Returns whether to call listeners now.
    mutating func becameIdle() -> Bool {
        defer { isLeased = false }
        return isLeased
    }

    /// Records that the pool is gone.
    mutating func poolReleased() {
        isUnwanted = true
    }

    // MARK: The end

    /// Retires the connection: it opens no more streams. Returns whether to inform the pool.
    mutating func retire() -> Bool {
        guard case .open = state else { return false }
        state = .retired
        return true
    }

    /// Counts a stream that the peer has refused. Returns whether to retire the connection, because the peer will
    /// refuse the next streams as well.
    mutating func streamRefused() -> Bool {
        refusedStreams += 1
        return refusedStreams >= Self.refusalLimit
    }

    /// Closes the connection. Returns false if it was closed before.
    mutating func close(_ reason: CloseReason) -> Bool {
        guard !isClosed else { return false }
        state = .closed(reason)
        return true
    }
}
