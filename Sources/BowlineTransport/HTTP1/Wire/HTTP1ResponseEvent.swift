package import BowlineCore
package import NIOCore

/// How the end of a response body is found (RFC 9112 §6.3).
package enum HTTP1BodyFraming: Sendable, Hashable {
    /// There is no body.
    case none
    /// So many bytes.
    case length(Int64)
    /// In chunks (RFC 9112 §7.1).
    case chunked
    /// All until the peer closes.
    case untilClose
}

/// What the parser makes of the bytes it was given, one at a time.
package enum HTTP1ResponseEvent: Sendable {
    /// Nothing until more bytes are appended.
    case needMoreBytes
    /// A 1xx response; the final one is still to come.
    case informational(HTTP1ResponseHead)
    /// The head of the final response.
    case head(HTTP1ResponseHead, HTTP1BodyFraming)
    /// Bytes of the body, never empty: a slice of what was appended.
    case body(ByteBuffer)
    /// The last byte of the response has been parsed. Trailers are nil if the response had none.
    case end(trailers: ReceivedFields?)
}
