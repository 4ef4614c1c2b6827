/// The state of one stream (RFC 9113 §5.1), for a client that accepts no push.
///
/// Our events:
///
/// | state | we end it | we reset it |
/// |---|---|---|
/// | idle | – | – |
/// | open | halfClosedLocal | reset |
/// | halfClosedLocal | nothing | reset |
/// | halfClosedRemote | closed | resetEnded |
/// | reset, resetEnded, closed | nothing | nothing |
///
/// The peer's events:
///
/// | state | HEADERS, DATA | with END_STREAM | RST_STREAM | WINDOW_UPDATE | GOAWAY of a lower stream | stream violation |
/// |---|---|---|---|---|---|---|
/// | idle | ends all (a) | ends all (a) | ends all (a) | ends all (a) | idle | ends all |
/// | open | open | halfClosedRemote | reset | open | reset | reset |
/// | halfClosedLocal | halfClosedLocal | closed | reset | halfClosedLocal | reset | reset |
/// | halfClosedRemote | resetEnded (b) | resetEnded (b) | reset | halfClosedRemote | reset | resetEnded |
/// | reset | dropped | resetEnded | ignored | ignored | reset | ignored |
/// | resetEnded | ends all (b) | ends all (b) | ignored | ignored | resetEnded | ignored |
/// | closed | ends all (b) | ends all (b) | ignored | ignored | closed | ignored |
///
/// *Ends all*: a violation of the connection. Its code is (a) PROTOCOL_ERROR or (b) STREAM_CLOSED. Without a mark, the
/// code is that of the stream violation. Such a violation ends the connection, because RST_STREAM must not be sent for
/// an idle stream (RFC 9113 §6.4). PRIORITY changes nothing in any state; PRIORITY of a wrong length is a stream
/// violation (§6.3). *Dropped* HEADERS are still decoded, to keep the HPACK table in step. Dropped DATA counts in the
/// connection's window. A reset stream becomes closed when ``HTTP2StreamRecords`` forgets it.
enum HTTP2StreamState: Sendable, Hashable, CaseIterable {
    /// The stream was not opened yet, or its number is even.
    case idle
    case open
    /// We have ended the request.
    case halfClosedLocal
    /// The peer has ended the response.
    case halfClosedRemote
    /// One side has reset the stream, or a GOAWAY has ended it. Frames that the peer sent before it knew of the end may
    /// still arrive.
    case reset
    /// The same as `reset`, but the peer had ended the stream, so that no frame may arrive.
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
