internal import BowlineCore

extension PooledTransport {
    /// Reports that the request has no connection and is about to wait. Returns when the wait begins; nil: no
    /// listeners.
    @inline(never)
    func queued(_ request: PreparedRequest, resend: Int) -> MonotonicInstant? {
        guard let now = environment.events?.now else { return nil }
        tell(request, resend: resend, at: now) { $0.requestQueued($1) }
        return now
    }

    /// Reports that the wait has ended, with or without a connection.
    @inline(never)
    func dequeued(_ request: PreparedRequest, resend: Int, since queued: MonotonicInstant) {
        tell(request, resend: resend) { $0.requestDequeued($1, waited: queued.duration(to: $1.instant)) }
    }

    /// Reports an event of a request that has no connection to the client's listeners.
    func tell(
        _ request: PreparedRequest, resend: Int, at instant: MonotonicInstant? = nil,
        _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        environment.events?.request(
            request.context, resend: resend, origin: request.origin, connection: nil, at: instant, tell
        )
    }
}
