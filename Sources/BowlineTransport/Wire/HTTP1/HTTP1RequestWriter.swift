package import HTTPTypes
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
    @discardableResult
    package static func write(
        _ head: HTTP1RequestHead, into buffer: inout ByteBuffer
    ) throws(HTTP1RequestError) -> HTTP1WrittenHead {
        let start = buffer.writerIndex
        do throws(HTTP1RequestError) {
            var writing = HTTP1HeadWriting(head)
            return try writing.write(into: &buffer)
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
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
        let start = buffer.writerIndex
        buffer.writeStaticString("0\r\n")
        do throws(HTTP1RequestError) {
            for field in trailers ?? HTTPFields() {
                guard !forbiddenTrailers.contains(field.name.canonicalName) else {
                    throw HTTP1RequestError(.forbiddenTrailer, fieldName: field.name.rawName)
                }
                try writeLine(field, into: &buffer)
            }
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
        buffer.writeStaticString("\r\n")
    }

    static func writeLine(_ field: HTTPField, into buffer: inout ByteBuffer) throws(HTTP1RequestError) {
        try writeName(field.name, into: &buffer)
        try writeValue(of: field, into: &buffer)
        buffer.writeStaticString("\r\n")
    }

    /// Writes a name with its colon and space.
    static func writeName(_ name: HTTPField.Name, into buffer: inout ByteBuffer) throws(HTTP1RequestError) {
        guard writeText(name.rawName, into: &buffer, if: isToken) else {
            throw HTTP1RequestError(.invalidFieldName, fieldName: name.rawName)
        }
        buffer.writeStaticString(": ")
    }

    static func writeValue(of field: HTTPField, into buffer: inout ByteBuffer) throws(HTTP1RequestError) {
        let isValid = field.withUnsafeBytesOfValue { bytes in
            let bytes = UnsafeRawBufferPointer(bytes)
            guard HTTP1Grammar.endOfText(in: bytes, from: 0) == bytes.count else { return false }
            buffer.writeBytes(bytes)
            return true
        }
        guard isValid else { throw HTTP1RequestError(.invalidFieldValue, fieldName: field.name.rawName) }
    }

    /// Writes a text if its bytes pass; returns whether they do.
    static func writeText(
        _ text: String, into buffer: inout ByteBuffer, if isValid: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            let bytes = UnsafeRawBufferPointer(bytes)
            guard isValid(bytes) else { return false }
            buffer.writeBytes(bytes)
            return true
        }
    }

    /// A token: never empty (RFC 9110 §5.6.2).
    static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && HTTP1Grammar.endOfToken(in: bytes, from: 0) == bytes.count
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
