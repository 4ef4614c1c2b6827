internal import BowlineCore

/// Whether an HTTP/2 connection opens streams, when its GOAWAY is due, and when it closes.
///
/// | event | open | retired | closed |
/// |---|---|---|---|
/// | `retire` | retired: the pool is told | – | – |
/// | `streamRefused` | counted; retire at the second | counted | counted |
/// | `poolReleased` | closes when it is idle | closes when it is idle | – |
/// | `close` | closed | closed | – |
///
/// Our GOAWAY is due once, when the last lease that the pool has granted has come here and nothing waits to be written: a peer
/// that is told of the end may look at nothing that comes after it. It opens no stream after that, retired or not.
struct HTTP2ConnectionStateMachine: ~Copyable {
    private enum State {
        case open
        case retired
        case closed(CloseReason)
    }

    /// How many refused streams end a connection: the second shows that the first was no accident.
    private static let refusalLimit = 2

    private var state = State.open
    private(set) var hasSentGoAway = false
    private var refusedStreams = 0
    /// How many leases have come here.
    private var leases = 0
    /// How many come in all, once the pool grants no more.
    private var lastLease: Int?
    /// Whether requests have come, and listeners were not told of the last one's end.
    private var isLeased = false
    /// No pool leases it again.
    private var isUnwanted = false

    var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    /// Why it is closed, if it is.
    var closeReason: CloseReason? {
        if case .closed(let reason) = state { reason } else { nil }
    }

    /// Whether it opens no stream any more, for a reason of its own.
    var isRetired: Bool {
        if case .retired = state { true } else { false }
    }

    /// Whether it opens streams.
    var opensStreams: Bool {
        if case .open = state { !hasSentGoAway } else { false }
    }

    /// Whether it closes as soon as it carries nothing.
    var closesWhenIdle: Bool { isUnwanted && !isClosed }

    // MARK: Leases

    /// A lease has come here, and was used or given back.
    mutating func leaseArrived() {
        leases += 1
    }

    /// Sets how many leases the pool grants in all.
    mutating func limitLeases(to count: Int) {
        lastLease = count
    }

    /// Whether our GOAWAY is due now. It counts as sent then.
    ///
    /// - Parameter hasHeldRequests: Whether requests wait to be written.
    mutating func takeGoAway(hasHeldRequests: Bool) -> Bool {
        guard let lastLease, leases >= lastLease, !hasHeldRequests, !hasSentGoAway, !isClosed else { return false }
        hasSentGoAway = true
        return true
    }

    /// A request is taken.
    mutating func requestBegan() {
        isLeased = true
    }

    /// The connection carries nothing. Whether listeners are to be told of it.
    mutating func becameIdle() -> Bool {
        defer { isLeased = false }
        return isLeased
    }

    /// The pool is gone.
    mutating func poolReleased() {
        isUnwanted = true
    }

    // MARK: The end

    /// It opens no stream any more. Whether the pool is to be told.
    mutating func retire() -> Bool {
        guard case .open = state else { return false }
        state = .retired
        return true
    }

    /// The peer has refused a stream. Whether that is the end: it will refuse the next ones as well.
    mutating func streamRefused() -> Bool {
        refusedStreams += 1
        return refusedStreams >= Self.refusalLimit
    }

    /// Closes the connection. False: it is closed.
    mutating func close(_ reason: CloseReason) -> Bool {
        guard !isClosed else { return false }
        state = .closed(reason)
        return true
    }
}
