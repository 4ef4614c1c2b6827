extension ServiceError {
    /// The kind of error. An open set: compare with the static members, and keep a default branch.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The code's name, as it appears in descriptions and in the tool's output.
        public let rawValue: String

        /// Makes a code, for middleware and transports with failures of their own.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// The code's name.
        public var description: String { rawValue }
    }
}

extension ServiceError.Code {
    /// A configuration value is out of range or contradicts another; the message names each property path.
    public static let invalidConfiguration = Self(rawValue: "invalidConfiguration")
    /// A URL cannot be used: it is malformed, has an unknown scheme or user information, or is relative without a base.
    public static let invalidURL = Self(rawValue: "invalidURL")
    /// The method, the target, a field or the body of a request is not allowed; nothing was sent.
    public static let invalidRequest = Self(rawValue: "invalidRequest")
    /// This version does not support what was requested. Reserved: nothing throws it today.
    public static let unsupported = Self(rawValue: "unsupported")

    /// A value could not be encoded as the request's body; nothing was sent.
    public static let encodingFailed = Self(rawValue: "encodingFailed")
    /// A file to send could not be read, a file to write could not be written, or the threads for files could not be
    /// started.
    public static let fileFailed = Self(rawValue: "fileFailed")

    /// The client is shutting down or has shut down; nothing was sent.
    public static let shuttingDown = Self(rawValue: "shuttingDown")
    /// The request was still in flight when the deadline of a shutdown passed.
    public static let forciblyClosed = Self(rawValue: "forciblyClosed")

    /// More requests wait for a connection than `pool.maximumWaiting` allows.
    public static let poolSaturated = Self(rawValue: "poolSaturated")
    /// No connection became free within `timeouts.poolAcquire`, and no dial was under way for the request.
    public static let poolAcquireTimeout = Self(rawValue: "poolAcquireTimeout")

    /// The host's name could not be resolved.
    public static let nameResolutionFailed = Self(rawValue: "nameResolutionFailed")
    /// The peer refused the connection.
    public static let connectionRefused = Self(rawValue: "connectionRefused")
    /// The connection could not be established, for another reason.
    public static let connectFailed = Self(rawValue: "connectFailed")
    /// Name resolution, TCP, the proxy, TLS and the peer's first HTTP/2 settings together took longer than
    /// `timeouts.connect`.
    public static let connectTimeout = Self(rawValue: "connectTimeout")
    /// The proxy could not be reached, or it opened no tunnel to the origin: it refused, or its answer is invalid. The
    /// message names the proxy. A proxy that does not answer is a ``connectTimeout``.
    public static let proxyFailed = Self(rawValue: "proxyFailed")
    /// The proxy requires credentials, or does not accept the configured ones: an HTTP proxy answered 407, or a SOCKS
    /// proxy refused the authentication. The message names the proxy.
    public static let proxyAuthenticationRequired = Self(rawValue: "proxyAuthenticationRequired")
    /// The TLS handshake failed: untrusted or wrong certificate, no common version, or the peer does not speak TLS.
    public static let tlsHandshakeFailed = Self(rawValue: "tlsHandshakeFailed")

    /// No response head arrived within `timeouts.responseHead` after the whole request was sent.
    public static let responseHeadTimeout = Self(rawValue: "responseHeadTimeout")
    /// No byte of a body could be read or written for the time `timeouts.bodyIdle`.
    public static let bodyIdleTimeout = Self(rawValue: "bodyIdleTimeout")
    /// One attempt got no response head within `timeouts.attempt`.
    public static let attemptTimeout = Self(rawValue: "attemptTimeout")
    /// The request took longer than `timeouts.total`, or than the deadline that it inherited.
    public static let deadlineExceeded = Self(rawValue: "deadlineExceeded")

