internal import BowlineCore
internal import NIOCore

/// Looks, before a request is written, whether the peer has sent something that no request asked for (RFC 9112 §9.2).
///
/// | connection | socket | finding |
/// |---|---|---|
/// | TLS, carries its first request and was not opened ahead | not looked at: session tickets may wait there | silent |
/// | any other | nothing waits | silent |
/// | TLS, opened ahead, carries its first request | bytes wait: session tickets, most likely | ticketsWait, once; then bytes |
/// | any other | bytes wait | bytes |
/// | any other | the peer has closed | closed |
struct HTTP1SilenceCheck {
    enum Finding {
        case silent
        /// The event loop gets a turn to read them; then it is looked again.
        case ticketsWait
        case bytes(EarlyBytes)
        case closed
    }

    private let peek: SocketPeek
    private let isTLS: Bool
    /// Set with TLS.
    private let recordBoundary: TLSRecordBoundary?
    private(set) var hasWaitedForTickets = false
    /// What came before any request and was read, if something did.
    private(set) var earlyBytes: EarlyBytes?

    /// Must be made on the channel's event loop.
    init(_ channel: any Channel, isTLS: Bool) {
        peek = SocketPeek(channel)
        self.isTLS = isTLS
        recordBoundary = isTLS ? try? channel.pipeline.syncOperations.handler(type: TLSRecordBoundary.self) : nil
    }

    /// Must be called on the event loop while the channel is active.
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

    /// Bytes were read while there was no request.
    mutating func received(_ bytes: EarlyBytes) {
        if earlyBytes == nil { earlyBytes = bytes }
    }
}
