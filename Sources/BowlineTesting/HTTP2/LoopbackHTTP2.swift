/// How a ``LoopbackServer`` speaks HTTP/2 (RFC 9113).
///
/// Over TLS, the server uses HTTP/2 with clients that offer `h2` (ALPN). Without TLS it uses HTTP/2 with all clients
/// (prior knowledge). Routes and responders are the same as for HTTP/1.1; each request is answered on its own stream.
/// A script of ``LoopbackServer/onConnection(_:)`` receives and sends the connection's raw bytes.
public struct LoopbackHTTP2: Sendable, Hashable {
    /// How many streams a client may have open on a connection, from 0. Default 100.
    public var maximumStreams = 100
    /// How many requests a connection takes, from 1; nil: no limit. Default nil.
    ///
    /// After the last of these requests, the server sends a GOAWAY that names its stream, and ignores later requests.
    /// When the earlier requests have been answered, the server closes the connection.
    public var requestsPerConnection: Int?
    /// How many bytes of a request's body a client may send before the server has read some of them
    /// (SETTINGS_INITIAL_WINDOW_SIZE), from 1 to 2,147,483,647; nil: 65,535. The server reads later bytes as they
    /// arrive. Default nil.
    public var initialWindow: Int?
    /// The largest size of a request's fields, and of its trailers (SETTINGS_MAX_HEADER_LIST_SIZE), from 1. The size is
    /// the bytes of names and values, plus 32 for each field. Default 16,384.
    public var maximumHeaderListSize = 16_384

    /// Makes the default settings.
    public init() {}
}
