internal import BowlineCore

/// When an attempt has to be over, and which of its limits that is.
struct AttemptDeadline: Sendable {
    /// When the attempt began.
    let started: MonotonicInstant
    let instant: MonotonicInstant
    let code: ServiceError.Code

    /// The earlier of the attempt's own limit and the request's deadline.
    init(context: RequestContext, started: MonotonicInstant) {
        self.started = started
        let total = context.deadline?.instant ?? .distantFuture
        let attempt = context.timeouts.attempt.map { started.advanced(by: $0) } ?? .distantFuture
        if attempt < total {
            instant = attempt
            code = .attemptTimeout
        } else {
            instant = total
            code = .deadlineExceeded
        }
    }

    /// What to tell the caller when it passes.
    var message: String {
        code == .attemptTimeout ? "the attempt took longer than timeouts.attempt" : "the request's deadline has passed"
    }
}
