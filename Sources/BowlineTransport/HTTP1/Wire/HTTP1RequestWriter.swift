package import BowlineCore
package import NIOCore

/// Writes request heads and chunked bodies, and refuses what could be read as something else than was meant (RFC 9112
/// §3, §11.1; RFC 9110 §5.5).
///
/// The caller's fields are normalised to one head with exactly one framing:
///
/// | field | |
/// |---|---|
/// | `Host` | replaces the given host; once, valid |
/// | `Content-Length` | must be the length of the body |
/// | `Transfer-Encoding` | must be `chunked`, and the body too |
/// | `Connection` | `close` is honoured; `keep-alive` and `te` are dropped; `upgrade` counts with an `Upgrade` field only |
/// | `Keep-Alive`, `Proxy-Connection` | are dropped: they speak of the connection, which is ours |
/// | `Upgrade` | adds `Connection: upgrade` |
/// | `TE` | must be `trailers`; adds `Connection: TE` |
/// | `Expect` | must be `100-continue`; dropped if there is no body |
/// | `Cookie` | several lines become one (RFC 6265 §5.4) |
package enum HTTP1RequestWriter {
    /// Appends a head to a buffer. If it throws, the buffer is as it was.
    ///
    /// - Parameter reserve: How many bytes more the buffer is to have room for, behind the head.
    @discardableResult
    package static func write(
        _ head: consuming HTTP1RequestHead, into buffer: inout ByteBuffer, reserve: Int = 0
    ) throws(HTTP1RequestError) -> HTTP1WrittenHead {
        var writing = HTTP1HeadWriting(head)
        let length = try writing.measure()
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length + reserve) {
            memory throws(HTTP1RequestError) in
            var cursor = HTTP1WireCursor(memory)
            try writing.write(to: &cursor)
            return cursor.count
        }
        return writing.written
    }

    /// Appends what stands before a chunk's data.
    ///
    /// - Parameter count: the bytes of data; above zero, since a chunk of zero bytes would end the body.
    package static func writeChunkPrefix(count: Int, into buffer: inout ByteBuffer) {
        precondition(count > 0)
        let digits = (Int.bitWidth - count.leadingZeroBitCount + 3) / 4
        for index in (0..<digits).reversed() {
            let digit = UInt8(truncatingIfNeeded: count >> (index * 4)) & 15
            buffer.writeInteger(digit < 10 ? 0x30 + digit : 0x61 + digit - 10)
        }
        buffer.writeStaticString("\r\n")
    }

    /// Appends what stands after a chunk's data.
    package static func writeChunkSuffix(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("\r\n")
    }

    /// Appends the end of a chunked body. If it throws, the buffer is as it was.
    ///
    /// Fields that frame, route, authenticate or describe a message are refused as trailers (RFC 9110 §6.5.1): a
    /// recipient that merges them would read another message.
    package static func writeLastChunk(
        trailers: HTTPFields? = nil, into buffer: inout ByteBuffer
    ) throws(HTTP1RequestError) {
        let trailers = trailers ?? HTTPFields()
        let length = trailers.reduce(into: 5) { $0 += HTTP1WireCursor.length(of: $1) }
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { memory throws(HTTP1RequestError) in
            var cursor = HTTP1WireCursor(memory)
            cursor.write("0\r\n")
            for field in trailers {
                guard !forbiddenTrailers.contains(field.name.canonicalName) else {
                    throw HTTP1RequestError(.forbiddenTrailer, fieldName: field.name.rawName)
                }
                try cursor.writeLine(field)
            }
            cursor.write("\r\n")
            return cursor.count
        }
    }

    private static let forbiddenTrailers: Set<String> = [
        "transfer-encoding", "content-length", "host", "connection", "keep-alive", "proxy-connection", "upgrade",
        "trailer",
        "te", "cache-control", "expect", "max-forwards", "pragma", "range", "if-match", "if-none-match",
        "if-modified-since", "if-unmodified-since", "if-range", "authorization", "proxy-authorization",
        "proxy-authenticate", "www-authenticate", "cookie", "set-cookie", "content-encoding", "content-type",
        "content-range", "age", "date", "expires", "location", "retry-after", "vary", "warning",
    ]
}
