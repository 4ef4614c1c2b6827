/// Facts about how a response was obtained.
public struct ResponseFacts: Sendable {
    /// The connection that delivered the response; nil: there was none.
    public var connection: ConnectionFacts?
    /// The number of attempts of the last hop, from 1. Each followed redirect begins a new hop. A second sending after
    /// a 401 or a 417 counts as an attempt.
    public var attempts: Int
    /// How many requests were sent for the call: each attempt of each hop, and each resend by the transport. An attempt
    /// counts even if it found no connection, or if the transport refused to send it. An attempt does not count if
    /// middleware answered or refused it. The client sets this property.
    public var requestsSent = 1
    /// How often the transport sent the last attempt again because a reused connection was dead, or because the peer
    /// refused the request.
    public var resends: Int
    /// When each phase was reached.
    public var timings: PhaseTimings
    /// The informational responses that were received before the response.
    public var informational: [InformationalResponse]
    /// The URLs that the followed redirects led to, in order. The response comes from the last of them. Empty if no
    /// redirect was followed.
    public var redirects: [ServiceURL] = []
    /// The URL that was requested on the last hop. Its query includes the changes by middleware and credentials. nil:
    /// no client has received the response.
    public var url: ServiceURL?
    /// The content codings that were removed from the body, such as `gzip`, in the order in which the service applied
    /// them.
    public var removedCodings: [String] = []

    // Inlinable: a call that is not inlined copies all facts once more.

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

/// Facts about the connection that delivered a response.
public struct ConnectionFacts: Sendable, Hashable {
    /// The protocol that was spoken.
    public enum ProtocolVersion: String, Sendable, Hashable {
        /// HTTP/1.0: the connection is reused only if the peer sends `keep-alive`.
        case http1_0 = "HTTP/1.0"
        /// HTTP/1.1 (RFC 9112).
        case http1_1 = "HTTP/1.1"
        /// HTTP/2 (RFC 9113).
        case http2 = "HTTP/2"

        /// The number alone, as telemetry writes it: `1.0`, `1.1` or `2`.
        package var number: String {
            switch self {
            case .http1_0: "1.0"
            case .http1_1: "1.1"
            case .http2: "2"
            }
        }
    }

    /// The connection's number, from 1, unique within the client. Numbers follow the order in which dials began.
    public let id: Int
    /// Whether the connection had carried an earlier request.
    public let isReused: Bool
    /// How many requests the connection has carried, including this one.
    public let requests: Int
    /// The peer's address, such as `127.0.0.1:8080`, `[::1]:8080` or a socket's path.
    public let peer: String
    /// The proxy, such as `http://proxy.example:3128`, without credentials; nil: the connection is direct. With a proxy,
    /// ``peer`` is the proxy's address.
    public var proxy: String? { route?.description }
    package let route: Proxy?
    /// The protocol that was spoken.
    public let protocolVersion: ProtocolVersion
    /// The number of the HTTP/2 stream (RFC 9113 §5.1.1); nil: the connection does not use HTTP/2.
    public let stream: Int?

    package init(
        id: Int, isReused: Bool, requests: Int, peer: String, proxy: Proxy? = nil, protocolVersion: ProtocolVersion,
        stream: Int? = nil
    ) {
        self.id = id
        self.isReused = isReused
        self.requests = requests
        self.peer = peer
        route = proxy
        self.protocolVersion = protocolVersion
        self.stream = stream
    }
}

/// The instants at which a request reached its phases, on the client's clock; nil: the phase was not reached or not
/// needed.
public struct PhaseTimings: Sendable, Hashable {
    /// The transport received the request.
    public var started: MonotonicInstant?
    /// The request got a connection.
    public var leased: MonotonicInstant?
    /// The request's head and body were written.
    public var sent: MonotonicInstant?
    /// The first byte of the response head arrived.
    public var firstByte: MonotonicInstant?
    /// The final response head was complete.
    public var head: MonotonicInstant?
    /// How long the dial of the connection took, and each of its steps; nil: the connection was not made for this
    /// request. A reference, because most responses have none.
    package var dialTimings: DialTimings?

    /// Makes empty timings.
    public init() {}

    /// How long the dial of the connection took, with all its steps. nil: the connection was not made for this request.
    public var dial: Duration? { dialTimings?.total }
    /// How long the name resolution took, until the first address was known. nil: the dial looked up no name, or there
    /// was no dial.
    public var resolve: Duration? { dialTimings?.resolve }
    /// How long the dial took from the first address to a connected socket (TCP). nil: there was no dial.
    public var connect: Duration? { dialTimings?.connect }
    /// How long the proxy took: TLS with the proxy and the tunnel to the origin. With `socks5://` this includes the
    /// look-up of the origin's name. nil: the dial had neither.
    public var tunnel: Duration? { dialTimings?.tunnel }
    /// How long the TLS handshake with the origin took. nil: there was none.
    public var tls: Duration? { dialTimings?.tls }
}

/// An informational (1xx) response, for example 100, 102 or 103 (RFC 9110 §15.2).
public struct InformationalResponse: Sendable {
    /// The status: 100 to 199, except 101.
    public let status: HTTPResponse.Status
    /// Its fields, such as the `Link`s of a 103.
    public let fields: ReceivedFields

    /// Makes an informational response, for stubs.
    public init(status: HTTPResponse.Status, fields: ReceivedFields = ReceivedFields()) {
        self.status = status
        self.fields = fields
    }
}
