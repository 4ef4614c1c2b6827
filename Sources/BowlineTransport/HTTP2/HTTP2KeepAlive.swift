internal import BowlineCore

/// Decides when to send a PING, and when its answer is overdue. At most one PING is on its way.
///
/// A PING has three uses. It asks a silent peer whether it is there. It ends a doubt about the connection after a
/// request has got no byte in time (``HTTP2Liveness``). Its answer shows that the peer knows of the resets that were
/// sent before the PING.
///
/// An answer is overdue `keepAliveTimeout` after the last of these signs:
/// - the kernel accepts the PING (``HTTP2KernelProgress``);
/// - bytes arrive from the peer;
/// - the kernel accepts bytes after it had accepted none. For that, the peer must have acknowledged some.
///
/// New requests are no such sign.
///
/// An answer is *needed* to end a doubt, or to free the places of reset streams. A needed answer is *missing* when
/// three timeouts have passed since the need began and since the kernel accepted the PING, even if other bytes arrive.
/// Then the connection takes no more requests. Its open streams go on while bytes arrive.
struct HTTP2KeepAlive {
    private let interval: Duration?
    private let timeout: Duration
    private let isWanted: Bool
    /// How long resets wait for a PING if keep-alive is off.
    private static let resetInterval = Duration.seconds(30)
    /// A channel counts as blocked only after this part of the timeout: the timeout divided by 1,000. A shorter block
    /// may begin and end in one turn of the loop, although the kernel accepts everything.
    private static let blockedPart = 1000
    /// The number of timeouts after which a needed answer is missing.
    private static let timeoutsUntilMissing = 3
    /// The time since which resets have waited for a PING. nil: no reset waits.
    private var resetsWaitSince: MonotonicInstant?
    /// When the kernel last accepted bytes after it had accepted none. nil: never.
    private var acceptedAt: MonotonicInstant?

    /// The time since which an answer has been needed. nil: no answer is needed, or the needed answer is missing.
    private var neededSince: MonotonicInstant?

    /// The PING that is on its way: its number, and when the kernel accepted it. Before that, the time is when it was
    /// written.
    private(set) var outstanding: (number: UInt64, sentAt: MonotonicInstant, isAccepted: Bool)?
    private var pingsSent: UInt64 = 0
    /// Whether the peer has sent HEADERS or DATA since the last PING for a reset. If it has not, a PING waits, because
    /// some servers close a connection on which a client sends only PINGs.
    private var mayAskAfterReset = true

    init(options: HTTP2Options) {
        interval = options.keepAliveInterval
        timeout = options.keepAliveTimeout
        isWanted = options.keepsAliveWhenIdle
    }

    /// Returns when to call ``deadlinePassed(now:readAt:askedAt:hasStreams:)``.
    ///
    /// - Parameters:
    ///   - readAt: When bytes last arrived.
    ///   - askedAt: When the first of the open streams was opened. Silence before that says nothing about the peer.
    func deadline(readAt: MonotonicInstant, askedAt: MonotonicInstant, hasStreams: Bool) -> MonotonicInstant {
        if let outstanding {
            return min(overdueFrom(outstanding.sentAt, readAt), missingFrom ?? .distantFuture)
        }
        let forResets = resetsWaitSince?.advanced(by: interval ?? Self.resetInterval) ?? .distantFuture
        guard let interval, hasStreams || isWanted else { return forResets }
        return min(max(readAt, askedAt).advanced(by: interval), forResets)
    }

    /// Returns when the answer is overdue, if no further sign follows.
    private func overdueFrom(_ sentAt: MonotonicInstant, _ readAt: MonotonicInstant) -> MonotonicInstant {
        max(sentAt, readAt, acceptedAt ?? sentAt).advanced(by: timeout)
    }

    /// When the answer is missing, whatever else the peer sends. nil: no answer is needed.
    private var missingFrom: MonotonicInstant? {
        guard let outstanding, let neededSince else { return nil }
        // The PING may wait in the channel behind an upload. While the kernel accepts bytes of that upload, the peer's
        // time to answer does not begin.
        let written = outstanding.sentAt
        let sent = outstanding.isAccepted ? written : max(written, acceptedAt ?? written)
        // Added one by one: a multiplication of a very long timeout would trap.
        return (0..<Self.timeoutsUntilMissing).reduce(max(sent, neededSince)) { end, _ in end.advanced(by: timeout) }
    }

    enum Action: Equatable {
        case nothing
        case ping(UInt64)
        /// The peer did not answer, and sent nothing else.
        case dead
        /// The peer sends bytes, but not the answer that is needed.
        case missing
    }

    /// Returns what to do when the deadline has come.
    mutating func deadlinePassed(
        now: MonotonicInstant, readAt: MonotonicInstant, askedAt: MonotonicInstant, hasStreams: Bool
    ) -> Action {
        guard deadline(readAt: readAt, askedAt: askedAt, hasStreams: hasStreams) <= now else { return .nothing }
        if let outstanding {
            if overdueFrom(outstanding.sentAt, readAt) <= now { return .dead }
            neededSince = nil
            return .missing
        }
        return .ping(ping(now: now))
    }

    /// Records that the peer may be gone. Returns the number of the PING to send. nil: one is on its way.
    mutating func doubted(now: MonotonicInstant) -> UInt64? {
        if neededSince == nil { neededSince = now }
        return outstanding == nil ? ping(now: now) : nil
    }

    /// Records that the kernel has accepted the PING: the peer's time to answer begins. Returns whether the PING waits
    /// for an answer.
    mutating func pingAccepted(_ number: UInt64, now: MonotonicInstant) -> Bool {
        guard outstanding?.number == number else { return false }
        outstanding = (number, now, true)
        return true
    }

    /// Records that the kernel accepts bytes again. Since `blockedSince`, bytes had waited in the channel.
    mutating func kernelAccepted(now: MonotonicInstant, blockedSince: MonotonicInstant) {
        if blockedSince.advanced(by: timeout / Self.blockedPart) <= now { acceptedAt = now }
    }

    /// Records that a stream was reset. Returns the number of the PING to send after it. nil: none is sent now.
    ///
    /// - Parameter isPressing: Whether only few streams can still be opened, so that the PING is sent without waiting
    ///   for HEADERS or DATA from the peer.
    mutating func streamReset(now: MonotonicInstant, isPressing: Bool) -> UInt64? {
        if neededSince == nil { neededSince = now }
        guard outstanding == nil else { return nil }
        guard mayAskAfterReset || isPressing else {
            if resetsWaitSince == nil { resetsWaitSince = now }
            return nil
        }
        mayAskAfterReset = false
        return ping(now: now)
    }

    /// Records that HEADERS or DATA have arrived. Returns whether a PING for waiting resets may be sent now.
    mutating func receivedMessage() -> Bool {
        mayAskAfterReset = true
        return outstanding == nil
    }

    /// Processes an answer to a PING. Returns whether it answers the PING on its way.
    mutating func answered(_ number: UInt64) -> Bool {
        guard outstanding?.number == number else { return false }
        outstanding = nil
        neededSince = nil
        return true
    }

    private mutating func ping(now: MonotonicInstant) -> UInt64 {
        pingsSent += 1
        resetsWaitSince = nil
        outstanding = (pingsSent, now, false)
        return pingsSent
    }
}
