import BowlineCore
package import NIOCore

/// Parses the responses on one HTTP/1.1 connection, one request at a time, strictly and as their bytes arrive.
///
/// A pure value. Call ``beginResponse(to:)`` when a request is written, ``append(_:)`` with what was read, then
/// ``next()`` until it says `needMoreBytes` (appending before that costs a copy). After
/// ``HTTP1ResponseEvent/end(trailers:)`` bytes are only counted, see ``leftoverByteCount``, until the next response
/// begins. An error is final.
///
/// | state | input | next state |
/// |---|---|---|
/// | `idle` | `beginResponse` | `head`; `failed` if bytes were left over |
/// | `head` | 1xx | `head` |
/// | | final head | `length`, `chunkLine`, `untilClose`, `ending`; `upgraded` after 101 or a 2xx to CONNECT |
/// | `length` | last byte | `ending` |
/// | `chunkLine` | size, zero | `chunkData`, `trailers` |
/// | `chunkData` | last byte, CRLF | `chunkLine` |
/// | `trailers` | empty line | `ending` |
/// | `untilClose` | end of input | `ending` |
/// | `ending` | (`end` is returned) | `idle` |
/// | `upgraded` | a byte | `failed` |
/// | any | what may not be, end of input | `failed` |
///
/// CPU is linear in the bytes received. Memory: one head or trailer section (see ``HTTP1Limits``) and what was
/// appended.
package struct HTTP1ResponseParser: Sendable {
    enum State {
        case idle
        case head
        case length(remaining: Int64)
        case chunkLine
        case chunkData(remaining: Int64)
        case untilClose
        case trailers
        case ending(trailers: ReceivedFields?)
        case upgraded(hasEnded: Bool)
        case failed(HTTP1ParseError)
    }

    let limits: HTTP1Limits
    var state = State.idle
    var kind = RequestKind.other
    /// Received and not yet parsed; in `head` and `trailers` from the section's first byte.
    var buffer = ByteBuffer()
    var head = HTTP1HeadScanner(kind: .other)
    var chunks = HTTP1ChunkScanner()
    var trailers = HTTP1FieldScanner(isTrailer: true, startingAt: 0)
    var informationalCount = 0
    /// A 1xx said `close`; RFC 9112 §9.3 goes by the most recent message, closing is the safe reading of the others.
    var informationalCloses = false
    var hasReceivedEOF = false

    /// Whether any byte has arrived since the response began. Until one has, the server may never have seen the
    /// request.
    package private(set) var hasReceivedAnyByte = false

    /// Bytes that arrived after the end of the last response. The connection must not carry another request if there
    /// are any.
    package private(set) var leftoverByteCount = 0

    /// Bytes that were received and not yet parsed: after `needMoreBytes`, of an unfinished head or trailer section.
    package var bufferedByteCount: Int { buffer.readableBytes }

    /// Makes a parser for a connection.
    package init(limits: HTTP1Limits = HTTP1Limits()) {
        self.limits = limits
    }

    /// Expects the response to a request that is about to be written.
    ///
    /// If bytes are left over, they cannot belong to it: the parser fails then, and ``next()`` says so.
    package mutating func beginResponse(to kind: RequestKind) {
        if case .failed = state { return }
        guard leftoverByteCount == 0, case .idle = state else {
            fail(HTTP1ParseError(.unsolicitedBytes))
            return
        }
        self.kind = kind
        state = .head
        head = HTTP1HeadScanner(kind: kind)
        informationalCount = 0
        informationalCloses = false
        hasReceivedAnyByte = false
    }

    /// Takes over bytes that were read.
    package mutating func append(_ bytes: consuming ByteBuffer) {
        let count = bytes.readableBytes
        guard count > 0 else { return }
        switch state {
        case .idle, .upgraded:
            // Nobody will read them: their number is all that matters, whatever a peer sends.
            leftoverByteCount += count
        case .failed: break
        default:
            hasReceivedAnyByte = true
            if buffer.readableBytes == 0 {
                buffer = bytes
            } else {
                buffer.writeImmutableBuffer(bytes)
            }
        }
    }

    /// Parses on as far as the next event.
    ///
    /// - Throws: what is wrong with the response; the same again at each further call.
    package mutating func next() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        do throws(HTTP1ParseError) {
            switch state {
            case .head: return try nextFromHead()
            case .length(let remaining): return try nextOfLength(remaining)
            case .chunkLine, .chunkData: return try nextOfChunks()
            case .untilClose: return try nextUntilClose()
            case .trailers: return try nextFromTrailers()
            case .ending(let trailers):
                finish()
                return .end(trailers: trailers)
            case .upgraded(let hasEnded):
                guard leftoverByteCount == 0 else { throw HTTP1ParseError(.bytesAfterUpgrade) }
                guard !hasEnded else { return .needMoreBytes }
                state = .upgraded(hasEnded: true)
                return .end(trailers: nil)
            case .idle: return .needMoreBytes
            case .failed(let error): throw error
            }
        } catch {
            fail(error)
            throw error
        }
    }

    /// Says that no byte will follow; returns the event that this makes, if any.
    ///
    /// Call it when ``next()`` has said `needMoreBytes`; if it has not, what is still to be parsed comes first.
    ///
    /// - Returns: `end` if the body was delimited by this, nil if no response was under way.
    /// - Throws: `closedBeforeResponse`, `truncatedHead` or `truncatedBody` if a response was.
    package mutating func receivedEOF() throws(HTTP1ParseError) -> HTTP1ResponseEvent? {
        hasReceivedEOF = true
        let event = try next()
        if case .needMoreBytes = event { return nil }
        return event
    }

    /// What to do when the bytes at hand are used up.
    mutating func starved() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        guard hasReceivedEOF else {
            // What the next read writes into is not to be held for the few bytes that are left of this one.
            buffer = buffer.readableBytes == 0 ? ByteBuffer() : buffer.compact()
            return .needMoreBytes
        }
        switch state {
        case .head:
            throw HTTP1ParseError(hasReceivedAnyByte ? .truncatedHead : .closedBeforeResponse)
        default: throw HTTP1ParseError(.truncatedBody)
        }
    }

    private mutating func finish() {
        leftoverByteCount = buffer.readableBytes
        buffer = ByteBuffer()
        state = .idle
    }

    private mutating func fail(_ error: HTTP1ParseError) {
        state = .failed(error)
        buffer = ByteBuffer()
    }
}
