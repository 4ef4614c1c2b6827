/// What the session knows of one stream.
struct HTTP2StreamRecord: Sendable {
    /// The place that a stream which we have reset keeps among those that may be open at once.
    enum Place: Sendable, Hashable {
        /// It keeps none.
        case none
        /// It keeps one, and no PING has been sent after the reset.
        case uncovered
        /// It keeps one until the PING on its way is answered.
        case covered
    }

    let id: Int
    var state: HTTP2StreamState
    var place = Place.none
    var sendWindow: HTTP2SendWindow
    var receiveWindow: HTTP2ReceiveWindow
}
