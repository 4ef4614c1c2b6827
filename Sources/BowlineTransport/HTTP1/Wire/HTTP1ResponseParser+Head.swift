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
