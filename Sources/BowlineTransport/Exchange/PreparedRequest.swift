internal import BowlineCore
internal import NIOCore

/// A request that was checked and encoded, and the limits that it is under: what any number of exchanges can be made from.
final class PreparedRequest: Sendable {
    /// What of the body goes out with the head, in the same write.
    enum Upload: Sendable {
        /// Nothing, or all of it: the head's buffer ends with it.
        case inline
        /// It is pulled and written chunk by chunk.
        case streamed(RequestBody, declaredLength: Int?)
    }

    /// Bodies up to this size are copied behind the head and go out in one write.
    static let inlineLimit = 65_536
    /// How long a caller's own `Expect: 100-continue` is waited for.
    static let defaultContinueTimeout = Duration.seconds(1)

    let context: RequestContext
    /// When it has to be over, and what it is called if it is not.
    let deadline: AttemptDeadline
    let origin: Origin
    /// The head as HTTP/1.1 has it, and behind it the body if that is `inline`.
    let head: ByteBuffer
    /// Where the head ends.
    let headLength: Int
    let method: HTTPRequest.Method
    let target: String
    let fields: HTTPFields
    /// Whether a `Host` field among them stands in place of the URL's host.
    let hasHostField: Bool
    /// How the body is delimited.
    let framing: HTTP1RequestFraming
    let upload: Upload
    let kind: HTTP1RequestKind
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

    /// Checks and encodes `request`, for an attempt that began at `started`.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest` or `invalidURL`, which name what is wrong.
    init(
        _ request: ServiceRequest, context: RequestContext, started: MonotonicInstant, allocator: ByteBufferAllocator,
        isPooled: Bool
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
        method = request.method
        target = request.method == .connect ? url.origin.authorityWithPort : url.target
        fields = request.fields
        let body = request.body
        isBodySaidToBeEmpty = body.isSaidToBeEmpty
        framing =
            if body.isNone, body.makeTrailers == nil {
                .none
            } else if let length = body.length, length > 0 || !body.isSequence {
                .length(Int64(length))
            } else {
                // Also a sequence of declared length zero: see `RequestUpload.isChunked`.
                .chunked
            }
        let expectsContinue = options?.continueTimeout != nil && !body.isNone
        // The writer gives it its room, for head and body at once.
        var buffer = allocator.buffer(capacity: 0)
        let head = HTTP1RequestHead(
            method: request.method.rawValue,
            target: target,
            host: url.origin.authority,
            fields: request.fields,
            framing: framing,
            connectionClose: !isPooled,
            expectContinue: expectsContinue
        )
        let written: HTTP1WrittenHead
        do {
            written = try HTTP1RequestWriter.write(head, into: &buffer, reserve: Self.inlineBytes(of: body))
        } catch {
            throw ServiceError(.invalidRequest, error.description)
        }
        kind = written.kind
        hasHostField = written.hasHostField
        closeReason =
            if written.closesConnection { isPooled ? .connectionCloseRequested : .poolingDisabled } else { nil }
        headLength = buffer.readableBytes
        let hasWait = written.expectsContinue && !body.isNone
        continueTimeout = hasWait ? options?.continueTimeout ?? Self.defaultContinueTimeout : nil
        upload = Self.upload(body, expectsContinue: hasWait, into: &buffer)
        self.head = buffer
        guard isReplayable else {
            throw ServiceError(.requestBodyConsumed, "the request body is a one-shot stream that was sent before")
        }
        if case .streamed = upload { context.call.takeBack(body) }
    }

    private static func inlineBytes(of body: RequestBody) -> Int {
        guard case .bytes(let bytes) = body.kind, bytes.readableBytes <= inlineLimit else { return 0 }
        return bytes.readableBytes
    }

    private static func upload(
        _ body: RequestBody, expectsContinue: Bool, into buffer: inout ByteBuffer
    ) -> Upload {
        switch body.kind {
        case .none where body.makeTrailers == nil:
            return .inline
        case .bytes(let bytes) where bytes.readableBytes <= inlineLimit && body.length != nil && !expectsContinue:
            buffer.writeImmutableBuffer(bytes)
            return .inline
        default:
            return .streamed(body, declaredLength: body.length)
        }
    }

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

    /// The body may yet be sent, without `Expect` (RFC 9110 §10.1.1): `ExpectationMiddleware` decides. Middleware inside it may
    /// hide the 417 from it: the call then abandons the body when it ends.
    private func isExpectationRefused(by status: Int) -> Bool {
        status == 417 && continueTimeout != nil
    }
}
