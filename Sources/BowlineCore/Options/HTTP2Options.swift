/// Options that say when HTTP/2 (RFC 9113) is used, and with what limits.
public struct HTTP2Options: Sendable, Hashable, ConfigurableOptions {
    /// Which protocol a connection speaks.
    public enum Negotiation: Sendable, Hashable {
        /// With TLS the peer chooses HTTP/2 or HTTP/1.1 (ALPN, RFC 7301). Without TLS the connection speaks HTTP/1.1.
        /// This is the default.
        case automatic
        /// HTTP/1.1 only: nothing else is offered.
        case http1Only
        /// HTTP/2 only. With TLS nothing else is offered. Without TLS the connection speaks HTTP/2 from the first byte,
        /// by prior knowledge (RFC 9113 §3.3).
        case http2Only
    }

    /// Which protocol a connection speaks. Default `.automatic`.
    public var negotiation: Negotiation = .automatic
    /// How many HTTP/2 connections one origin may have. Connections that take no new requests do not count. If requests
    /// are balanced over the addresses of the host, the limit holds for each address. 1 to 1,000. Default 4.
    public var maximumConnectionsPerOrigin = 4
    /// How many streams one connection carries at once, if the peer allows as many. 1 to 10,000. Default 256.
    public var maximumStreams = 256
    /// How many bytes of one response the peer may send before the caller has read them. For a slow reader the client
    /// buffers up to this many bytes. 65,535 to 2³¹ − 1. Default 1 MiB.
    public var streamWindow = 1_048_576
    /// How many bytes of all responses of one connection together may be in flight at once. 65,535 to 2³¹ − 1. Default
    /// 16 MiB.
    public var connectionWindow = 16_777_216
    /// How long the peer may send nothing while streams are open, before the client sends a PING. nil: the client sends
    /// no PING. At least 1 s. Default 30 s.
    public var keepAliveInterval: Duration? = .seconds(30)
    /// How long the answer to a PING may take before the connection counts as dead. Greater than zero. Default 15 s.
    public var keepAliveTimeout: Duration = .seconds(15)
    /// Whether PINGs are also sent while no stream is open. Default false.
    public var keepsAliveWhenIdle = false

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            .choice(
                "negotiation", \.negotiation,
                ["automatic": .automatic, "http1Only": .http1Only, "http2Only": .http2Only]),
            OptionKnob("maximumConnectionsPerOrigin", .integer(\.maximumConnectionsPerOrigin, 1...1000)),
            OptionKnob("maximumStreams", .integer(\.maximumStreams, 1...10_000)),
            OptionKnob("streamWindow", .integer(\.streamWindow, 65_535...2_147_483_647)),
            OptionKnob("connectionWindow", .integer(\.connectionWindow, 65_535...2_147_483_647)),
            OptionKnob("keepAliveInterval", .optionalDuration(\.keepAliveInterval, .keepAliveInterval)),
            OptionKnob("keepAliveTimeout", .duration(\.keepAliveTimeout, .positive)),
            OptionKnob("keepsAliveWhenIdle", .flag(\.keepsAliveWhenIdle)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

extension DurationRange {
    fileprivate static let keepAliveInterval = DurationRange(
        text: "≥ 1 s", reason: "must be at least 1 s (nil for never)", contains: { $0 >= .seconds(1) })
}
