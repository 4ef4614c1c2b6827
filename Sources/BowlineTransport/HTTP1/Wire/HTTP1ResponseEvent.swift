package import BowlineCore
package import NIOCore

/// How the end of a response body is found (RFC 9112 §6.3).
package enum HTTP1BodyFraming: Sendable, Hashable {
    /// There is no body.
    case none
    /// The body has this many bytes.
    case length(Int64)
    /// The body is in chunks (RFC 9112 §7.1).
    case chunked
    /// The body ends when the peer closes.
    case untilClose
}

/// A result of the parser; ``HTTP1ResponseParser/next()`` returns one at a time.
package enum HTTP1ResponseEvent: Sendable {
    /// There is no event. More bytes must be appended first.
    case needMoreBytes
    /// A 1xx response; the final one is still to come.
    case informational(HTTP1ResponseHead)
    /// The head of the final response.
    case head(HTTP1ResponseHead, HTTP1BodyFraming)
    /// Bytes of the body, never empty: a slice of the appended bytes.
    case body(ByteBuffer)
    /// The last byte of the response has been parsed. Trailers are nil if the response had none.
    case end(trailers: ReceivedFields?)
}
