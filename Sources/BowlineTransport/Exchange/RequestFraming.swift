/// How a request's body is delimited (RFC 9112 §6; over HTTP/2 the stream's end does that).
package enum RequestFraming: Sendable, Hashable {
    /// There is no body. POST, PUT and PATCH say so by `Content-Length: 0`.
    case none
    /// Exactly so many bytes follow.
    case length(Int64)
    /// Chunks follow, whose sum is not known in advance.
    case chunked
}
