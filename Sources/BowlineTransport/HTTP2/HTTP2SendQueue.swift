internal import BowlineCore
internal import NIOCore

/// The body of one request while it is sent: chunks that wait to be written, bytes in the channel, and how the request
/// ends.
///
/// What ``next(upTo:)`` writes:
///
/// | ending | bytes wait | no bytes wait |
/// |---|---|---|
/// | open | a piece | nothing |
/// | withBody | the last piece, which ends the stream | an empty piece, which ends the stream |
/// | withTrailers | the last piece, then the trailers | the trailers |
/// | written | – | nothing |
struct HTTP2SendQueue {
    /// How the request ends.
    enum Ending {
        /// The caller may add more of the body.
        case open
        /// The request ends with the last byte of the body.
        case withBody
        /// The request ends with these trailers, which follow the body.
        case withTrailers(CheckedTrailers)
        /// The end of the request has been written.
        case written
    }

    /// The rest of the chunk that is being written.
    private var current: ByteBuffer?
    /// The chunks after `current`. Most bodies have none.
    private var rest: ChunkQueue?
    var ending = Ending.open
    /// Bytes that the channel was given and the kernel has not accepted yet.
    private(set) var bytesInChannel = 0
    /// Bytes that the kernel has accepted.
    private(set) var sentBytes = 0
    /// Whether the kernel has accepted bytes since the last ``forgetProgress()``.
    private(set) var hasProgress = false

    /// Bytes that wait to be written.
    var byteCount: Int { (current?.readableBytes ?? 0) + (rest?.byteCount ?? 0) }

    /// The memory that the waiting chunks cost: their bytes, plus 256 bytes for each chunk after the first.
    var cost: Int { byteCount + (rest?.count ?? 0) * 256 }

    /// The cost of everything that the kernel has not accepted: the waiting chunks and the bytes in the channel.
    var unsentCost: Int { cost + bytesInChannel }

    /// Whether there is something to write: bytes, or the end of the request.
    var isDue: Bool {
        if byteCount > 0 { return true }
        switch ending {
        case .withBody, .withTrailers: return true
        case .open, .written: return false
        }
    }

    mutating func append(_ chunk: ByteBuffer) {
        guard chunk.readableBytes > 0 else { return }
        if current == nil, rest == nil {
            current = chunk
        } else {
            if rest == nil { rest = ChunkQueue() }
            rest?.append(chunk)
        }
    }

    /// Removes and returns at most `count` bytes from the front; fewer if the first chunk is shorter.
    mutating func take(_ count: Int) -> ByteBuffer {
        if current == nil {
            current = rest?.popFirst()
            if rest?.isEmpty == true { rest = nil }
        }
        if let current, current.readableBytes <= count {
            self.current = nil
            return current
        }
        return current?.readSlice(length: count) ?? ByteBuffer()
    }

    /// The next part of the request to write.
    struct Piece {
        let bytes: ByteBuffer
        /// Whether the stream ends with `bytes`, which may be empty.
        let endsStream: Bool
        /// The trailers that follow `bytes` and end the stream. nil: none.
        let trailers: CheckedTrailers?
    }

    /// Removes and returns the next part to write, with at most `limit` bytes of the body. nil: nothing can be written.
    mutating func next(upTo limit: Int) -> Piece? {
        var bytes = ByteBuffer()
        if byteCount > 0 {
            guard limit > 0 else { return nil }
            bytes = take(min(limit, byteCount))
            bytesInChannel += bytes.readableBytes
            guard byteCount == 0 else { return Piece(bytes: bytes, endsStream: false, trailers: nil) }
        }
        switch ending {
        case .open, .written:
            return bytes.readableBytes > 0 ? Piece(bytes: bytes, endsStream: false, trailers: nil) : nil
        case .withBody:
            ending = .written
            return Piece(bytes: bytes, endsStream: true, trailers: nil)
        case .withTrailers(let trailers):
            ending = .written
            return Piece(bytes: bytes, endsStream: false, trailers: trailers)
        }
    }

    /// Records that the kernel has accepted `count` of the bytes in the channel.
    mutating func sent(_ count: Int) {
        bytesInChannel -= count
        sentBytes += count
        hasProgress = true
    }

    /// Resets ``hasProgress``: only later progress counts.
    mutating func forgetProgress() {
        hasProgress = false
    }

    /// Drops the rest of the request: nothing more is written.
    mutating func drop() {
        current = nil
        rest = nil
        ending = .written
    }
}
