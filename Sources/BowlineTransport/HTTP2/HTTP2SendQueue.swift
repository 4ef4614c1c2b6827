internal import BowlineCore
internal import NIOCore

/// A request's body on its way: what waits to be written, what the channel has, what the network has taken, and how the request
/// ends behind it.
///
/// | ending | bytes wait | none wait |
/// |---|---|---|
/// | open | a piece is written | nothing is |
/// | withBody | the last piece ends the stream | an empty one ends it |
/// | withTrailers | the trailers follow the last piece | the trailers are written |
/// | written | – | nothing is |
struct HTTP2SendQueue {
    /// How the request ends.
    enum Ending {
        /// More of the body may come.
        case open
        /// With the last byte of the body.
        case withBody
        /// With these fields behind the body.
        case withTrailers(CheckedTrailers)
        /// The end has been written.
        case written
    }

    /// The chunk that is being written: what is left of it.
    private var current: ByteBuffer?
    /// Those behind it. Most bodies have none.
    private var rest: ChunkQueue?
    var ending = Ending.open
    /// Bytes that the channel was given and the network has not taken.
    private(set) var bytesInChannel = 0
    /// Bytes that the network has taken.
    private(set) var sentBytes = 0
    /// Whether the network has taken any since this was last forgotten.
    private(set) var hasProgress = false

    /// Bytes that wait to be written.
    var byteCount: Int { (current?.readableBytes ?? 0) + (rest?.byteCount ?? 0) }

    /// What waits costs its bytes, and something for each chunk.
    var cost: Int { byteCount + (rest?.count ?? 0) * 256 }

    /// What the network has not taken: what waits, and what the channel has.
    var unsentCost: Int { cost + bytesInChannel }

    /// Whether there is something to be written: bytes, or the end.
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

    /// Takes so many bytes from the front, or as many of them as lie in one piece.
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

    /// What is written next.
    struct Piece {
        let bytes: ByteBuffer
        /// Whether the stream ends with the bytes, which may be none.
        let endsStream: Bool
        /// The fields that end the stream behind the bytes.
        let trailers: CheckedTrailers?
    }

    /// Takes what is to be written now, of the body at most `limit` bytes; nil: nothing.
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

    /// The network has taken so many bytes of what the channel was given.
    mutating func sent(_ count: Int) {
        bytesInChannel -= count
        sentBytes += count
        hasProgress = true
    }

    /// Progress counts from here on.
    mutating func forgetProgress() {
        hasProgress = false
    }

    /// Nothing more is to be written.
    mutating func drop() {
        current = nil
        rest = nil
        ending = .written
    }
}
