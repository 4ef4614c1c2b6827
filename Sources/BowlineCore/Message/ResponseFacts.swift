/// How a response came about.
public struct ResponseFacts: Sendable {
    /// The connection that served it.
    public var connection: ConnectionFacts?
    /// Attempts of the last hop of the call's redirects, the first included; from 1. A second sending after a 401 or a 417 is
    /// an attempt.
    public var attempts: Int
    /// How many requests were sent for the call: each attempt of each hop, and each ``resends``. An attempt that found no
    /// connection, or that the transport refused to send, counts; one that middleware answered or refused does not. A client
    /// sets it.
    public var requestsSent = 1
    /// How often the transport sent the last attempt again because a reused connection was dead, or the peer refused it.
    public var resends: Int
    /// When each phase was reached.
    public var timings: PhaseTimings
    /// The informational responses that came first.
    public var informational: [InformationalResponse]
    /// Where redirects led, in order; the last is where the response comes from. Empty if none was followed.
    public var redirects: [ServiceURL] = []
    /// The URL that was requested: the last hop's, after redirects, with the query as middleware and credentials changed it.
    /// nil: the response came through no client.
    public var url: ServiceURL?
    /// The codings that were taken off the body, in the order in which they had been applied, as `gzip`.
    public var removedCodings: [String] = []

    // Inlinable: one that is called copies all of them once more.

    /// Makes facts, for stubs.
    @inlinable
    public init(
        connection: ConnectionFacts? = nil, attempts: Int = 1, resends: Int = 0,
        timings: PhaseTimings = PhaseTimings(), informational: [InformationalResponse] = [], url: ServiceURL? = nil
    ) {
        self.connection = connection
        self.attempts = attempts
        self.resends = resends
        self.timings = timings
        self.informational = informational
        self.url = url
    }
}

/// Which connection served a response.
public struct ConnectionFacts: Sendable, Hashable {
    /// The protocol that was spoken.
    public enum ProtocolVersion: String, Sendable, Hashable {
        /// HTTP/1.0: the connection is reused only if the peer says `keep-alive`.
        case http1_0 = "HTTP/1.0"
        /// HTTP/1.1 (RFC 9112).
        case http1_1 = "HTTP/1.1"
        /// HTTP/2 (RFC 9113).
        case http2 = "HTTP/2"

        /// The number alone, as telemetry names it: `1.0`, `1.1` or `2`.
        package var number: String {
            switch self {
            case .http1_0: "1.0"
            case .http1_1: "1.1"
            case .http2: "2"
            }
        }
    }

    /// Its number: unique within the client, from 1, in the order in which dials began.
    public let id: Int
    /// Whether it had carried a request before.
    public let isReused: Bool
    /// How many requests it has carried, this one included.
    public let requests: Int
    /// The peer's address, as `127.0.0.1:8080`, `[::1]:8080` or a socket's path.
    public let peer: String
    /// The protocol that was spoken.
    public let protocolVersion: ProtocolVersion
    /// The stream's number, with HTTP/2 (RFC 9113 §5.1.1); nil where there are no streams.
    public let stream: Int?

    package init(
        id: Int, isReused: Bool, requests: Int, peer: String, protocolVersion: ProtocolVersion, stream: Int? = nil
    ) {
        self.id = id
        self.isReused = isReused
        self.requests = requests
        self.peer = peer
        self.protocolVersion = protocolVersion
        self.stream = stream
    }
}

/// When a request reached each of its phases, on the client's clock; nil for a phase that was not reached or not
/// needed.
public struct PhaseTimings: Sendable, Hashable {
    /// The transport was asked for it.
    public var started: MonotonicInstant?
    /// It had a connection.
    public var leased: MonotonicInstant?
    /// Its head and body had been written.
    public var sent: MonotonicInstant?
    /// The first byte of the response head was there.
    public var firstByte: MonotonicInstant?
    /// The final response head was complete.
    public var head: MonotonicInstant?
    /// How long the dial took that made the connection, if it was made for this request: resolving, TCP and TLS.
    public var dial: Duration?

    /// Makes empty timings.
    public init() {}
}

/// An informational (1xx) response: 100, 102, 103 (RFC 9110 §15.2).
public struct InformationalResponse: Sendable {
    /// The status, 100 to 199 but 101.
    public let status: HTTPResponse.Status
    /// Its fields, such as the `Link`s of a 103.
    public let fields: ReceivedFields

    /// Makes one, for stubs.
    public init(status: HTTPResponse.Status, fields: ReceivedFields = ReceivedFields()) {
        self.status = status
        self.fields = fields
    }
}
