internal import BowlineCore

/// The request bodies that one connection sends: which body is written next, how much of each is in the channel, and
/// which uploads wait for room.
///
/// | event | at rest | due: it has a turn | waits for room |
/// |---|---|---|---|
/// | `add`, something to send | due | – | also due |
/// | `write`, no window or nothing left | – | at rest | unchanged |
/// | `waitForRoom` | waits for room | also waits | – |
/// | `popUploadWithRoom`, few bytes are not written yet | – | – | at rest |
/// | `removeAll` | – | at rest | at rest |
struct HTTP2Uploads<Stream: HTTP2UploadStream> {
    private var turns: HTTP2BodyTurns<Stream>
    private var marks = HTTP2SentMarks<Stream>()
    private var waiting: [Stream] = []

    /// - Parameter channelLimit: How many bytes the channel accepts before it is not writable any more.
    init(channelLimit: Int) {
        turns = HTTP2BodyTurns(channelLimit: channelLimit)
    }

    /// Whether any stream is due. A due stream may have no window.
    var isDue: Bool { !turns.isEmpty }
    /// The stream whose body was written last. 0: none.
    var lastSender: Int { turns.lastSender }

    // MARK: Writing

    /// Whether another head, or more of a body, may be added to an output of `outputByteCount` bytes.
    func hasRoom(in outputByteCount: Int) -> Bool { turns.hasRoom(in: outputByteCount) }

    /// Gives the stream a turn in the next output, if it has something to send.
    mutating func add(_ stream: Stream) {
        if stream.isOpen, stream.sending.isDue { turns.add(stream) }
    }

    /// The trailers of a request that are larger than the peer accepts.
    struct RefusedTrailers {
        let stream: Stream
        let section: HTTP2SectionTooLarge
    }

    /// Writes the bodies in turns, as much as the peer's windows and one output allow.
    ///
    /// - Returns: A stream with trailers that the peer does not accept; call again, there may be more to write. nil:
    ///   nothing more can be written.
    mutating func write(to session: inout HTTP2ClientSession) -> RefusedTrailers? {
        while let (stream, limit) = turns.next(outputByteCount: session.outputByteCount) {
            guard stream.isOpen else { continue }
            // A stream without a window leaves the queue until its window opens.
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

    /// Whether the kernel has accepted everything that was marked.
    var isAllAccepted: Bool { marks.isEmpty }
    /// Whether flushed data still waits for the kernel.
    var awaitsKernel: Bool { marks.awaitsKernel }

    /// Marks a PING that was written.
    mutating func wrotePing(_ number: UInt64) {
        marks.add(.ping(number))
    }

    /// Records that everything written so far is flushed. Returns a number for the flush. Pass it to
    /// ``acceptedNext(upTo:)`` when the kernel has accepted the flush. nil: the flush need not be tracked.
    mutating func flushed() -> Int? { marks.flush() }

    /// Removes and returns the next mark of a flush that the kernel has accepted.
    mutating func acceptedNext(upTo end: Int) -> HTTP2SentMarks<Stream>.Mark? { marks.next(upTo: end) }

    // MARK: Room

    /// Whether any upload waits for room.
    var hasWaiting: Bool { !waiting.isEmpty }

    /// Makes the stream's upload wait until only few of its bytes are not written yet.
    mutating func waitForRoom(_ stream: Stream) {
        if !waiting.contains(where: { $0 === stream }) { waiting.append(stream) }
    }

    /// Removes and returns the next stream whose upload goes on: at most `limit` bytes of it wait to be written.
    ///
    /// Bytes that are already in the channel do not count, so the uploads keep the channel full while the kernel
    /// accepts nothing. A new request then waits in the connection and not in the channel, so it can still move to
    /// another connection.
    mutating func popUploadWithRoom(upTo limit: Int) -> Stream? {
        waiting.removeAll { !$0.isOpen || !$0.isWaitingForRoom }
        guard let index = waiting.firstIndex(where: { $0.sending.cost <= limit }) else { return nil }
        return waiting.remove(at: index)
    }

    /// Removes everything, because the connection has ended.
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
    /// Whether the stream's upload waits for room.
    var isWaitingForRoom: Bool { get }
}
