internal import BowlinePlatform
internal import NIOCore

/// Looks at a socket without reading it, to find bytes that no request asked for.
///
/// Costs one `recv` with `MSG_PEEK`, about a quarter of a microsecond. The event loop does not know whether such bytes
/// wait: surplus bytes may arrive together with the last bytes of a response, and the loop may have read only the
/// response's bytes when the next request begins.
struct SocketPeek {
    enum Finding {
        case silent
        case bytesWaiting
        case closed
    }

    private let descriptor: CInt?

    /// Must be made on the channel's event loop.
    init(_ channel: any Channel) {
        descriptor = SocketDescriptor(channel)?.number
    }

    /// Returns the kind of the waiting bytes. Call it under the same conditions as ``look()``, and only after
    /// ``look()`` has found bytes.
    func firstBytes() -> EarlyBytes {
        guard let descriptor else { return .unknown }
        return withUnsafeTemporaryAllocation(byteCount: EarlyBytes.neededBytes, alignment: 1) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT))
            return EarlyBytes(buffer.prefix(max(0, count)))
        }
    }

    /// Returns whether bytes wait, or the peer has closed. Must be called on the event loop while the channel is
    /// active: the descriptor belongs to the channel only while it is active.
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
