/// One request's differences from its client: one value, never extra parameters on a call.
public struct RequestOptions: Sendable, ConfigurableOptions {
    /// Whether sending the request twice does no more harm than sending it once (RFC 9110 §9.2.2).
    public enum Idempotency: Sendable, Hashable {
        /// Decided by the method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE, QUERY) or by an `Idempotency-Key` field.
        case automatic
        /// It is idempotent, with any method.
        case idempotent
        /// It is not idempotent, with any method.
        case notIdempotent
    }

    /// Limits in time. Default: all inherited.
    public var timeouts = TimeoutOverrides()
    /// Whether the request may be sent again when its outcome is unknown. Default `.automatic`.
    public var idempotency: Idempotency = .automatic
    /// Whether the transport may resend on its own, once, when a reused connection turns out to be dead
    /// (`Docs/ConnectionReuse.md`). Default true.
    public var allowsResend = true
    /// Sends `Expect: 100-continue` and waits this long for the go-ahead before it sends the body anyway
    /// (RFC 9110 §10.1.1); greater than zero; nil: sends the body at once. Ignored without a body. Default nil.
    public var continueTimeout: Duration?
    /// When it is tried again. Default: all inherited.
    public var retry = RetryOverrides()
    /// Which redirects are followed. Default: all inherited.
    public var redirect = RedirectOverrides()
    /// Whether the response's body is decoded. Default: all inherited.
    public var decompression = DecompressionOverrides()
    /// How the request's body is coded on its way. Default `.none`.
    public var compression: RequestCompression = .none
    /// Gives the request an `Idempotency-Key` of its own, the same on each attempt, unless it has one; nil: as the client
    /// is configured. Means nothing but for POST and PATCH. Default nil.
    public var makesIdempotencyKey: Bool?
    /// Whether the client's `authentication` adds credentials. Default true.
    public var authenticates = true
    /// The text for the target in spans, log lines, events and a shutdown's report, as `users/{id}`; nil: the path without
    /// its query. Default nil.
    public var targetTemplate: String?
    /// Called on an event loop, in order, with each informational (1xx) response as it arrives; must not block. Default nil.
    public var onInformational: (@Sendable (InformationalResponse) -> Void)?
    /// Called on an event loop, in order, as the network takes the request's body: its bytes as they are sent, so
    /// compressed ones where ``compression`` says so. Counts from zero again with each attempt; says nothing of an attempt
    /// that is over. Not called for an empty body. Must not block. Default nil.
    public var onUploadProgress: (@Sendable (TransferProgress) -> Void)?
    /// Called in the reader's task with each chunk of the response's body that is read: its bytes as the reader gets them,
    /// so decoded ones; the whole is known only where the response announced its length and nothing was decoded. Not called
    /// for an empty body. Must not block. Default nil.
    public var onDownloadProgress: (@Sendable (TransferProgress) -> Void)?

    /// Makes options that change nothing.
    public init() {}

    package func validate() throws {
        if !timeouts.isInherited { try timeouts.validate() }
        if let continueTimeout, continueTimeout <= .zero {
            throw ServiceError(.invalidRequest, "options.continueTimeout must be greater than zero")
        }
        guard !retry.isInherited || !redirect.isInherited || !decompression.isInherited else { return }
        let problems =
            retry.problems(at: "options.retry") + redirect.problems(at: "options.redirect")
            + decompression.problems(at: "options.decompression")
        guard problems.isEmpty else {
            throw ServiceError(.invalidRequest, problems.map(\.description).joined(separator: "; "))
        }
    }
}
