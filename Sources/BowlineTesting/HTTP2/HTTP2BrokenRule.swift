internal import NIOHTTP2

/// A rule of HTTP/2 that a client has broken.
///
/// SwiftNIO reports it as an error of the connection. Many of its errors have other causes, too: a stream that the server
/// has reset while the client sent trailers on it, a limit against floods, a reply of a script that does not fit the
/// stream's state. This type accepts only errors that nothing but the client's own bytes can cause.
struct HTTP2BrokenRule: CustomStringConvertible {
    private let error: any Error

    /// nil: the error may have another cause.
    init?(_ error: any Error) {
        guard Self.isOfClient(error) else { return nil }
        self.error = error
    }

    /// For example `the client broke a rule of HTTP/2: FlowControlViolation`.
    var description: String { "the client broke a rule of HTTP/2: \(type(of: error))" }

    private static func isOfClient(_ error: any Error) -> Bool {
        switch error {
        // The first bytes of a connection.
        case is NIOHTTP2Errors.BadClientMagic, is NIOHTTP2Errors.MissingPreface: true
        // A frame of the wrong size, on the wrong stream or in the middle of a field section, or invalid HPACK.
        case is NIOHTTP2Errors.UnableToParseFrame: true
        // A field section that is larger than the announced limit, even compressed.
        case is NIOHTTP2Errors.ExcessivelyLargeHeaderBlock: true
        case is NIOHTTP2Errors.InvalidSetting, is NIOHTTP2Errors.ReceivedBadSettings: true
        // Windows: more DATA than allowed, or an increment out of range.
        case is NIOHTTP2Errors.FlowControlViolation, is NIOHTTP2Errors.InvalidFlowControlWindowSize,
            is NIOHTTP2Errors.InvalidWindowIncrementSize:
            true
        // More streams than allowed, a GOAWAY for a stream that only the client opens, and a pushed stream.
        case is NIOHTTP2Errors.MaxStreamsViolation, is NIOHTTP2Errors.InvalidStreamIDForPeer,
            is NIOHTTP2Errors.PushInViolationOfSetting:
            true
        // Among the others: `StreamIDTooSmall` also comes from trailers on a stream that the server has reset, and
        // `BadStreamStateTransition` and `TrailersWithoutEndStream` also from what the server sends.
        default: false
        }
    }
}
