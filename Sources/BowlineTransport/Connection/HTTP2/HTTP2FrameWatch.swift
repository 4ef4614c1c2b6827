internal import NIOHTTP2

/// Sees which frames the HTTP/2 handler writes on its own: by them it says whether an error is one of a stream or of the
/// whole connection.
final class HTTP2FrameWatch: NIOHTTP2FrameDelegate {
    /// We are writing the frame ourselves.
    var isOurs = false
    /// The last HEADERS frame that we handed over has been encoded and written.
    var wroteHeaders = false
    /// The code of the handler's GOAWAY: the peer has broken the protocol, and the connection is over.
    private(set) var goAway: NIOHTTP2.HTTP2ErrorCode?

    func wroteFrame(_ frame: HTTP2Frame) {
        switch frame.payload {
        case .headers: wroteHeaders = true
        // Ours may come late, when the network has had no room; the handler's own is never without an error.
        case .goAway(_, let code, _) where !isOurs && code != .noError: goAway = code
        default: break
        }
    }
}
