/// The session's record of one stream.
struct HTTP2StreamRecord: Sendable {
    /// Whether a stream that we have reset keeps a place among the streams that may be open at once.
    enum Place: Sendable, Hashable {
        /// The stream keeps no place.
        case none
        /// The stream keeps a place (``HTTP2StreamRecords``), and no PING has been sent after the reset.
        case uncovered
        /// The stream keeps a place until the PING on its way is answered.
        case covered
    }

    let id: Int
    var state: HTTP2StreamState
    var place = Place.none
    var sendWindow: HTTP2SendWindow
    var receiveWindow: HTTP2ReceiveWindow
}
