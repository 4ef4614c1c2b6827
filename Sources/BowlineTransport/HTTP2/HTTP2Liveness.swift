internal import BowlineCore

/// Whether the peer is there: when bytes last came, whether the connection is doubted, and when a PING goes out.
///
/// A connection is *doubted* once a request on it has run out of time without a byte from the peer, or the pool has asked. The
/// pool leases a doubted connection to no request. Only the answer to a PING ends the doubt: other bytes do not show that ours
/// arrive. ``HTTP2KeepAlive`` decides when a PING goes out, and when its answer is overdue.
///
/// | event | trusted | doubted |
/// |---|---|---|
/// | `timedOut`, no byte since the request waits | doubted | doubted, and the pool is told again |
/// | `timedOut`, bytes came since, or it waited too shortly | – | – |
/// | `probed` | doubted | doubted |
/// | `answered`, our PING | answered | trusted |
/// | `answered`, another number | – | – |
struct HTTP2Liveness {
    private var keepAlive: HTTP2KeepAlive
    /// Whether the peer has to answer a PING before the connection gets new requests.
    private(set) var isDoubted = false
    /// When bytes last came.
    private(set) var readAt: MonotonicInstant
    /// When the first of the open streams was opened: the silence of an idle connection says nothing about the peer.
    private var askedAt: MonotonicInstant

    init(options: HTTP2Options, now: MonotonicInstant) {
        keepAlive = HTTP2KeepAlive(options: options)
        readAt = now
        askedAt = now
    }

    // MARK: What has happened

    /// Bytes have come.
    mutating func received(now: MonotonicInstant) {
        readAt = now
    }

    /// The connection was idle, and gets a request.
    mutating func becameBusy(now: MonotonicInstant) {
        askedAt = now
    }

    /// A request has run out of time. Whether the pool is to be told of a doubt.
    ///
    /// - Parameter silentSince: Since when the request waits for the peer; nil: it does not.
    mutating func timedOut(_ code: ServiceError.Code, silentSince: MonotonicInstant?, now: MonotonicInstant) -> Bool {
        guard let silentSince, readAt <= silentSince,
            !SiblingSuspicion.isTooShort(silentSince.duration(to: now), for: code)
        else { return false }
        isDoubted = true
        return true
    }

    /// The pool asks whether the peer is there.
    mutating func probed() {
        isDoubted = true
    }

    /// HEADERS or DATA have come. The number of the PING that resets without one get now, if they get one.
    ///
    /// - Parameter resets: How many streams were reset that no PING has followed.
    mutating func receivedMessage(resets: Int) -> UInt64? {
        guard keepAlive.receivedMessage(), resets > 0 else { return nil }
        return keepAlive.streamReset(now: readAt, isPressing: false)
    }

    /// Streams were reset. The number of the PING to send after them, if one is to be sent now.
    ///
    /// - Parameters:
    ///   - places: How many places reset streams keep. Half of them are pressing: the PING waits for nothing then.
    ///   - limit: How many places there are.
    mutating func streamReset(places: Int, of limit: Int, now: MonotonicInstant) -> UInt64? {
        keepAlive.streamReset(now: now, isPressing: places >= max(1, limit / 2))
    }

    /// The number of the PING that a doubt needs; nil: there is no doubt, or one is on its way, whose answer does as well.
    mutating func pingForDoubt(now: MonotonicInstant) -> UInt64? {
        isDoubted ? keepAlive.doubted(now: now) : nil
    }

    /// The network has taken the PING: the peer's time to answer begins. Whether it is ours.
    mutating func left(_ number: UInt64, now: MonotonicInstant) -> Bool {
        keepAlive.left(number, now: now)
    }

    /// The network has taken bytes, and had not taken all since `blockedSince`: the peer has acknowledged some.
    mutating func networkTook(now: MonotonicInstant, blockedSince: MonotonicInstant) {
        keepAlive.taken(now: now, blockedSince: blockedSince)
    }

    /// What an answer to a PING means.
    enum Answer: Equatable {
        /// It answers none of ours, or one that was answered.
        case stale
        /// The peer is there, and knows of the resets before the PING.
        case answered
        /// The same, and the doubt has ended.
        case confirmed
    }

    /// A PING was answered.
    mutating func answered(_ number: UInt64) -> Answer {
        guard keepAlive.answered(number) else { return .stale }
        guard isDoubted else { return .answered }
        isDoubted = false
        return .confirmed
    }

    // MARK: The deadline

    /// When ``deadlinePassed(now:hasStreams:)`` is to be called.
    func deadline(hasStreams: Bool) -> MonotonicInstant {
        keepAlive.deadline(readAt: readAt, askedAt: askedAt, hasStreams: hasStreams)
    }

    mutating func deadlinePassed(now: MonotonicInstant, hasStreams: Bool) -> HTTP2KeepAlive.Action {
        keepAlive.deadlinePassed(now: now, readAt: readAt, askedAt: askedAt, hasStreams: hasStreams)
    }
}
