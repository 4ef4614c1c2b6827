/// Says why a lease was not granted. Cancellation is a `CancellationError` instead.
enum PoolError: Error {
    /// As many requests as may wait are waiting already.
    case saturated(waiting: Int)
    /// The request waited for as long as it may, and no dial was under way for it.
    ///
    /// - `lastDialError`: the last failure of a dial during the wait, if there was one.
    /// - `waited`: how long this request had been waiting.
    /// - `waiting`: how many others still wait.
    case acquireTimeout(lastDialError: (any Error)?, waited: Duration, waiting: Int)
    /// The request's deadline passed while it waited.
    ///
    /// - `lastDialError`: the last failure of a dial during the wait, if there was one.
    case deadlineExceeded(lastDialError: (any Error)?)
    /// A dial for this request failed.
    case dialFailed(any Error)
    /// The pool drains, so it dials for waiting requests only. Thrown by `prewarm`.
    case draining
    /// The pool is closed.
    case closed
}
