/// The reason why the pool granted no lease. Cancellation is a `CancellationError` instead.
enum PoolError: Error {
    /// The maximum number of requests is already waiting.
    case saturated(waiting: Int)
    /// The request has waited for the maximum time, and no dial was under way for it.
    ///
    /// - `lastDialError`: the last dial failure during the wait, if there was one.
    /// - `waited`: how long this request had been waiting.
    /// - `waiting`: how many other requests still wait.
    case acquireTimeout(lastDialError: (any Error)?, waited: Duration, waiting: Int)
    /// The request's deadline passed while it waited.
    ///
    /// - `lastDialError`: the last dial failure during the wait, if there was one.
    case deadlineExceeded(lastDialError: (any Error)?)
    /// A dial for this request failed.
    case dialFailed(any Error)
    /// The pool drains, so it dials only for waiting requests. Thrown by `prewarm`.
    case draining
    /// The pool is closed.
    case closed
}
