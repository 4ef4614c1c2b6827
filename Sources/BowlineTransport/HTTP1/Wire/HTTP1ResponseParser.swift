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
    private enum State {
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

    private let limits: HTTP1Limits
    private var state = State.idle
    private(set) var kind = RequestKind.other
    /// Bytes that were received and not yet parsed. In the states `head` and `trailers` they begin with the section's
    /// first byte.
    private var buffer = ByteBuffer()
    private var head = HTTP1HeadScanner(kind: .other)
    private var chunks = HTTP1ChunkScanner()
    private var trailers = HTTP1FieldScanner(isTrailer: true, startingAt: 0)
    private var informationalCount = 0
    /// Whether a 1xx said `close`. By RFC 9112 §9.3 only the most recent message counts. It is safe to close after a
    /// 1xx too.
    private var informationalCloses = false
    private var hasReceivedEOF = false

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
    private mutating func starved() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
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

    // MARK: The head

    private mutating func nextFromHead() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        guard try scanHead() else { return try starved() }
        let framing = try bodyFraming()
        let head = try takeHead(framing)
        if head.statusCode < 200, head.statusCode != 101 {
            informationalCount += 1
            guard informationalCount <= limits.maximumInformationalResponses else {
                throw HTTP1ParseError(.tooManyInformationalResponses)
            }
            informationalCloses = informationalCloses || self.head.fields.framing.closes
            self.head = HTTP1HeadScanner(kind: kind)
            return .informational(head)
        }
        switch framing {
        case .none: state = isUpgrade ? .upgraded(hasEnded: false) : .ending(trailers: nil)
        case .length(let length): state = length == 0 ? .ending(trailers: nil) : .length(remaining: length)
        case .chunked:
            state = .chunkLine
            chunks = HTTP1ChunkScanner()
        case .untilClose: state = .untilClose
        }
        if isUpgrade, buffer.readableBytes > 0 {
            // HTTP ends here, and no other protocol has begun yet, so the peer has no reason to send bytes.
            throw HTTP1ParseError(.bytesAfterUpgrade)
        }
        return .head(head, framing)
    }

    private mutating func scanHead() throws(HTTP1ParseError) -> Bool {
        let view = buffer
        return try view.withUnsafeReadableBytes { bytes throws(HTTP1ParseError) in
            try head.scan(bytes, limits: limits)
        }
    }

    /// Whether the current head ends HTTP on the connection.
    private var isUpgrade: Bool {
        head.statusCode == 101 || kind == .connect && 200...299 ~= head.statusCode
    }

    /// Returns the framing of the body, by the rules of RFC 9112 §6.3 in their order.
    private func bodyFraming() throws(HTTP1ParseError) -> HTTP1BodyFraming {
        let fields = head.fields.framing
        if head.statusCode == 101, kind != .upgrade { throw HTTP1ParseError(.unsolicitedUpgrade) }
        if fields.ignoresFraming || kind == .head || head.statusCode == 204 || head.statusCode == 304 { return .none }
        if fields.isChunked { return .chunked }
        if let length = fields.contentLength { return .length(length) }
        return .untilClose
    }

    /// Removes the head from the buffer and returns it.
    private mutating func takeHead(_ framing: HTTP1BodyFraming) throws(HTTP1ParseError) -> HTTP1ResponseHead {
        let bytes = takeSection(head.fields, isBodyHere: isBodyHere(framing))
        let reason = bytes.getSlice(at: bytes.readerIndex + head.reasonStart, length: head.reasonEnd - head.reasonStart)
        let fields = head.fields.framing
        return HTTP1ResponseHead(
            statusCode: head.statusCode,
            minorVersion: head.minorVersion,
            reasonBytes: reason ?? ByteBuffer(),
            fields: ReceivedFields(bytes: bytes, spans: head.fields.spans),
            persistence: HTTP1ResponseHead.Persistence(
                keepAlive: mayKeepAlive(framing), keepAliveTimeout: fields.keepAliveTimeout
            )
        )
    }

    /// Whether the buffer contains the whole body after the head.
    private func isBodyHere(_ framing: HTTP1BodyFraming) -> Bool {
        switch framing {
        case .none: true
        case .length(let length): buffer.readableBytes - head.length >= length
        case .chunked, .untilClose: false
        }
    }

    /// Whether the connection may carry another request after this response (RFC 9112 §9.3).
    private func mayKeepAlive(_ framing: HTTP1BodyFraming) -> Bool {
        let fields = head.fields.framing
        guard !fields.closes, !informationalCloses, !isUpgrade, framing != .untilClose else { return false }
        // A server that announces a body with a 204 may also send that body. We would then read the body as the next
        // response.
        if head.statusCode == 204, fields.isChunked || fields.contentLength ?? 0 > 0 { return false }
        return !fields.isHTTP10 || fields.keepsAlive
    }

    /// Removes a complete section from the buffer, and joins its folded values.
    ///
    /// - Parameter isBodyHere: Whether the caller gets the body from the same bytes. If more must be read, the section
    ///   is copied: the fields live as long as the response and would keep the buffer from being reused.
    private mutating func takeSection(_ section: HTTP1FieldScanner, isBodyHere: Bool) -> ByteBuffer {
        guard var bytes = buffer.readSlice(length: section.position) else { return ByteBuffer() }
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        if !section.folds.isEmpty {
            bytes.withUnsafeMutableReadableBytes { section.applyFolds(to: $0) }
        } else if !isBodyHere || bytes.storageCapacity > Self.largestSharedStorage {
            bytes = ByteBuffer(bytes: bytes.readableBytesView)
        }
        return bytes
    }

    private static var largestSharedStorage: Int { 16 * 1024 }

    // MARK: The body and its trailers

    private mutating func nextOfLength(_ remaining: Int64) throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        guard let bytes = takeBytes(upTo: remaining) else { return try starved() }
        let left = remaining - Int64(bytes.readableBytes)
        state = left == 0 ? .ending(trailers: nil) : .length(remaining: left)
        return .body(bytes)
    }

    private mutating func nextUntilClose() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        if let bytes = takeBytes(upTo: .max) { return .body(bytes) }
        guard hasReceivedEOF else { return .needMoreBytes }
        state = .idle
        return .end(trailers: nil)
    }

    private mutating func nextOfChunks() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        while true {
            if case .chunkData(let remaining) = state {
                guard let bytes = takeBytes(upTo: remaining) else { return try starved() }
                let left = remaining - Int64(bytes.readableBytes)
                chunks.dataDelivered(bytes.readableBytes)
                if left == 0 {
                    chunks.dataEnded()
                    state = .chunkLine
                } else {
                    state = .chunkData(remaining: left)
                }
                return .body(bytes)
            }
            switch try scanChunkLine() {
            case .needsMore: return try starved()
            case .dataEnd: break
            case .chunk(size: 0):
                state = .trailers
                trailers = HTTP1FieldScanner(isTrailer: true, startingAt: 0)
                return try nextFromTrailers()
            case .chunk(let size): state = .chunkData(remaining: size)
            }
        }
    }

    private mutating func nextFromTrailers() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
        let view = buffer
        let limits = limits
        let isComplete = try view.withUnsafeReadableBytes { bytes throws(HTTP1ParseError) in
            let window = UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, limits.maximumTrailerBytes)])
            if try trailers.scan(window, limits: limits) { return true }
            guard window.count < limits.maximumTrailerBytes else { throw HTTP1ParseError(.trailersTooLarge) }
            return false
        }
        guard isComplete else { return try starved() }
        let bytes = takeSection(trailers, isBodyHere: true)
        state = .ending(trailers: trailers.spans.isEmpty ? nil : ReceivedFields(bytes: bytes, spans: trailers.spans))
        return try next()
    }

    private mutating func scanChunkLine() throws(HTTP1ParseError) -> HTTP1ChunkScanner.Result {
        let view = buffer
        let (result, used) = try view.withUnsafeReadableBytes { bytes throws(HTTP1ParseError) in
            try chunks.scan(bytes, limits: limits)
        }
        buffer.moveReaderIndex(forwardBy: used)
        return result
    }

    /// Removes at most `limit` bytes from the buffer and returns them; nil: the buffer is empty.
    private mutating func takeBytes(upTo limit: Int64) -> ByteBuffer? {
        let available = buffer.readableBytes
        guard available > 0 else { return nil }
        if Int64(available) <= limit {
            defer { buffer = ByteBuffer() }
            return buffer
        }
        return buffer.readSlice(length: Int(limit))
    }
}
