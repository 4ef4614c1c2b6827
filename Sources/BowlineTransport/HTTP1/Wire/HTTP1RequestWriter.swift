internal import BowlineCore
package import NIOCore

/// Writes request heads and chunked bodies. The requests and trailers have been checked before.
package enum HTTP1RequestWriter {
    /// Appends a head to a buffer, with exactly one `Host`, at most one framing and at most one `Connection`.
    package static func write(_ request: CheckedRequest, into buffer: inout ByteBuffer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: request.maximumHeadBytes) { memory in
            var cursor = HTTP1WireCursor(memory)
            writeStart(of: request, to: &cursor)
            if request.isPlain {
                for field in request.fields { cursor.writeLine(field) }
            } else {
                writeFields(of: request, to: &cursor)
            }
            writeFraming(of: request, to: &cursor)
            writeConnection(of: request, to: &cursor)
            if request.expectsContinue { cursor.write("Expect: 100-continue\r\n") }
            cursor.write("\r\n")
            return cursor.count
        }
    }

    private static func writeStart(of request: CheckedRequest, to cursor: inout HTTP1WireCursor) {
        cursor.write(request.method)
        cursor.write(" ")
        cursor.write(request.target)
        // RFC 9112 §3.2: exactly one Host. It is the first field, so that a server acts on no field before it.
        cursor.write(" HTTP/1.1\r\nHost: ")
        cursor.write(request.authority)
        cursor.write("\r\n")
    }

    private static func writeFields(of request: CheckedRequest, to cursor: inout HTTP1WireCursor) {
        var hasCookie = false
        for field in request.fields {
            switch RequestFieldRole(field) {
            case .plain, .secret, .upgrade, .trailersWanted: cursor.writeLine(field)
            case .host, .contentLength, .transferEncoding, .connection, .expect, .dropped: break
            case .cookie where hasCookie: break
            case .cookie:
                hasCookie = true
                writeCookies(of: request, to: &cursor)
            }
        }
    }

    /// Writes one line for all cookies (RFC 6265 §5.4).
    private static func writeCookies(of request: CheckedRequest, to cursor: inout HTTP1WireCursor) {
        var isFirst = true
        for field in request.fields where field.name == .cookie {
            if isFirst { cursor.writeName(of: field) } else { cursor.write("; ") }
            isFirst = false
            cursor.writeValue(of: field)
        }
        cursor.write("\r\n")
    }

    private static func writeFraming(of request: CheckedRequest, to cursor: inout HTTP1WireCursor) {
        if let length = request.contentLength {
            cursor.write("Content-Length: ")
            cursor.write(String(length))
            cursor.write("\r\n")
        } else if request.framing == .chunked {
            cursor.write("Transfer-Encoding: chunked\r\n")
        }
    }

    private static func writeConnection(of request: CheckedRequest, to cursor: inout HTTP1WireCursor) {
        guard request.closesConnection || request.kind == .upgrade || request.asksForTrailers else { return }
        var separator: StaticString = "Connection: "
        func write(_ option: StaticString, if isSaid: Bool) {
            guard isSaid else { return }
            cursor.write(separator)
            cursor.write(option)
            separator = ", "
        }
        write("close", if: request.closesConnection)
        write("upgrade", if: request.kind == .upgrade)
        write("TE", if: request.asksForTrailers)
        cursor.write("\r\n")
    }

    /// Appends the line before a chunk's data.
    ///
    /// - Parameter count: the bytes of data. Must be above zero, because a chunk of zero bytes would end the body.
    package static func writeChunkPrefix(count: Int, into buffer: inout ByteBuffer) {
        precondition(count > 0)
        let digits = (Int.bitWidth - count.leadingZeroBitCount + 3) / 4
        for index in (0..<digits).reversed() {
            let digit = UInt8(truncatingIfNeeded: count >> (index * 4)) & 15
            buffer.writeInteger(digit < 10 ? 0x30 + digit : 0x61 + digit - 10)
        }
        buffer.writeStaticString("\r\n")
    }

    /// Appends the line end after a chunk's data.
    package static func writeChunkSuffix(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("\r\n")
    }

    /// Appends the end of a chunked body, with its trailers.
    package static func writeLastChunk(trailers: CheckedTrailers?, into buffer: inout ByteBuffer) {
        let length = 5 + (trailers?.byteCount ?? 0)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { memory in
            var cursor = HTTP1WireCursor(memory)
            cursor.write("0\r\n")
            if let trailers {
                for field in trailers.fields { cursor.writeLine(field) }
            }
            cursor.write("\r\n")
            return cursor.count
        }
    }
}