    /// The connection ended or broke before the response was complete.
    public static let connectionClosed = Self(rawValue: "connectionClosed")
    /// The peer ended this request, but not its connection, before the response's head was complete (HTTP/2
    /// RST_STREAM).
    public static let streamReset = Self(rawValue: "streamReset")
    /// The peer sent something that is not a valid response.
    public static let protocolViolation = Self(rawValue: "protocolViolation")
    /// The peer sent more than a limit allows (head, fields, trailers, informational responses).
    public static let responseLimitExceeded = Self(rawValue: "responseLimitExceeded")
    /// The response body ended before its announced end.
    public static let incompleteBody = Self(rawValue: "incompleteBody")
    /// The body is larger than the limit of `collect(upTo:)`, or a line or an event is larger than the `maximum` of
    /// `lines`, `decodeLines` or `serverSentEvents`.
    public static let bodyTooLarge = Self(rawValue: "bodyTooLarge")
    /// The body was read before, is being read by another task, or was discarded. A response body can be read once.
    public static let bodyAlreadyConsumed = Self(rawValue: "bodyAlreadyConsumed")

    /// The request body's own sequence threw an error (`underlying`). The service never got a complete request: the
    /// connection was closed, or over HTTP/2 the stream was reset.
    public static let requestBodyFailed = Self(rawValue: "requestBodyFailed")
    /// The request body was shorter or longer than its declared length. The service never got a complete request.
    public static let requestBodyLengthMismatch = Self(rawValue: "requestBodyLengthMismatch")
    /// The request body is a one-shot stream that was sent, read or abandoned before.
    public static let requestBodyConsumed = Self(rawValue: "requestBodyConsumed")

    /// The caller does not expect the response's status; `underlying` is an ``UnexpectedStatus`` with the response.
    public static let unexpectedStatus = Self(rawValue: "unexpectedStatus")
    /// The response's body could not be decoded as the requested type. The message names the type and the coding path,
    /// and the line if the body is read by lines.
    public static let decodingFailed = Self(rawValue: "decodingFailed")
    /// The service redirected the call more often than `redirect.maximum` allows.
    public static let tooManyRedirects = Self(rawValue: "tooManyRedirects")
    /// A redirect must not be followed: it leads from `https` to `http` or to a Unix domain socket, or its `Location`
    /// is not a usable URL.
    public static let redirectRefused = Self(rawValue: "redirectRefused")
    /// The response's body is not valid in its `Content-Encoding`: damaged, cut off, or followed by other bytes.
    public static let decompressionFailed = Self(rawValue: "decompressionFailed")
    /// The decoded body is larger than `decompression.maximumBytes` or `decompression.maximumRatio` allows.
    public static let decompressionLimitExceeded = Self(rawValue: "decompressionLimitExceeded")
    /// The request got no credentials: the source of tokens threw an error (`underlying`) or took too long, or another
    /// authenticator threw an error.
    public static let authenticationFailed = Self(rawValue: "authenticationFailed")

    /// The rate gate refused the attempt: its wait would be too long, or the service has asked for a pause
    /// (`Retry-After`). Nothing was sent. ``ServiceError/retryAfter`` says when to come back.
    public static let rateLimited = Self(rawValue: "rateLimited")
    /// The concurrency gate refused the attempt: too many attempts wait, or the wait would be too long. Nothing was
    /// sent.
    public static let concurrencyLimited = Self(rawValue: "concurrencyLimited")
    /// The circuit breaker refused the attempt, because most recent attempts have failed. Nothing was sent.
    /// ``ServiceError/retryAfter`` says when the next probe may go.
    public static let circuitOpen = Self(rawValue: "circuitOpen")
    /// There was no endpoint to send the attempt to within `timeouts.poolAcquire`: the list of endpoints is empty. Also: a
    /// shutdown began while a retry or hedge waited for an endpoint. Nothing of this attempt was sent;
    /// ``ServiceError/progress`` says how far the call got.
    public static let noEndpoint = Self(rawValue: "noEndpoint")
}
