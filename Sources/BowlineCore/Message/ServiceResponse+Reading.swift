public import NIOCore

extension ServiceResponse {
    /// Reads the whole body into one buffer, with any status; see ``ResponseBody/collect(upTo:)``.
    ///
    /// - Parameter limit: The most bytes to accept.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more bytes; else any error of reading.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        try await body.collect(upTo: limit)
    }

    /// Reads the whole body as text, with any status.
    ///
    /// A byte order mark at the beginning determines the encoding (UTF-8 or UTF-16), and is dropped. Without one, the
    /// `charset` of `Content-Type` determines it, if that is UTF-8, US-ASCII, ISO-8859-1, windows-1252 or UTF-16
    /// (little-endian unless it is `utf-16be`). Otherwise the encoding is UTF-8. Invalid bytes become U+FFFD.
    ///
    /// - Parameter limit: The most bytes to accept. Default 16 MiB.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more bytes; else any error of reading.
    public func text(upTo limit: Int = 16 << 20) async throws -> String {
        let bytes = try await body.collect(upTo: limit)
        return TextEncoding.text(of: bytes, contentType: receivedFields[.contentType])
    }
}
