internal import BowlineCore
internal import NIOCore

/// A request that was checked, and the limits that it is under: what any number of exchanges can be made from.
final class PreparedRequest: Sendable {
    /// What of the body goes out with the head, in the same write.
    enum Upload: Sendable {
        /// Nothing, or all of it: ``PreparedRequest/inlineBody``.
        case inline
        /// It is pulled and written chunk by chunk.
        case streamed(RequestBody, declaredLength: Int?)
    }

    /// Bodies up to this size go out with the head, over HTTP/1.1 in one buffer.
    static let inlineLimit = 65_536
    /// How long a caller's own `Expect: 100-continue` is waited for.
    static let defaultContinueTimeout = Duration.seconds(1)

    let context: RequestContext
    /// When it has to be over, and what it is called if it is not.
    let deadline: AttemptDeadline
    let origin: Origin
    /// What each protocol encodes, each time that the request is sent.
    let checked: CheckedRequest
    /// The body that goes out with the head; empty if there is none, or if it is streamed.
    let inlineBody: ByteBuffer
    let upload: Upload
    let isIdempotent: Bool
    let allowsResend: Bool
    /// Why the connection must close after the response: pooling is off, or the caller said `Connection: close`.
    let closeReason: CloseReason?
    let continueTimeout: Duration?
    let onInformational: (@Sendable (InformationalResponse) -> Void)?
    let onUploadProgress: (@Sendable (TransferProgress) -> Void)?
    /// How many bytes the body has, if that is known.
    let bodyLength: Int?
    /// The body is a file that was empty, and has to be looked at again before this is sent.
    let isBodySaidToBeEmpty: Bool

    /// Checks `request`, for an attempt that began at `started`.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest` or `invalidURL`, which name what is wrong.
    init(
        _ request: ServiceRequest, context: RequestContext, started: MonotonicInstant, isPooled: Bool
    ) throws {
        self.context = context
        deadline = AttemptDeadline(
            deadline: context.deadline, limit: context.timeouts.attempt, started: started)
        let options = request.ownOptions?.value
        try options?.validate()
        try request.body.validate()
        let url = try request.url ?? ServiceURL(request.reference)
        origin = url.origin
        isIdempotent = request.isIdempotent
        allowsResend = options?.allowsResend ?? true
        onInformational = options?.onInformational
        onUploadProgress = options?.onUploadProgress
        bodyLength = request.body.length
        let body = request.body
        isBodySaidToBeEmpty = body.isSaidToBeEmpty
        do throws(RequestCheckError) {
            checked = try CheckedRequest(
                method: request.method.rawValue,
                target: request.method == .connect ? url.origin.authorityWithPort : url.target,
                authority: url.origin.authority,
                fields: request.fields,
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
            throw ServiceError(.requestBodyConsumed, "the request body is a one-shot stream that was sent before")
        }
        if case .streamed = upload { context.call.takeBack(body) }
    }

    private static func framing(of body: RequestBody) -> RequestFraming {
        if body.isNone, body.makeTrailers == nil { return .none }
        if let length = body.length, length > 0 || !body.isSequence { return .length(Int64(length)) }
        // Also a sequence of declared length zero: see `RequestUpload.isChunked`.
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

    /// How the response is to be parsed.
    var kind: RequestKind { checked.kind }

    /// Whether another attempt could start from the first byte now.
    var isReplayable: Bool {
        switch upload {
        case .inline: true
        case .streamed(let body, _): body.isReplayable
        }
    }

    /// A response has begun: a one-shot body is not kept for another attempt.
    func commitBody(after status: Int) {
        if case .streamed(let body, _) = upload, !isExpectationRefused(by: status) { body.commit() }
    }

    /// A response has begun, and the body is not sent on: gives a one-shot body up for good.
    func abandonBody(after status: Int) {
        guard case .streamed(let body, _) = upload else { return }
        if isExpectationRefused(by: status) { context.call.hold(body) } else { body.abandon() }
    }

    /// The attempt has failed: another may send the body, if one comes; middleware may hide the failure.
    func holdBody() {
        if case .streamed(let body, _) = upload, body.isStream { context.call.hold(body) }
    }

    /// The body may yet be sent, without `Expect` (RFC 9110 §10.1.1): `ExpectationPolicy` decides. Middleware inside it may
    /// hide the 417 from it: the call then abandons the body when it ends.
    private func isExpectationRefused(by status: Int) -> Bool {
        status == 417 && continueTimeout != nil
    }
}
