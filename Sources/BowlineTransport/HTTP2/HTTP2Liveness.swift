internal import BowlineCore

/// Tracks whether the peer is there: when bytes last arrived, whether the connection is doubted, and when a PING is
/// due.
///
/// A connection is *doubted* after a request on it has timed out without a byte from the peer, or after the pool has
/// asked. The pool does not lease a doubted connection. Only the answer to a PING ends the doubt: other bytes do not
/// show that our bytes reach the peer. ``HTTP2KeepAlive`` decides when a PING goes out, and when its answer is overdue.
///
/// | event | trusted | doubted |
/// |---|---|---|
/// | `timedOut`, no byte since the request began to wait | doubted | doubted, and the pool is informed again |
/// | `timedOut`, bytes arrived since, or the wait was too short | – | – |
/// | `probed` | doubted | doubted |
/// | `answered`, our PING | answered | trusted |
/// | `answered`, another number | – | – |
struct HTTP2Liveness {
    private var keepAlive: HTTP2KeepAlive
    /// Whether the peer has to answer a PING before the connection gets new requests.
    private(set) var isDoubted = false
    /// When bytes last arrived.
    private(set) var readAt: MonotonicInstant
    /// When the first of the open streams was opened. Silence before that says nothing about the peer.
    private var askedAt: MonotonicInstant

    init(options: HTTP2Options, now: MonotonicInstant) {
        keepAlive = HTTP2KeepAlive(options: options)
        readAt = now
        askedAt = now
    }

    // MARK: What has happened

    /// Records that bytes have arrived.
    mutating func received(now: MonotonicInstant) {
        readAt = now
    }

    /// Records that an idle connection gets a request.
    mutating func becameBusy(now: MonotonicInstant) {
        askedAt = now
    }

    /// Records that a request has timed out. Returns whether to inform the pool that the connection is doubted.
    ///
    /// - Parameter silentSince: Since when the request has waited for the peer. nil: it did not wait for the peer.
    mutating func timedOut(_ code: ServiceError.Code, silentSince: MonotonicInstant?, now: MonotonicInstant) -> Bool {
        guard let silentSince, readAt <= silentSince,
            !SiblingSuspicion.isTooShort(silentSince.duration(to: now), for: code)
        else { return false }
        isDoubted = true
        return true
    }

    /// Doubts the connection, because the pool asks whether the peer is there.
    mutating func probed() {
        isDoubted = true
    }

    /// Records that HEADERS or DATA have arrived. Returns the number of the PING to send for earlier resets. nil: none.
    ///
    /// - Parameter resets: How many streams have been reset since the last PING.
    mutating func receivedMessage(resets: Int) -> UInt64? {
        guard keepAlive.receivedMessage(), resets > 0 else { return nil }
        return keepAlive.streamReset(now: readAt, isPressing: false)
    }

    /// Records that streams were reset. Returns the number of the PING to send after them. nil: none is sent now.
    ///
    /// - Parameters:
    ///   - places: How many places reset streams keep (``HTTP2StreamRecords``). If they keep half of all places, the
    ///     PING is sent without waiting.
    ///   - limit: How many places there are.
    mutating func streamReset(places: Int, of limit: Int, now: MonotonicInstant) -> UInt64? {
        keepAlive.streamReset(now: now, isPressing: places >= max(1, limit / 2))
    }

    /// Returns the number of the PING to send for a doubt. nil: there is no doubt, or the answer to a PING on its way
    /// will end it.
    mutating func pingForDoubt(now: MonotonicInstant) -> UInt64? {
        isDoubted ? keepAlive.doubted(now: now) : nil
    }

    /// Records that the kernel has accepted the PING: the peer's time to answer begins. Returns whether the PING waits
    /// for an answer.
    mutating func pingAccepted(_ number: UInt64, now: MonotonicInstant) -> Bool {
        keepAlive.pingAccepted(number, now: now)
    }

    /// Records that the kernel accepts bytes again. Since `blockedSince`, bytes had waited in the channel, so the peer
    /// has acknowledged some bytes now.
    mutating func kernelAccepted(now: MonotonicInstant, blockedSince: MonotonicInstant) {
        keepAlive.kernelAccepted(now: now, blockedSince: blockedSince)
    }

    /// What an answer to a PING means.
    enum Answer: Equatable {
        /// It answers no PING of ours, or a PING that was answered before.
        case stale
        /// The peer is there, and knows of the resets before the PING.
        case answered
        /// The same as `answered`, and the doubt has ended.
        case confirmed
    }

    /// Processes an answer to a PING.
    mutating func answered(_ number: UInt64) -> Answer {
        guard keepAlive.answered(number) else { return .stale }
        guard isDoubted else { return .answered }
        isDoubted = false
        return .confirmed
    }

    // MARK: The deadline

    /// Returns when to call ``deadlinePassed(now:hasStreams:)``.
    func deadline(hasStreams: Bool) -> MonotonicInstant {
        keepAlive.deadline(readAt: readAt, askedAt: askedAt, hasStreams: hasStreams)
    }

    mutating func deadlinePassed(now: MonotonicInstant, hasStreams: Bool) -> HTTP2KeepAlive.Action {
        keepAlive.deadlinePassed(now: now, readAt: readAt, askedAt: askedAt, hasStreams: hasStreams)
    }
}
