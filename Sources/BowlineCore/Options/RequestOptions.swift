/// The options of one request. An option that is not set is inherited from the client, or has its default.
public struct RequestOptions: Sendable, ConfigurableOptions {
    /// Whether sending the request twice does no more harm than sending it once (RFC 9110 §9.2.2).
    public enum Idempotency: Sendable, Hashable {
        /// The method decides: GET, HEAD, OPTIONS, TRACE, PUT, DELETE and QUERY are idempotent. An `Idempotency-Key`
        /// field makes a request with any method idempotent.
        case automatic
        /// The request is idempotent, with any method.
        case idempotent
        /// The request is not idempotent, with any method.
        case notIdempotent
    }

    /// The request's timeouts. Default: all inherited.
    public var timeouts = TimeoutOverrides()
    /// Whether the request may be sent again when its outcome is unknown. Default `.automatic`.
    public var idempotency: Idempotency = .automatic
    /// Whether the transport may resend the request once, without a retry, when a reused connection is found dead
    /// (`Docs/ConnectionReuse.md`). Default true.
    public var allowsResend = true
    /// If set, the request is sent with `Expect: 100-continue` (RFC 9110 §10.1.1). Its body is sent after a `100
    /// Continue`, or after this time. Greater than zero; nil: the body is sent at once. Ignored without a body. Default
    /// nil.
    public var continueTimeout: Duration?
    /// When the request is retried. Default: all inherited.
    public var retry = RetryOverrides()
    /// Which redirects are followed. Default: all inherited.
    public var redirect = RedirectOverrides()
    /// Whether the response's body is decoded. Default: all inherited.
    public var decompression = DecompressionOverrides()
    /// How the request's body is compressed. Default `.none`.
    public var compression: RequestCompression = .none
    /// Whether a POST or PATCH request without an `Idempotency-Key` gets one, the same on each attempt; nil: the
    /// client's `makesIdempotencyKeys` decides. Other methods get none. Default nil.
    public var makesIdempotencyKey: Bool?
    /// Whether the client's `authentication` adds credentials. Default true.
    public var authenticates = true
    /// The text for the target in spans, log lines, events and a shutdown's report, for example `users/{id}`; nil: the
    /// path without its query. Default nil.
    public var targetTemplate: String?
    /// How the request is treated while it waits for the concurrency limit. Default `.normal`.
    public var priority: RequestPriority = .normal
    /// The name of the request's own gates within its origin, for an API that fails or is limited by itself; nil: the
    /// gates of the origin. Use few names: each one has its own state and metrics. Default nil.
    public var policyScope: String?
    /// Whether and when hedges are sent, in place of the client's `resilience.hedging`. Default `.inherited`.
    public var hedging: LimitOverride<HedgingOptions> = .inherited
    /// Makes a response from the error of a call that failed, after all retries; nil: the call throws the error.
    /// Called in the call's task, with any `ServiceError`, not with cancellations. What it throws replaces the error.
    /// Telemetry shows that the response is a fallback. Default nil.
    public var fallback: (@Sendable (ServiceError) async throws -> ServiceResponse)?
    /// Called on an event loop, in order, with each informational (1xx) response as it arrives. Must not block. Default
    /// nil.
    public var onInformational: (@Sendable (InformationalResponse) -> Void)?
    /// Called on an event loop, in order, as the network takes the request's body. Counts the bytes that are sent. If
    /// ``compression`` is set, these are the compressed bytes. The count begins at zero for each attempt. Not called
    /// for an attempt that has ended, and not for an empty body. Must not block. Default nil.
    public var onUploadProgress: (@Sendable (TransferProgress) -> Void)?
    /// Called in the reader's task with each chunk of the response's body that is read. Counts the bytes that the
    /// reader gets, after decoding. The total is known only if the response announced its length and nothing was
    /// decoded. Not called for an empty body. Must not block. Default nil.
    public var onDownloadProgress: (@Sendable (TransferProgress) -> Void)?

    /// Makes options that change nothing.
    public init() {}

    package func validate() throws {
        if !timeouts.isInherited { try timeouts.validate() }
        if let continueTimeout, continueTimeout <= .zero {
            throw ServiceError(.invalidRequest, "options.continueTimeout must be greater than zero")
        }
        if case .limited(let hedging) = hedging { try hedging.problems(at: "options.hedging").throwAsInvalidRequest() }
        guard !retry.isInherited || !redirect.isInherited || !decompression.isInherited else { return }
        let problems =
            retry.problems(at: "options.retry") + redirect.problems(at: "options.redirect")
            + decompression.problems(at: "options.decompression")
        try problems.throwAsInvalidRequest()
    }
}

extension [ConfigurationProblem] {
    fileprivate func throwAsInvalidRequest() throws {
        guard !isEmpty else { return }
        throw ServiceError(.invalidRequest, map(\.description).joined(separator: "; "))
    }
}
