package import NIOCore

/// A request that a script has read frame by frame over HTTP/2, with ``RawHTTP2Connection`` or with the test's own
/// reader.
package struct RawHTTP2Request: Sendable {
    /// The connection's number on the server, from 1.
    package let connection: Int
    package let stream: Int
    /// The fields of the head in the order of their arrival, including pseudo-header fields. Trailers are not kept.
    package let fields: [HTTP2WireField]
    /// The first bytes of the body, up to the server's `recordedBodyLimit`.
    package private(set) var body = ByteBuffer()
    /// How many bytes of the body have been received, including those beyond the limit.
    package private(set) var bodyLength = 0
    /// Whether the end of the request has been received.
    package internal(set) var isComplete = false

    init(connection: Int, stream: Int, fields: [HTTP2WireField]) {
        self.connection = connection
        self.stream = stream
        self.fields = fields
    }

    /// Counts bytes of the body. Keeps them until `limit` bytes are kept in all.
    mutating func append(_ bytes: ByteBuffer, keeping limit: Int) {
        bodyLength += bytes.readableBytes
        let count = min(bytes.readableBytes, limit - body.readableBytes)
        guard count > 0, let kept = bytes.getSlice(at: bytes.readerIndex, length: count) else { return }
        // Copied: a slice would keep all bytes of the socket's read in memory.
        body.writeImmutableBuffer(kept)
    }
}

extension LoopbackConnection {
    /// Records the field section of a HEADERS frame: a request's head, or its trailers.
    package func note(_ section: [HTTP2WireField], on stream: Int, endsStream: Bool) {
        server.journal.decoded(section, on: number, stream: stream, endsStream: endsStream)
    }

    /// Records the bytes of a DATA frame, as a part of the request's body.
    package func noteBody(_ bytes: ByteBuffer, on stream: Int, endsStream: Bool) {
        let limit = server.options.recordedBodyLimit
        server.journal.read(bytes, on: number, stream: stream, endsStream: endsStream, keeping: limit)
    }
}
