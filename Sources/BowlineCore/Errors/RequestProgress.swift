/// How far a request got before it failed, which decides whether sending it again can do harm.
public enum RequestProgress: String, Sendable, Hashable, CaseIterable {
    /// No byte of it was handed to the network: the service cannot have seen it.
    case neverSent
    /// The service said that it did not process it (HTTP/2 `REFUSED_STREAM`, or a stream above GOAWAY's last id).
    case refused
    /// Bytes were written and no response byte came: the service may or may not have acted on it.
    case ambiguous
    /// At least one byte of a response, informational ones included, was received.
    case responseStarted

    /// The further of two, by how much the service may have seen.
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

/// The phase of a request at a given moment.
public enum RequestPhase: UInt8, Sendable, Hashable, CaseIterable {
    /// Admitted; in the pipeline, not yet (or no longer) in the transport.
    case pipeline
    /// Waiting for a connection to become free or established.
    case queued
    /// Resolving, connecting or shaking hands.
    case connecting
    /// Sending head and body.
    case sending
    /// Sent whole; waiting for the response head.
    case awaitingHead
    /// Receiving the response body.
    case receivingBody
    /// Sleeping before another attempt.
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
