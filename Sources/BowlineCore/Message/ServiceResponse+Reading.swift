public import NIOCore

extension ServiceResponse {
    /// Reads the whole body into one buffer, whatever the status is; see ``ResponseBody/collect(upTo:)``.
    ///
    /// - Parameter limit: The maximum number of bytes to accept.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more bytes; else any error of reading.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        try await body.collect(upTo: limit)
    }

    /// Reads the whole body as text, whatever the status is.
    ///
    /// A byte order mark at the beginning determines the encoding (UTF-8 or UTF-16), and is dropped. Without a mark,
    /// the `charset` of `Content-Type` determines the encoding, if it is UTF-8, US-ASCII, ISO-8859-1, windows-1252 or
    /// UTF-16 (`utf-16be` is big-endian, the others are little-endian). Otherwise the encoding is UTF-8. Invalid bytes
    /// become U+FFFD.
    ///
    /// - Parameter limit: The maximum number of bytes to accept. Default 16 MiB.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more bytes; else any error of reading.
    public func text(upTo limit: Int = 16 << 20) async throws -> String {
        let bytes = try await body.collect(upTo: limit)
        return TextEncoding.text(of: bytes, contentType: receivedFields[.contentType])
    }
}
