internal import BowlineCore
internal import NIOCore

/// A response that is being received: the parts that have arrived, and which of them the caller has.
///
/// | stage | head received | read ended | ended |
/// |---|---|---|---|
/// | awaitingHead | headWaits | nothing | nothing |
/// | headWaits: bytes of the body are kept | – | delivered, with the head | over, with the whole response |
/// | delivered: bytes of the body go to the caller | – | nothing | over, with the body's end |
/// | over | – | nothing | nothing |
///
/// A response that arrives whole in the same read as its head is delivered in one piece.
struct ResponseAssembly {
    /// The parts of the response that the driver must give to the caller.
    enum Delivery {
        case nothing
        /// The head, and the bytes of the body that arrived with it. The rest follows as it arrives.
        case head(ResponseHead, first: ByteBuffer?)
        /// The whole response.
        case whole(ResponseHead, body: ByteBuffer?, trailers: ReceivedFields?)
        /// The end of the body. The caller has the head already.
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
    /// When the parts arrived, and the informational responses before the head.
    private(set) var arrival = ResponseArrival()
    /// The status code of the head; 0: no head has arrived.
    private(set) var status = 0
    /// The length of the body; nil: the head does not say it.
    private(set) var expectedLength: Int64?

    /// Whether the final head has arrived.
    var hasHead: Bool { stage != .awaitingHead }
    /// Whether the caller has the head, and gets bytes of the body as they arrive.
    var isDelivered: Bool { stage == .delivered }
    /// Whether the head has arrived and the caller does not have it yet.
    var awaitsDelivery: Bool { stage == .headWaits }

    /// Notes when the kernel had accepted the whole request.
    mutating func requestSent(at instant: MonotonicInstant) {
        arrival.sent = instant
    }

    /// Notes that bytes of the response, or of an informational one before it, have arrived.
    ///
    /// - Returns: Whether they are the first.
    mutating func bytesReceived(at instant: MonotonicInstant) -> Bool {
        guard arrival.firstByte == nil else { return false }
        arrival.firstByte = instant
        return true
    }

    /// Adds an informational response.
    mutating func informationalReceived(_ response: InformationalResponse) {
        arrival.informational.append(response)
    }

    /// Stores the final head.
    mutating func headReceived(_ head: ResponseHead, expectedLength: Int64?, at instant: MonotonicInstant) {
        guard stage == .awaitingHead else { return }
        stage = .headWaits
        status = head.status.code
        self.head = head
        self.expectedLength = expectedLength
        arrival.head = instant
    }

    /// Keeps bytes of the body until the head is delivered.
    mutating func keep(_ bytes: ByteBuffer) {
        if body == nil {
            body = bytes
        } else {
            var bytes = bytes
            body?.writeBuffer(&bytes)
        }
    }

    /// Stores the trailers.
    mutating func trailersReceived(_ trailers: ReceivedFields) {
        self.trailers = trailers
    }

    /// Records that the current read has ended, and the response is not complete. Returns the head if the caller does
    /// not have it yet.
    mutating func readEnded() -> Delivery {
        guard stage == .headWaits, let head = head.take() else { return .nothing }
        stage = .delivered
        return .head(head, first: body.take())
    }

    /// Records that the response is complete. Returns the parts that the caller does not have yet.
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
