internal import BowlineCore

/// Decides when to send a PING, and when its answer is overdue. One is on its way at a time.
///
/// A PING has three uses: it asks a silent peer whether it is there, it resolves a doubt after a request that got no byte in
/// time, and its answer shows that the peer knows of the resets sent before it.
///
/// An answer is overdue `keepAliveTimeout` after the last sign of life: the PING's own way out of this machine, bytes from the
/// peer, and bytes that the network takes after it had taken none, as that needs the peer's acknowledgement. New requests are
/// no such sign.
///
/// While the answer is *needed*, for a doubt or for the places of streams that were reset, other bytes put off the end only so
/// long: three timeouts after the need began and the PING left, the answer is *missing*. The connection takes no more requests
/// then, and what it carries goes on as long as bytes come.
struct HTTP2KeepAlive {
    private let interval: Duration?
    private let timeout: Duration
    private let isWanted: Bool
    /// How long resets wait for a PING where keep-alive is off.
    private static let resetInterval = Duration.seconds(30)
    /// A channel that was not writable for less than this part of the timeout may have been so within one turn of the loop,
    /// with a network that took everything.
    private static let blockedPart = 1000
    /// After how many timeouts an answer that is needed is missing.
    private static let timeoutsUntilMissing = 3
    /// Since when there have been resets that no PING has followed.
    private var resetsWaitSince: MonotonicInstant?
    /// When the network last took bytes after it had taken none.
    private var takenAt: MonotonicInstant?

    /// Since when an answer has been needed, until one comes or is missing.
    private var neededSince: MonotonicInstant?

    /// The number in the PING that is on its way, and when it left or, until it has, when it was written.
    private(set) var outstanding: (number: UInt64, sentAt: MonotonicInstant, hasLeft: Bool)?
    private var pingsSent: UInt64 = 0
    /// Whether the peer has sent HEADERS or DATA since the last PING for a reset. Some servers end a connection that sends
    /// PINGs and nothing else.
    private var mayAskAfterReset = true

    init(options: HTTP2Options) {
        interval = options.keepAliveInterval
        timeout = options.keepAliveTimeout
        isWanted = options.keepsAliveWhenIdle
    }

    /// The next instant at which to look.
    ///
    /// - Parameters:
    ///   - readAt: When bytes last came.
    ///   - askedAt: When the first of the open streams was opened: the silence of an idle connection says nothing.
    func deadline(readAt: MonotonicInstant, askedAt: MonotonicInstant, hasStreams: Bool) -> MonotonicInstant {
        if let outstanding {
            return min(overdueFrom(outstanding.sentAt, readAt), missingFrom ?? .distantFuture)
        }
        let forResets = resetsWaitSince?.advanced(by: interval ?? Self.resetInterval) ?? .distantFuture
        guard let interval, hasStreams || isWanted else { return forResets }
        return min(max(readAt, askedAt).advanced(by: interval), forResets)
    }

    /// When the answer is overdue, if no other sign comes.
    private func overdueFrom(_ sentAt: MonotonicInstant, _ readAt: MonotonicInstant) -> MonotonicInstant {
        max(sentAt, readAt, takenAt ?? sentAt).advanced(by: timeout)
    }

    /// When the answer is missing, whatever else the peer sends; nil: it is not needed.
    private var missingFrom: MonotonicInstant? {
        guard let outstanding, let neededSince else { return nil }
        // Behind an upload the PING waits as long as the network takes some of that.
        let sent = outstanding.hasLeft ? outstanding.sentAt : max(outstanding.sentAt, takenAt ?? outstanding.sentAt)
        // One by one: the product of a very long time would trap.
        return (0..<Self.timeoutsUntilMissing).reduce(max(sent, neededSince)) { end, _ in end.advanced(by: timeout) }
    }

    enum Action: Equatable {
        case nothing
        case ping(UInt64)
        /// The peer did not answer, and sent nothing else.
        case dead
        /// The peer sends bytes, and no answer though one is needed.
        case missing
    }

    /// The deadline has come.
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

    /// The peer may be gone. The number of the PING to send; nil: one is on its way.
    mutating func doubted(now: MonotonicInstant) -> UInt64? {
        if neededSince == nil { neededSince = now }
        return outstanding == nil ? ping(now: now) : nil
    }

    /// The network has taken the PING: the peer's time to answer begins. Whether it is ours.
    mutating func left(_ number: UInt64, now: MonotonicInstant) -> Bool {
        guard outstanding?.number == number else { return false }
        outstanding = (number, now, true)
        return true
    }

    /// The network has taken bytes. It had not taken all since `blockedSince`.
    mutating func taken(now: MonotonicInstant, blockedSince: MonotonicInstant) {
        if blockedSince.advanced(by: timeout / Self.blockedPart) <= now { takenAt = now }
    }

    /// A stream was reset. The number of the PING to send after it, if one is to be sent now.
    ///
    /// - Parameter isPressing: Places are running out, so that it cannot wait for the peer to send something.
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

    /// HEADERS or DATA have come. Whether resets that wait for a PING may have it now.
    mutating func receivedMessage() -> Bool {
        mayAskAfterReset = true
        return outstanding == nil
    }

    /// A PING was answered. Whether it is ours.
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
