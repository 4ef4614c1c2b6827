package import NIOCore

/// A request as a script received it that reads HTTP/2 frame by frame: ``RawHTTP2Connection``, or one of a test's own.
package struct RawHTTP2Request: Sendable {
    /// The server's number of the connection, from 1.
    package let connection: Int
    package let stream: Int
    /// The head's fields, pseudo-header fields included, in the order in which they came. Trailers are not kept.
    package let fields: [HTTP2WireField]
    /// The first bytes of the body, up to the server's `recordedBodyLimit`.
    package private(set) var body = ByteBuffer()
    /// How many bytes of the body have come, those beyond the limit included.
    package private(set) var bodyLength = 0
    /// Whether the end of the request has come.
    package internal(set) var isComplete = false

    init(connection: Int, stream: Int, fields: [HTTP2WireField]) {
        self.connection = connection
        self.stream = stream
        self.fields = fields
    }

    /// Takes bytes of the body, of which so many are kept in all.
    mutating func append(_ bytes: ByteBuffer, keeping limit: Int) {
        bodyLength += bytes.readableBytes
        let count = min(bytes.readableBytes, limit - body.readableBytes)
        guard count > 0, let kept = bytes.getSlice(at: bytes.readerIndex, length: count) else { return }
        // Copied: a slice would keep all of what the socket read.
        body.writeImmutableBuffer(kept)
    }
}

extension LoopbackConnection {
    /// Puts the field section of a HEADERS frame on the server's record: a request's head, or its trailers.
    package func note(_ section: [HTTP2WireField], on stream: Int, endsStream: Bool) {
        server.journal.decoded(section, on: number, stream: stream, endsStream: endsStream)
    }

    /// Puts the bytes of a DATA frame on the server's record, behind the head of their request.
    package func noteBody(_ bytes: ByteBuffer, on stream: Int, endsStream: Bool) {
        let limit = server.options.recordedBodyLimit
        server.journal.read(bytes, on: number, stream: stream, endsStream: endsStream, keeping: limit)
    }
}
