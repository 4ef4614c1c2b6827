internal import BowlineCore
internal import NIOCore

/// Checks, before a request is written, whether the peer has sent bytes that no request asked for (RFC 9112 §9.2).
///
/// | connection | socket | finding |
/// |---|---|---|
/// | TLS, carries its first request and was not opened in advance | not checked: session tickets may wait there | silent |
/// | any other | nothing waits | silent |
/// | TLS, opened in advance, carries its first request | bytes wait: session tickets, most likely | ticketsWait, once; then bytes |
/// | any other | bytes wait | bytes |
/// | any other | the peer has closed | closed |
struct HTTP1SilenceCheck {
    enum Finding {
        case silent
        /// Bytes wait, probably session tickets. The event loop gets time to read them. Then the check is made again.
        case ticketsWait
        case bytes(EarlyBytes)
        case closed
    }

    private let peek: SocketPeek
    private let isTLS: Bool
    /// Finds a TLS record that has arrived only in part. nil: the connection has no TLS.
    private let recordBoundary: TLSRecordBoundary?
    private(set) var hasWaitedForTickets = false
    /// The kind of the first bytes that were read without a request; nil: there were none.
    private(set) var earlyBytes: EarlyBytes?

    /// Must be made on the channel's event loop.
    init(_ channel: any Channel, isTLS: Bool) {
        peek = SocketPeek(channel)
        self.isTLS = isTLS
        recordBoundary = isTLS ? try? channel.pipeline.syncOperations.handler(type: TLSRecordBoundary.self) : nil
    }

    /// Checks the socket. Must be called on the event loop while the channel is active.
    mutating func look(wasPooled: Bool, isReused: Bool) -> Finding {
        if isTLS, !wasPooled { return .silent }
        switch recordBoundary?.isInsideRecord == true ? .bytesWaiting : peek.look() {
        case .silent: return .silent
        case .closed: return .closed
        case .bytesWaiting where isTLS && !isReused && !hasWaitedForTickets:
            hasWaitedForTickets = true
            return .ticketsWait
        case .bytesWaiting: return .bytes(isTLS ? .unknown : peek.firstBytes())
        }
    }

    /// Notes bytes that were read while there was no request.
    mutating func received(_ bytes: EarlyBytes) {
        if earlyBytes == nil { earlyBytes = bytes }
    }
}
