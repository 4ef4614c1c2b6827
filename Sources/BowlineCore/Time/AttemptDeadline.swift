/// The deadline of an attempt, and the limit that sets it.
///
/// `timeouts.attempt` bounds the attempt until its response head has arrived. After that only the request's deadline
/// counts: a body that fails later is not retried, so a limit of the attempt would only lose the response.
@usableFromInline
package struct AttemptDeadline: Sendable {
    /// When the attempt began.
    @usableFromInline package let started: MonotonicInstant
    /// When the response head must have arrived: the earlier of the attempt's own limit and ``requestDeadline``.
    @usableFromInline package let instant: MonotonicInstant
    /// The time at which the request must have ended.
    @usableFromInline package let requestDeadline: MonotonicInstant
    /// Whether the attempt's own limit sets ``instant``.
    @usableFromInline package let isAttemptLimit: Bool

    /// - Parameters:
    ///   - deadline: The request's deadline; nil: none.
    ///   - limit: The attempt's own limit, `timeouts.attempt`; nil: none.
    ///   - started: When the attempt began.
    @inlinable
    package init(deadline: Deadline?, limit: Duration?, started: MonotonicInstant) {
        self.started = started
        requestDeadline = deadline?.instant ?? .distantFuture
        let own = limit.map { started.advanced(by: $0) } ?? .distantFuture
        isAttemptLimit = own < requestDeadline
        instant = isAttemptLimit ? own : requestDeadline
    }

    /// The code of the error with which the attempt fails when ``instant`` passes.
    package var code: ServiceError.Code { isAttemptLimit ? .attemptTimeout : .deadlineExceeded }

    /// Returns the deadline that counts now: before the response head ``instant``, after it ``requestDeadline``.
    @inlinable
    package func instant(hasHead: Bool) -> MonotonicInstant { hasHead ? requestDeadline : instant }

    package func code(hasHead: Bool) -> ServiceError.Code { hasHead ? .deadlineExceeded : code }

    /// Returns the error's message when the deadline passes.
    package func message(hasHead: Bool) -> String {
        code(hasHead: hasHead) == .attemptTimeout
            ? "no response head came within timeouts.attempt" : "the request's deadline has passed"
    }
}

/// The error messages of other limits in `Timeouts`, the same in every transport.
package enum TimeLimitMessage {
    package static let responseHead = "no response head came within timeouts.responseHead"
    package static let responseBody = "no byte of the response body came for timeouts.bodyIdle"
}
