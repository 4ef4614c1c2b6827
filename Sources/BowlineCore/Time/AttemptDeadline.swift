/// When an attempt has to be over, and which of its limits that is.
///
/// `timeouts.attempt` bounds it until there is a response head. From then on the request's deadline alone counts: a body that
/// fails later is not tried again, so an attempt's limit would only cut it.
@usableFromInline
package struct AttemptDeadline: Sendable {
    /// When the attempt began.
    @usableFromInline package let started: MonotonicInstant
    /// When there has to be a response head: the earlier of the attempt's own limit and ``total``.
    @usableFromInline package let instant: MonotonicInstant
    /// When the request has to be over.
    @usableFromInline package let total: MonotonicInstant
    /// Whether ``instant`` is the attempt's own limit.
    @usableFromInline package let isOwnLimit: Bool

    /// - Parameters:
    ///   - deadline: The request's; nil: none.
    ///   - limit: The attempt's own, `timeouts.attempt`; nil: none.
    ///   - started: When the attempt began.
    @inlinable
    package init(deadline: Deadline?, limit: Duration?, started: MonotonicInstant) {
        self.started = started
        total = deadline?.instant ?? .distantFuture
        let own = limit.map { started.advanced(by: $0) } ?? .distantFuture
        isOwnLimit = own < total
        instant = isOwnLimit ? own : total
    }

    /// The error's code when ``instant`` passes.
    package var code: ServiceError.Code { isOwnLimit ? .attemptTimeout : .deadlineExceeded }

    /// The one that counts now.
    @inlinable
    package func instant(hasHead: Bool) -> MonotonicInstant { hasHead ? total : instant }

    package func code(hasHead: Bool) -> ServiceError.Code { hasHead ? .deadlineExceeded : code }

    /// The error's message when it passes.
    package func message(hasHead: Bool) -> String {
        code(hasHead: hasHead) == .attemptTimeout
            ? "no response head came within timeouts.attempt" : "the request's deadline has passed"
    }
}

/// The error messages of the other limits of `Timeouts`, in every transport.
package enum TimeLimitMessage {
    package static let responseHead = "no response head came within timeouts.responseHead"
    package static let responseBody = "no byte of the response body came for timeouts.bodyIdle"
}
