import BowlineCore
package import NIOCore

/// Parses the responses on one HTTP/1.1 connection strictly, one request at a time, as their bytes arrive.
///
/// The parser has no input or output of its own. Call ``beginResponse(to:)`` when a request is written, and
/// ``append(_:)`` with the bytes of each read. Then call ``next()`` until it returns `needMoreBytes`; appending earlier
/// costs a copy. After ``HTTP1ResponseEvent/end(trailers:)``, bytes are only counted (``leftoverByteCount``) until the
/// next response begins. After an error, the parser returns only that error.
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
/// | `untilClose` | end of input (`end` is returned) | `idle` |
/// | `ending` | (`end` is returned) | `idle` |
/// | `upgraded` | a byte | `failed` |
/// | any | invalid bytes, unexpected end of input | `failed` |
///
/// CPU time is linear in the bytes received. The memory is one head or trailer section (see ``HTTP1Limits``) and the
/// appended bytes.
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
    /// Bytes that were received and not yet parsed. In the states `head` and `trailers` they begin with the section's
    /// first byte.
    var buffer = ByteBuffer()
    var head = HTTP1HeadScanner(kind: .other)
    var chunks = HTTP1ChunkScanner()
    var trailers = HTTP1FieldScanner(isTrailer: true, startingAt: 0)
    var informationalCount = 0
    /// Whether a 1xx said `close`. By RFC 9112 §9.3 only the most recent message counts. Closing also after a 1xx is
    /// safe.
    var informationalCloses = false
    var hasReceivedEOF = false

    /// Whether any byte has arrived since the response began. If none has, the server may never have seen the request.
    package private(set) var hasReceivedAnyByte = false

    /// Bytes that arrived after the end of the last response. The connection must not carry another request if there
    /// are any.
    package private(set) var leftoverByteCount = 0

    /// Bytes that were received and not yet parsed. After `needMoreBytes` they belong to an unfinished head or trailer
    /// section.
    package var bufferedByteCount: Int { buffer.readableBytes }

    /// Makes a parser for a connection.
    package init(limits: HTTP1Limits = HTTP1Limits()) {
        self.limits = limits
    }

    /// Begins the response to a request that is about to be written.
    ///
    /// If there are leftover bytes, the parser fails and ``next()`` throws, because these bytes cannot belong to this
    /// response.
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

    /// Adds bytes that were read.
    package mutating func append(_ bytes: consuming ByteBuffer) {
        let count = bytes.readableBytes
        guard count > 0 else { return }
        switch state {
        case .idle, .upgraded:
            // These bytes are never parsed, so only their number is kept: a peer cannot fill the memory with them.
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

    /// Parses up to the next event.
    ///
    /// - Throws: what is wrong with the response. Each further call throws the same error.
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

    /// Ends the input: no byte will follow. Returns the event that results from this.
    ///
    /// Call it when ``next()`` has returned `needMoreBytes`. Otherwise the next event comes from bytes that are not
    /// parsed yet.
    ///
    /// - Returns: `end` if the end of the input ends the body; nil if no response was in progress.
    /// - Throws: `closedBeforeResponse`, `truncatedHead` or `truncatedBody` if a response was in progress.
    package mutating func receivedEOF() throws(HTTP1ParseError) -> HTTP1ResponseEvent? {
        hasReceivedEOF = true
        let event = try next()
        if case .needMoreBytes = event { return nil }
        return event
    }

    /// Returns `needMoreBytes`: all bytes are used up. Throws if no more will come.
    mutating func starved() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        guard hasReceivedEOF else {
            // Copies the few bytes that are left, instead of keeping the whole buffer of this read. So the next read
            // can reuse the buffer.
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
