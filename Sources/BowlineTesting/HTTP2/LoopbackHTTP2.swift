/// How a ``LoopbackServer`` speaks HTTP/2 (RFC 9113).
///
/// Over TLS it does so with clients that offer `h2` (ALPN), without TLS with all: prior knowledge. Routes and responders
/// are those of HTTP/1.1; each request is answered on its own stream. Connections with a script
/// (``LoopbackServer/onConnection(_:)``) are driven in bytes as ever.
public struct LoopbackHTTP2: Sendable, Hashable {
    /// How many requests a client may have under way on a connection, from 0. Default 100.
    public var maximumStreams = 100
    /// After so many requests a connection takes no more: a GOAWAY names the last, later ones are ignored, and the
    /// connection closes when those before have been answered. From 1; nil: any number. Default nil.
    public var requestsPerConnection: Int?
    /// How many bytes of a request's body a client may send before the server has taken some of them
    /// (SETTINGS_INITIAL_WINDOW_SIZE), from 1 to 2,147,483,647; nil: 65,535. What follows is taken as it comes. Default nil.
    public var initialWindow: Int?

    /// Makes the defaults.
    public init() {}
}
