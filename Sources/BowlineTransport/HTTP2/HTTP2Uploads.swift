internal import BowlineCore

/// The bodies of one connection's requests on their way to the network: which is written next, what the channel has of them, and
/// which uploads wait for room.
///
/// | event | at rest | due: it has a turn | waits for room |
/// |---|---|---|---|
/// | `add`, something to send | due | – | also due |
/// | `write`, no window, or nothing left | – | at rest | as it was |
/// | `waitForRoom` | waits for room | also waits | – |
/// | `popRoomy`, little is left unwritten | – | – | at rest |
/// | `removeAll` | – | at rest | at rest |
struct HTTP2Uploads<Stream: HTTP2UploadStream> {
    private var turns: HTTP2BodyTurns<Stream>
    private var marks = HTTP2SentMarks<Stream>()
    private var waiting: [Stream] = []

    /// - Parameter channelLimit: How many bytes may lie in the channel before it says that it is full.
    init(channelLimit: Int) {
        turns = HTTP2BodyTurns(channelLimit: channelLimit)
    }

    /// Whether any stream has something to send, as far as is known.
    var isDue: Bool { !turns.isEmpty }
    /// The stream of whose body a piece was written last; 0: none was.
    var lastSender: Int { turns.lastSender }

    // MARK: Writing

    /// Whether another head, or more of a body, may be written to an output that has so many bytes.
    func hasRoom(in outputByteCount: Int) -> Bool { turns.hasRoom(in: outputByteCount) }

    /// The stream has its turn when the next output is put together, if it has something to send.
    mutating func add(_ stream: Stream) {
        if stream.isOpen, stream.sending.isDue { turns.add(stream) }
    }

    /// A request's trailers that the peer does not accept.
    struct RefusedTrailers {
        let stream: Stream
        let section: HTTP2SectionTooLarge
    }

    /// Writes as much of the bodies as the peer's windows and one output allow, in turns.
    ///
    /// - Returns: A stream that cannot be ended, after which there may be more to write; nil: there is not.
    mutating func write(to session: inout HTTP2ClientSession) -> RefusedTrailers? {
        while let (stream, limit) = turns.next(outputByteCount: session.outputByteCount) {
            guard stream.isOpen else { continue }
            // Without a window it leaves the queue until one opens.
            guard let piece = stream.sending.next(upTo: min(limit, session.sendable(on: stream.id))) else { continue }
            let count = piece.bytes.readableBytes
            if count > 0 { turns.wrote(on: stream.id) }
            if count > 0 || piece.endsStream {
                session.send(piece.bytes, endsStream: piece.endsStream, on: stream.id)
                marks.add(.body(stream, count: count, isLast: piece.endsStream))
            }
            if let trailers = piece.trailers {
                do throws(HTTP2SectionTooLarge) {
                    try session.sendTrailers(HTTP2RequestTrailers(trailers), on: stream.id)
                } catch {
                    return RefusedTrailers(stream: stream, section: error)
                }
                marks.add(.body(stream, count: 0, isLast: true))
            }
            add(stream)
        }
        return nil
    }

    // MARK: What the channel has

    /// Whether nothing is marked that the network has not taken.
    var isAllTaken: Bool { marks.isEmpty }
    /// Whether the network has not taken all that was flushed.
    var awaitsNetwork: Bool { marks.awaitsNetwork }

    /// A PING was written.
    mutating func wrotePing(_ number: UInt64) {
        marks.add(.ping(number))
    }

    /// What was written goes out with this flush. Returns what ``takenNext(upTo:)`` takes; nil: the flush need not be followed.
    mutating func flushed() -> Int? { marks.flush() }

    /// The next thing in a flush that the network has taken.
    mutating func takenNext(upTo end: Int) -> HTTP2SentMarks<Stream>.Mark? { marks.next(upTo: end) }

    // MARK: Room

    /// Whether any upload waits for room.
    var hasWaiting: Bool { !waiting.isEmpty }

    /// The stream's upload waits until little of it is left unwritten.
    mutating func waitForRoom(_ stream: Stream) {
        if !waiting.contains(where: { $0 === stream }) { waiting.append(stream) }
    }

    /// Takes the next stream whose upload goes on: one of which at most so much waits to be written.
    ///
    /// What the channel still has of it does not count. So the channel is full whenever the network is, and a new request then
    /// waits here, where it can be taken back.
    mutating func popRoomy(upTo limit: Int) -> Stream? {
        waiting.removeAll { !$0.isOpen || !$0.isWaitingForRoom }
        guard let index = waiting.firstIndex(where: { $0.sending.cost <= limit }) else { return nil }
        return waiting.remove(at: index)
    }

    /// The connection has ended.
    mutating func removeAll() {
        turns.removeAll()
        marks.removeAll()
        waiting = []
    }
}

/// A stream that sends a body.
protocol HTTP2UploadStream: HTTP2BodySender, HTTP2TableStream {
    var id: Int { get }
    var sending: HTTP2SendQueue { get set }
    /// Whether its upload waits for room.
    var isWaitingForRoom: Bool { get }
}
