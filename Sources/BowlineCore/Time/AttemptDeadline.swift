/// When an attempt has to be over, and which of its limits that is.
///
/// `timeouts.attempt` bounds it until there is a response head. From then on the request's deadline alone counts: a body that
/// fails later is not tried again, so an attempt's limit would only cut it.
@usableFromInline
package struct AttemptDeadline: Sendable {
    /// When the attempt began.
    package let started: MonotonicInstant
    /// When there has to be a response head: the earlier of the attempt's own limit and ``total``.
    @usableFromInline package let instant: MonotonicInstant
    /// When the request has to be over.
    @usableFromInline package let total: MonotonicInstant
    /// What it is called when ``instant`` passes.
    package let code: ServiceError.Code

    package init(context: RequestContext, started: MonotonicInstant) {
        self.started = started
        total = context.deadline?.instant ?? .distantFuture
        let attempt = context.timeouts.attempt.map { started.advanced(by: $0) } ?? .distantFuture
        if attempt < total {
            instant = attempt
            code = .attemptTimeout
        } else {
            instant = total
            code = .deadlineExceeded
        }
    }

    /// The one that counts now.
    @inlinable
    package func instant(hasHead: Bool) -> MonotonicInstant { hasHead ? total : instant }

    package func code(hasHead: Bool) -> ServiceError.Code { hasHead ? .deadlineExceeded : code }

    /// What to tell the caller when it passes.
    package func message(hasHead: Bool) -> String {
        code(hasHead: hasHead) == .attemptTimeout
            ? "no response head came within timeouts.attempt" : "the request's deadline has passed"
    }
}

/// What errors say of the other limits of `Timeouts`, in every transport.
package enum TimeLimitMessage {
    package static let responseHead = "no response head came within timeouts.responseHead"
    package static let responseBody = "no byte of the response body came for timeouts.bodyIdle"
}
