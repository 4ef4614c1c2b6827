package import BowlineCore

/// How a request's body is delimited on the wire (RFC 9112 §6).
package enum HTTP1RequestFraming: Sendable, Hashable {
    /// There is no body. POST, PUT and PATCH say so by `Content-Length: 0`.
    case none
    /// Exactly so many bytes follow.
    case length(Int64)
    /// Chunks follow, whose sum is not known in advance.
    case chunked
}

/// What the head of a request is made of.
package struct HTTP1RequestHead: Sendable {
    package var method: String
    /// In origin form (`/users?id=1`), absolute form, authority form (CONNECT) or `*` (RFC 9112 §3.2).
    package var target: String
    /// The value of `Host` unless the fields have one; empty only if the target has no authority.
    package var host: String
    /// The caller's fields.
    package var fields: HTTPFields
    package var framing: HTTP1RequestFraming
    /// Whether this is to be the connection's last request.
    package var connectionClose: Bool
    /// Whether to ask for a 100 response before the body; means nothing without one.
    package var expectContinue: Bool

    package init(
        method: String, target: String, host: String, fields: HTTPFields = HTTPFields(),
        framing: HTTP1RequestFraming = .none, connectionClose: Bool = false, expectContinue: Bool = false
    ) {
        self.method = method
        self.target = target
        self.host = host
        self.fields = fields
        self.framing = framing
        self.connectionClose = connectionClose
        self.expectContinue = expectContinue
    }
}

/// What a request head says, as it was written: the caller's fields may have added to what was asked for.
package struct HTTP1WrittenHead: Sendable, Hashable {
    /// The connection is not to be used again after this request.
    package var closesConnection = false
    /// The body is to wait for a 100 response, for a while.
    package var expectsContinue = false
    /// How the response is to be parsed.
    package var kind = HTTP1RequestKind.other
    /// A `Host` field among the caller's stands in place of the URL's host.
    package var hasHostField = false

    package init() {}
}
