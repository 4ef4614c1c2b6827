internal import BowlineCore
internal import BowlinePool

extension PooledTransport {
    /// Waits for a connection, and tells a client's listeners of it.
    func wait(
        in pool: OriginPools.Pool, _ options: OriginPools.Pool.LeaseOptions, for request: PreparedRequest,
        resend: Int, context: RequestContext
    ) async throws -> OriginPools.Pool.Lease {
        guard let queued = environment.events?.now else { return try await pool.lease(options) }
        return try await wait(in: pool, options, for: request, resend: resend, context: context, since: queued)
    }

    /// Not inlined, so that without listeners no frame has room for telling them.
    @inline(never)
    private func wait(
        in pool: OriginPools.Pool, _ options: OriginPools.Pool.LeaseOptions, for request: PreparedRequest,
        resend: Int, context: RequestContext, since queued: MonotonicInstant
    ) async throws -> OriginPools.Pool.Lease {
        tell(request, resend: resend, context: context, at: queued) { $0.requestQueued($1) }
        defer {
            tell(request, resend: resend, context: context) {
                $0.requestDequeued($1, waited: queued.duration(to: $1.instant))
            }
        }
        return try await pool.lease(options)
    }

    /// Tells a client's listeners of something that happened to a request that has no connection.
    func tell(
        _ request: PreparedRequest, resend: Int, context: RequestContext, at instant: MonotonicInstant? = nil,
        _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        environment.events?.request(
            context.call, attempt: context.attempt, resend: resend, origin: request.origin, connection: nil,
            at: instant, tell
        )
    }
}
