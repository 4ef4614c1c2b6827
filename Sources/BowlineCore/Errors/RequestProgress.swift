/// How far a request got before it failed. This decides whether sending it again can do harm.
public enum RequestProgress: String, Sendable, Hashable, CaseIterable {
    /// No byte of the request was handed to the network: the service cannot have seen it.
    case neverSent
    /// The service said that it did not process the request (HTTP/2 `REFUSED_STREAM`, or a stream above GOAWAY's last
    /// id).
    case refused
    /// Bytes were written and no response byte arrived: the service may or may not have acted on the request.
    case ambiguous
    /// At least one byte of a response has arrived, perhaps of an informational one.
    case responseStarted

    /// Returns the further of the two: the progress at which the service may have seen more of the request.
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
    /// The call is admitted, but not in the transport: before, between or after attempts.
    case pipeline
    /// The request waits for a connection to become free.
    case queued
    /// The request waits for a dial: name resolution, TCP, TLS.
    case connecting
    /// The head and the body are being sent.
    case sending
    /// The request was sent whole, and waits for the response head.
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
