internal import BowlineCore
internal import NIOCore

/// A response that is being received: what of it has come, and what of that the caller has been given.
///
/// | stage | head received | read ended | ended |
/// |---|---|---|---|
/// | awaitingHead | headWaits | nothing | nothing |
/// | headWaits: bytes of the body are kept | – | delivered, with the head | over, with the whole response |
/// | delivered: bytes of the body go to the caller | – | nothing | over, with the body's end |
/// | over | – | nothing | nothing |
///
/// A response that has come whole before its first read has ended is handed over in one piece.
struct ResponseAssembly {
    /// What the caller is to be given.
    enum Delivery {
        case nothing
        /// The head, and what of the body has come with it. The rest follows as it comes.
        case head(ResponseHead, first: ByteBuffer?)
        /// All of the response.
        case whole(ResponseHead, body: ByteBuffer?, trailers: ReceivedFields?)
        /// The end of the body that the caller is being given.
        case rest(trailers: ReceivedFields?)
    }

    private enum Stage {
        case awaitingHead
        case headWaits
        case delivered
        case over
    }

    private var stage = Stage.awaitingHead
    private var head: ResponseHead?
    private var body: ByteBuffer?
    private var trailers: ReceivedFields?
    /// When the parts came, and what came before the head.
    private(set) var arrival = ResponseArrival()
    /// The status code of the head; 0: none has come.
    private(set) var status = 0
    /// How long the body is, if the head says that.
    private(set) var expectedLength: Int64?

    /// A final head has come.
    var hasHead: Bool { stage != .awaitingHead }
    /// The caller has the head, and gets bytes of the body as they come.
    var isDelivered: Bool { stage == .delivered }
    /// The head has come, and the caller has yet to get it.
    var awaitsDelivery: Bool { stage == .headWaits }

    /// The network has taken the request whole.
    mutating func requestSent(at instant: MonotonicInstant) {
        arrival.sent = instant
    }

    /// Bytes of the response, or of one before it, have come.
    ///
    /// - Returns: Whether they are the first.
    mutating func bytesReceived(at instant: MonotonicInstant) -> Bool {
        guard arrival.firstByte == nil else { return false }
        arrival.firstByte = instant
        return true
    }

    /// An informational response has come.
    mutating func informationalReceived(_ response: InformationalResponse) {
        arrival.informational.append(response)
    }

    /// The final head has come.
    mutating func headReceived(_ head: ResponseHead, expectedLength: Int64?, at instant: MonotonicInstant) {
        guard stage == .awaitingHead else { return }
        stage = .headWaits
        status = head.status.code
        self.head = head
        self.expectedLength = expectedLength
        arrival.head = instant
    }

    /// Keeps bytes of the body until the head is handed over.
    mutating func keep(_ bytes: ByteBuffer) {
        if body == nil {
            body = bytes
        } else {
            var bytes = bytes
            body?.writeBuffer(&bytes)
        }
    }

    /// The fields behind the body have come.
    mutating func trailersReceived(_ trailers: ReceivedFields) {
        self.trailers = trailers
    }

    /// Everything that has come in this read is here, and the response goes on.
    mutating func readEnded() -> Delivery {
        guard stage == .headWaits, let head = head.take() else { return .nothing }
        stage = .delivered
        return .head(head, first: body.take())
    }

    /// The response is whole.
    mutating func ended() -> Delivery {
        switch stage {
        case .awaitingHead, .over: return .nothing
        case .delivered:
            stage = .over
            return .rest(trailers: trailers.take())
        case .headWaits:
            stage = .over
            guard let head = head.take() else { return .nothing }
            return .whole(head, body: body.take(), trailers: trailers.take())
        }
    }
}
