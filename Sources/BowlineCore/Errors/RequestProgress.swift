/// How far a request got before it failed. This decides whether it can do harm to send the request again.
public enum RequestProgress: String, Sendable, Hashable, CaseIterable {
    /// No byte of the request was written to a connection: the service cannot have seen it.
    case neverSent
    /// The service said that it did not process the request. It can say so over HTTP/2: by `REFUSED_STREAM`, or by a
    /// GOAWAY with a last id below the request's stream. Or a proxy answered the request with 407.
    case refused
    /// Bytes were written and no response byte arrived: the service may or may not have acted on the request.
    case ambiguous
    /// At least one byte of a response has arrived, perhaps of an informational one.
    case responseStarted

    /// Returns the further of the two values: the value at which the service may have seen more of the request.
    package func furthest(_ other: RequestProgress) -> RequestProgress {
        rank >= other.rank ? self : other
    }

    private var rank: Int {
        switch self {
        case .neverSent: 0
        case .refused: 1
        case .ambiguous: 2
        case .responseStarted: 3
        }
    }
}

/// A request's phase at one moment.
public enum RequestPhase: UInt8, Sendable, Hashable, CaseIterable {
    /// The call is admitted, but not in the transport: before, between or after its attempts.
    case pipeline
    /// The request waits for a connection to become free.
    case queued
    /// The request waits for a dial: name resolution, TCP, the proxy, TLS.
    case connecting
    /// The head and the body are being sent.
    case sending
    /// The whole request was sent, and the client waits for the response head.
    case awaitingHead
    /// The response body is being received.
    case receivingBody
    /// The call waits before another attempt.
    case backoff
}

extension RequestPhase: CustomStringConvertible {
    /// The phase's name.
    public var description: String {
        switch self {
        case .pipeline: "pipeline"
        case .queued: "queued"
        case .connecting: "connecting"
        case .sending: "sending"
        case .awaitingHead: "awaitingHead"
        case .receivingBody: "receivingBody"
        case .backoff: "backoff"
        }
    }
}
