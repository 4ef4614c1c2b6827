/// Options that say how sockets are set up, and how much data a connection buffers or accepts.
public struct ConnectionOptions: Sendable, Hashable, ConfigurableOptions {
    /// Sends small writes at once (`TCP_NODELAY`). Default true.
    public var isNoDelay = true
    /// Lets the kernel probe silent connections (`SO_KEEPALIVE`). Default true.
    public var isKeepAlive = true
    /// The address of this machine from which connections are made, for example to use one of several networks; nil: the
    /// system chooses. Peers whose address is of the other family cannot be reached then. Default nil.
    public var localAddress: IPAddress?
    /// How many bytes of a response body are buffered for a slow reader before the connection stops reading the socket.
    /// Each chunk counts as its size plus 256 bytes. 1 KiB to 1 GiB. Default 64 KiB.
    ///
    /// Over HTTP/2, `HTTP2Options.streamWindow` bounds the buffered bytes. This limit then has another use: while more
    /// bytes than this wait for the reader, the time does not count as idle time of the peer (`timeouts.bodyIdle`).
    public var readBufferLimit = 65_536
    /// How many unsent bytes of a request the client buffers. At this limit it takes no more chunks from the body's
    /// sequence. 1 KiB to 1 GiB. Default 64 KiB.
    public var writeBufferLimit = 65_536
    /// How many bytes of a one-shot request body are kept for a resend or retry. 0 to 1 GiB. Default 64 KiB.
    public var replayLimit = 65_536
    /// How many bytes of a dropped response body are read, so that the connection can be reused (HTTP/1.1). 0 to 1 GiB.
    /// Default 256 KiB.
    public var discardLimit = 262_144
    /// How long reading a dropped response body may take. Greater than zero. Default 50 ms.
    public var discardTimeout: Duration = .milliseconds(50)
    /// How many bytes a response head may have. The trailers may have the same number in addition. 256 to 16 MiB.
    /// Default 64 KiB.
    public var maximumHeadBytes = 65_536
    /// How many fields a response head may have. The trailers may have the same number in addition. 1 to 65,000.
    /// Default 512.
    public var maximumFields = 512
    /// How many informational (1xx) responses may come before the final one. From 0 to 1,024. Default 16.
    public var maximumInformational = 16

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("isNoDelay", .flag(\.isNoDelay)),
            OptionKnob("isKeepAlive", .flag(\.isKeepAlive)),
            OptionKnob("localAddress", .optionalAddress(\.localAddress)),
            OptionKnob("readBufferLimit", .integer(\.readBufferLimit, 1024...(1 << 30))),
            OptionKnob("writeBufferLimit", .integer(\.writeBufferLimit, 1024...(1 << 30))),
            OptionKnob("replayLimit", .integer(\.replayLimit, 0...(1 << 30))),
            OptionKnob("discardLimit", .integer(\.discardLimit, 0...(1 << 30))),
            OptionKnob("discardTimeout", .duration(\.discardTimeout, .positive)),
            OptionKnob("maximumHeadBytes", .integer(\.maximumHeadBytes, 256...16_777_216)),
            // `HTTPFields` traps at 65,535, and the client adds fields of its own.
            OptionKnob("maximumFields", .integer(\.maximumFields, 1...65_000)),
            OptionKnob("maximumInformational", .integer(\.maximumInformational, 0...1024)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}
