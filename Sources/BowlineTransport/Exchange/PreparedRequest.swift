internal import BowlineCore
internal import NIOCore

/// A checked request of one attempt, with its limits. The first sending and each resend make an exchange from it.
final class PreparedRequest: Sendable {
    /// How the body is sent.
    enum Upload: Sendable {
        /// The body, ``PreparedRequest/inlineBody``, is sent with the head, in the same write. A request without a body
        /// is also inline.
        case inline
        /// The body is sent after the head, chunk by chunk. Each chunk is pulled when the connection has room for it.
        case streamed(RequestBody, declaredLength: Int?)
    }

    /// The largest size of a body that is sent with the head. Over HTTP/1.1 both are in one buffer.
    static let inlineLimit = 65_536
    /// How long the body waits for a 100 response if a field of the caller says `Expect: 100-continue` and no timeout
    /// is set.
    static let defaultContinueTimeout = Duration.seconds(1)

    let context: RequestContext
    /// The attempt's deadline, and the error code for it.
    let deadline: AttemptDeadline
    let route: Route
    /// The part that a protocol encodes, each time that the request is sent.
    let checked: CheckedRequest
    /// The body that is sent with the head; empty if there is no body, or if it is streamed.
    let inlineBody: ByteBuffer
    let upload: Upload
    let isIdempotent: Bool
    let allowsResend: Bool
    /// The reason why the connection must close after the response: pooling is off, or the caller said `Connection:
    /// close`.
    let closeReason: CloseReason?
    let continueTimeout: Duration?
    let onInformational: (@Sendable (InformationalResponse) -> Void)?
    let onUploadProgress: (@Sendable (TransferProgress) -> Void)?
    /// How many bytes the body has; nil: not known.
    let bodyLength: Int?
    /// Whether the body is a file that was empty. The transport checks the file again before it sends the request.
    let bodyWasEmptyFile: Bool

    /// Checks `request`, for an attempt that began at `started`.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest` or `invalidURL`, which name what is wrong; `requestBodyConsumed` if
    ///   the body is a one-shot stream that was sent, read or abandoned before.
    init(
        _ request: ServiceRequest, context: RequestContext, started: MonotonicInstant,
        proxies: ProxySelection = .direct,
        isPooled: Bool
    ) throws {
        self.context = context
        deadline = AttemptDeadline(
            deadline: context.deadline, limit: context.timeouts.attempt, started: started)
        let options = request.ownOptions?.value
        try options?.validate()
        let body = request.body
        try body.validate()
        let url = try request.url ?? ServiceURL(request.reference)
        let route = Route(
            url.origin, proxy: proxies.isDirect || request.method == .connect ? nil : try proxies.proxy(for: url),
            placement: context.placement)
        self.route = route
        isIdempotent = request.isIdempotent
        allowsResend = options?.allowsResend ?? true
        onInformational = options?.onInformational
        onUploadProgress = options?.onUploadProgress
        bodyLength = body.length
        bodyWasEmptyFile = body.wasEmptyFile
        do throws(RequestCheckError) {
            checked = try CheckedRequest(
                method: request.method.rawValue,
                target: request.method == .connect ? url.origin.authorityWithPort : Self.target(of: url, over: route),
                authority: url.origin.authority,
                fields: Self.fields(of: request, over: route),
                framing: Self.framing(of: body),
                hasContent: !body.isNone,
                connectionClose: !isPooled,
                expectContinue: options?.continueTimeout != nil
            )
        } catch {
            throw ServiceError(.invalidRequest, error.description)
        }
        closeReason =
            if checked.closesConnection { isPooled ? .connectionCloseRequested : .poolingDisabled } else { nil }
        continueTimeout = checked.expectsContinue ? options?.continueTimeout ?? Self.defaultContinueTimeout : nil
        (upload, inlineBody) = Self.upload(body, expectsContinue: checked.expectsContinue)
        guard isReplayable else {
            throw ServiceError.oneShotBodyConsumed
        }
        if case .streamed = upload { context.call.takeBack(body) }
    }

    /// Returns the request target. A proxy that gets the request itself needs the whole URL (RFC 9112
    /// §3.2.2). The zone of an IPv6 address has a meaning on this machine only, so the proxy does not get it.
    private static func target(of url: ServiceURL, over route: Route) -> String {
        route.isForwarded ? "http://\(url.origin.authority)\(url.target)" : url.target
    }

    /// Returns the request's fields, with the proxy's credentials if the proxy gets the request itself (RFC 9110
    /// §11.7.1).
    private static func fields(of request: ServiceRequest, over route: Route) -> HTTPFields {
        guard let authorization = route.proxyAuthorization else { return request.fields }
        var fields = request.fields
        fields[.proxyAuthorization] = authorization
        return fields
    }

    private static func framing(of body: RequestBody) -> RequestFraming {
        if body.isNone, body.makeTrailers == nil { return .none }
        if let length = body.length, length > 0 || !body.isSequence { return .length(Int64(length)) }
        // Also for a sequence of declared length zero: see `RequestUpload.isChunked`.
        return .chunked
    }

    private static func upload(
        _ body: RequestBody, expectsContinue: Bool
    ) -> (upload: Upload, inlineBody: ByteBuffer) {
        switch body.kind {
        case .none where body.makeTrailers == nil:
            return (.inline, ByteBuffer())
        case .bytes(let bytes) where bytes.readableBytes <= inlineLimit && body.length != nil && !expectsContinue:
            return (.inline, bytes)
        default:
            return (.streamed(body, declaredLength: body.length), ByteBuffer())
        }
    }

    var origin: Origin { route.origin }

    /// How the response is to be parsed.
    var kind: RequestKind { checked.kind }

    /// Whether another attempt could now send the body from its first byte.
    var isReplayable: Bool {
        switch upload {
        case .inline: true
        case .streamed(let body, _): body.isReplayable
        }
    }

    /// Commits a one-shot body: a response has begun, so no other attempt sends the body. Does nothing after a 417.
    func commitBody(after status: Int) {
        if case .streamed(let body, _) = upload, !isExpectationRefused(by: status) { body.commit() }
    }

    /// Abandons a one-shot body permanently: a response has begun, and the rest of the body is not sent. After a 417
    /// the call keeps the body instead.
    func abandonBody(after status: Int) {
        guard case .streamed(let body, _) = upload else { return }
        if isExpectationRefused(by: status) { context.call.hold(body) } else { body.abandon() }
    }

    /// Keeps a one-shot body in the call, because the attempt has failed and another attempt may send the body. If no
    /// attempt does, for example because middleware hides the failure, the call abandons the body when the call ends.
    func holdBody() {
        if case .streamed(let body, _) = upload, body.isStream { context.call.hold(body) }
    }

    /// Whether another attempt may send the body, without `Expect` (RFC 9110 §10.1.1). `ExpectationPolicy` decides
    /// whether one does. If middleware hides the 417 from the policy, the call abandons the body when it ends.
    private func isExpectationRefused(by status: Int) -> Bool {
        status == 417 && continueTimeout != nil
    }
}
