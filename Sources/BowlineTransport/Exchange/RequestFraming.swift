/// How a request's body is delimited (RFC 9112 §6). Over HTTP/2 the end of the stream delimits it.
package enum RequestFraming: Sendable, Hashable {
    /// There is no body. POST, PUT and PATCH say so by `Content-Length: 0`.
    case none
    /// Exactly this many bytes follow.
    case length(Int64)
    /// Chunks follow; their total length is not known in advance.
    case chunked
}
