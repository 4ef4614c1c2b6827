import BowlineCore
import NIOCore

extension HTTP1ResponseParser {
    mutating func nextFromHead() throws(HTTP1ParseError) -> HTTP1ResponseEvent {
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
            // Whatever they are, they are not HTTP, and nobody has spoken anything else yet.
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

    /// Whether the head at hand ends HTTP on the connection.
    private var isUpgrade: Bool {
        head.statusCode == 101 || kind == .connect && 200...299 ~= head.statusCode
    }

    /// RFC 9112 §6.3, in its order.
    private func bodyFraming() throws(HTTP1ParseError) -> HTTP1BodyFraming {
        let fields = head.fields.framing
        if head.statusCode == 101, kind != .upgrade { throw HTTP1ParseError(.unsolicitedUpgrade) }
        if fields.ignoresFraming || kind == .head || head.statusCode == 204 || head.statusCode == 304 { return .none }
        if fields.isChunked { return .chunked }
        if let length = fields.contentLength { return .length(length) }
        return .untilClose
    }

    /// Takes the head off the buffer.
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

    /// Whether the body is in the buffer, behind the head, to its end.
    private func isBodyHere(_ framing: HTTP1BodyFraming) -> Bool {
        switch framing {
        case .none: true
        case .length(let length): buffer.readableBytes - head.length >= length
        case .chunked, .untilClose: false
        }
    }

    /// Whether the connection may live on after this response (RFC 9112 §9.3).
    private func mayKeepAlive(_ framing: HTTP1BodyFraming) -> Bool {
        let fields = head.fields.framing
        guard !fields.closes, !informationalCloses, !isUpgrade, framing != .untilClose else { return false }
        // A server that announces a body with a 204 may well send it too, when the next response is awaited.
        if head.statusCode == 204, fields.isChunked || fields.contentLength ?? 0 > 0 { return false }
        return !fields.isHTTP10 || fields.keepsAlive
    }

    /// Takes a complete section off the buffer, its folded values put together.
    ///
    /// - Parameter isBodyHere: Whether the caller gets the body from the same bytes. If more is to be read, the buffer had
    ///   better be free for that than held by fields, which live as long as the response.
    mutating func takeSection(_ section: HTTP1FieldScanner, isBodyHere: Bool) -> ByteBuffer {
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
}
