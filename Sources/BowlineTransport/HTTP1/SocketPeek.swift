internal import BowlinePlatform
internal import NIOCore

/// Looks at a socket without reading it: has anything reached this machine that no request asked for?
///
/// One `recv` with `MSG_PEEK`, about a quarter of a microsecond. The event loop cannot answer this: a response's last
/// bytes and what follows them arrive in one readiness event, and only the former have been read.
struct SocketPeek {
    enum Finding {
        case silent
        case bytesWaiting
        case closed
    }

    private let descriptor: CInt?

    /// Must be made on the channel's event loop.
    init(_ channel: any Channel) {
        descriptor = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            CInt($0)
        }
    }

    /// What waits, as far as its first bytes say. Must be called like ``look()``, and when that has found bytes.
    func firstBytes() -> EarlyBytes {
        guard let descriptor else { return .unknown }
        return withUnsafeTemporaryAllocation(byteCount: EarlyBytes.neededBytes, alignment: 1) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT))
            return EarlyBytes(buffer.prefix(max(0, count)))
        }
    }

    /// Must be called on the event loop while the channel is active: that keeps the descriptor ours.
    func look() -> Finding {
        guard let descriptor else { return .silent }
        var byte: UInt8 = 0
        while true {
            let count = recv(descriptor, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT))
            if count > 0 { return .bytesWaiting }
            if count == 0 { return .closed }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .silent
            default: return .closed
            }
        }
    }
}
