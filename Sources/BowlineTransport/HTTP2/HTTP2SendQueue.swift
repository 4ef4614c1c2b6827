internal import BowlineCore
internal import NIOCore

/// What of a request's body waits to be written, and how the request ends behind it.
struct HTTP2SendQueue {
    /// How the request ends.
    enum Ending {
        /// More of the body may come.
        case open
        /// With the last byte of the body.
        case withBody
        /// With these fields behind the body.
        case withTrailers(HTTPFields)
        /// The end has been written.
        case written
    }

    /// The chunk that is being written: what is left of it.
    private var current: ByteBuffer?
    /// Those behind it. Most bodies have none.
    private var rest: ChunkQueue?
    var ending = Ending.open

    var byteCount: Int { (current?.readableBytes ?? 0) + (rest?.byteCount ?? 0) }

    /// What waits costs its bytes, and something for each chunk.
    var cost: Int { byteCount + (rest?.count ?? 0) * 256 }

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

    /// Nothing more is to be written.
    mutating func drop() {
        current = nil
        rest = nil
        ending = .written
    }
}
