internal import NIOHTTP2

/// Sees which frames the HTTP/2 handler writes on its own: by them it says whether an error is one of a stream or of the
/// whole connection.
final class HTTP2FrameWatch: NIOHTTP2FrameDelegate {
    /// We are writing the frame ourselves.
    var isOurs = false
    /// The code of the handler's GOAWAY: the peer has broken the protocol, and the connection is over.
    private(set) var goAway: NIOHTTP2.HTTP2ErrorCode?
    /// The handler has reset a stream, and will report why.
    private(set) var hasReset = false

    func wroteFrame(_ frame: HTTP2Frame) {
        guard !isOurs else { return }
        switch frame.payload {
        // Ours may come late, when the network has had no room; the handler's own never have these codes.
        case .goAway(_, let code, _) where code != .noError: goAway = code
        case .rstStream(let code) where code != .noError && code != .cancel: hasReset = true
        default: break
        }
    }

    /// Whether the error that was just reported is one stream's.
    func takeReset() -> Bool {
        defer { hasReset = false }
        return hasReset
    }
}
