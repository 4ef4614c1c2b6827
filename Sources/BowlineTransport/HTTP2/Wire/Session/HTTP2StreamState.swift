/// The state of one stream, as RFC 9113 §5.1 has it for a client to whom nothing is pushed.
///
/// What we do:
///
/// | state | we end it | we reset it |
/// |---|---|---|
/// | idle | – | – |
/// | open | halfClosedLocal | reset |
/// | halfClosedLocal | nothing | reset |
/// | halfClosedRemote | closed | resetEnded |
/// | reset, resetEnded, closed | nothing | nothing |
///
/// What the peer does:
///
/// | state | HEADERS, DATA | with END_STREAM | RST_STREAM | WINDOW_UPDATE | GOAWAY below | stream violation |
/// |---|---|---|---|---|---|---|
/// | idle | ends all (a) | ends all (a) | ends all (a) | ends all (a) | idle | ends all |
/// | open | open | halfClosedRemote | reset | open | reset | reset |
/// | halfClosedLocal | halfClosedLocal | closed | reset | halfClosedLocal | reset | reset |
/// | halfClosedRemote | resetEnded (b) | resetEnded (b) | reset | halfClosedRemote | reset | resetEnded |
/// | reset | dropped | resetEnded | ignored | ignored | reset | ignored |
/// | resetEnded | ends all (b) | ends all (b) | ignored | ignored | resetEnded | ignored |
/// | closed | ends all (b) | ends all (b) | ignored | ignored | closed | ignored |
///
/// *Ends all*: a violation of the connection, (a) PROTOCOL_ERROR or (b) STREAM_CLOSED, else with the stream violation's
/// code: an idle stream must not be reset (RFC 9113 §6.4). PRIORITY changes nothing in any state; one of a wrong length is a
/// stream violation (§6.3). *Dropped* HEADERS are decoded all the same, so that HPACK stays in step, and dropped DATA counts in the
/// connection's window. A reset stream is closed when ``HTTP2StreamRecords`` forgets it.
enum HTTP2StreamState: Sendable, Hashable, CaseIterable {
    /// Not opened yet, or of an even number.
    case idle
    case open
    /// We have ended the request.
    case halfClosedLocal
    /// The peer has ended the response.
    case halfClosedRemote
    /// One side has reset the stream, or a GOAWAY has. What the peer sent before it knew may still arrive.
    case reset
    /// The same, and the peer had ended the stream, so that nothing may arrive.
    case resetEnded
    /// Both sides have ended the stream, or its reset is forgotten.
    case closed

    /// Whether the caller still knows the stream.
    var isOpen: Bool {
        switch self {
        case .open, .halfClosedLocal, .halfClosedRemote: true
        case .idle, .reset, .resetEnded, .closed: false
        }
    }

    /// Whether we may send DATA and trailers.
    var canSend: Bool {
        switch self {
        case .open, .halfClosedRemote: true
        case .idle, .halfClosedLocal, .reset, .resetEnded, .closed: false
        }
    }
}
