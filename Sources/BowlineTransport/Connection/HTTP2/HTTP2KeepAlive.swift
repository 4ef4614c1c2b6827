internal import BowlineCore

/// Decides when to send a PING, and when its answer is overdue. One is on its way at a time.
///
/// A PING has two uses: it asks a silent peer whether it is there, and its answer shows that the peer knows of the resets
/// sent before it.
struct HTTP2KeepAlive {
    private let interval: Duration?
    private let timeout: Duration
    private let isWanted: Bool
    /// How long resets wait for a PING where keep-alive is off.
    private static let resetInterval = Duration.seconds(30)
    /// Since when there have been resets that no PING has followed.
    private var resetsWaitSince: MonotonicInstant?

    /// The number in the PING that is on its way, and when it was sent.
    private(set) var outstanding: (number: UInt64, sentAt: MonotonicInstant)?
    private var pingsSent: UInt64 = 0
    /// Whether the peer has sent HEADERS or DATA since the last PING for a reset. Some servers end a connection that sends
    /// PINGs and nothing else.
    private var mayAskAfterReset = true

    init(options: HTTP2Options) {
        interval = options.keepAliveInterval
        timeout = options.keepAliveTimeout
        isWanted = options.keepsAliveWhenIdle
    }

    /// The next instant at which to look, given when bytes last came.
    func deadline(readAt: MonotonicInstant, hasStreams: Bool) -> MonotonicInstant {
        if let outstanding { return max(outstanding.sentAt, readAt).advanced(by: timeout) }
        let forResets = resetsWaitSince?.advanced(by: interval ?? Self.resetInterval) ?? .distantFuture
        guard let interval, hasStreams || isWanted else { return forResets }
        return min(readAt.advanced(by: interval), forResets)
    }

    enum Action: Equatable {
        case nothing
        case ping(UInt64)
        /// The peer did not answer, and sent nothing else.
        case dead
    }

    /// The deadline has come.
    mutating func deadlinePassed(now: MonotonicInstant, readAt: MonotonicInstant, hasStreams: Bool) -> Action {
        guard deadline(readAt: readAt, hasStreams: hasStreams) <= now else { return .nothing }
        if outstanding != nil { return .dead }
        return .ping(ping(now: now))
    }

    /// A stream was reset. The number of the PING to send after it, if one is to be sent now.
    ///
    /// - Parameter isPressing: Places are running out, so that it cannot wait for the peer to send something.
    mutating func streamReset(now: MonotonicInstant, isPressing: Bool) -> UInt64? {
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
        return true
    }

    private mutating func ping(now: MonotonicInstant) -> UInt64 {
        pingsSent += 1
        resetsWaitSince = nil
        outstanding = (pingsSent, now)
        return pingsSent
    }
}
