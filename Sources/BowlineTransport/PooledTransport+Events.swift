internal import BowlineCore

extension PooledTransport {
    /// The request has no connection and is about to wait for one. Returns since when it does, if a listener is told.
    @inline(never)
    func queued(_ request: PreparedRequest, resend: Int) -> MonotonicInstant? {
        guard let now = environment.events?.now else { return nil }
        tell(request, resend: resend, at: now) { $0.requestQueued($1) }
        return now
    }

    /// The wait is over, however it ended.
    @inline(never)
    func dequeued(_ request: PreparedRequest, resend: Int, since queued: MonotonicInstant) {
        tell(request, resend: resend) { $0.requestDequeued($1, waited: queued.duration(to: $1.instant)) }
    }

    /// Tells a client's listeners of something that happened to a request that has no connection.
    func tell(
        _ request: PreparedRequest, resend: Int, at instant: MonotonicInstant? = nil,
        _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        environment.events?.request(
            request.context, resend: resend, origin: request.origin, connection: nil, at: instant, tell
        )
    }
}
