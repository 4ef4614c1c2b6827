/// How sockets are made, and how much a peer may make us keep.
public struct ConnectionOptions: Sendable, Hashable, ConfigurableOptions {
    /// Sends small writes at once (`TCP_NODELAY`). Default true.
    public var isNoDelay = true
    /// Lets the kernel probe silent connections (`SO_KEEPALIVE`). Default true.
    public var isKeepAlive = true
    /// How many bytes of a response body are buffered for a reader that is slow before the socket is no longer read; each
    /// chunk counts 256 bytes besides its own. 1 KiB to 1 GiB. Default 64 KiB. Over HTTP/2 `HTTP2Options.streamWindow` bounds
    /// the buffered bytes, and this only decides whether a deadline blames the reader or the peer for slowness.
    public var readBufferLimit = 65_536
    /// How many bytes of a request may lie unsent before the body's sequence is no longer asked for more. 1 KiB to 1 GiB.
    /// Default 64 KiB.
    public var writeBufferLimit = 65_536
    /// How many bytes of a one-shot request body are kept so that it can be sent again. 0 to 1 GiB.
    /// Default 64 KiB.
    public var replayLimit = 65_536
    /// How many bytes of an unread response body are read off so that its connection can be used again. 0 to 1 GiB.
    /// Default 256 KiB.
    public var discardLimit = 262_144
    /// How long that may take. Greater than zero. Default 50 ms.
    public var discardTimeout: Duration = .milliseconds(50)
    /// How many bytes a response head, or its trailers, may have. 256 to 16 MiB. Default 64 KiB.
    public var maximumHeadBytes = 65_536
    /// How many fields a response head, or its trailers, may have. 1 to 65,000. Default 512.
    public var maximumFields = 512
    /// How many informational (1xx) responses may come before the final one. From 0 to 1,024. Default 16.
    public var maximumInformational = 16

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("isNoDelay", .flag(\.isNoDelay)),
            OptionKnob("isKeepAlive", .flag(\.isKeepAlive)),
            OptionKnob("readBufferLimit", .integer(\.readBufferLimit, 1024...(1 << 30))),
            OptionKnob("writeBufferLimit", .integer(\.writeBufferLimit, 1024...(1 << 30))),
            OptionKnob("replayLimit", .integer(\.replayLimit, 0...(1 << 30))),
            OptionKnob("discardLimit", .integer(\.discardLimit, 0...(1 << 30))),
            OptionKnob("discardTimeout", .duration(\.discardTimeout, .positive)),
            OptionKnob("maximumHeadBytes", .integer(\.maximumHeadBytes, 256...16_777_216)),
            // `HTTPFields` traps at 65,535; the client adds fields of its own.
            OptionKnob("maximumFields", .integer(\.maximumFields, 1...65_000)),
            OptionKnob("maximumInformational", .integer(\.maximumInformational, 0...1024)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}
