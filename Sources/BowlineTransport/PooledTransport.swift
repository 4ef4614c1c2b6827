package import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import NIOPosix

/// Carries attempts over pooled connections, and sends again, once, what a dead connection did not carry.
package final class PooledTransport: ServiceTransport {
    let environment: TransportEnvironment
    let pools: OriginPools
    private let allocator = ByteBufferAllocator()
    /// How many connections had been closed when the drain began.
    private let closedBeforeDrain = Locked(Int?.none)

    /// Makes a transport on SwiftNIO's singleton event loops.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration` if a certificate or key cannot be used.
    package init(options: TransportOptions) throws {
        environment = try TransportEnvironment(options: options, group: MultiThreadedEventLoopGroup.singleton)
        pools = OriginPools(environment: environment)
    }

    package func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        let started = environment.clock.now
        let (prepared, deadline) = try prepare(request, context: context, started: started)
        do {
            return try await send(prepared, deadline: deadline, context: context, started: started)
        } catch {
            context.call.enter(.pipeline, attempt: context.attempt)
            throw error
        }
    }

    private func send(
        _ prepared: PreparedRequest, deadline: AttemptDeadline, context: RequestContext, started: MonotonicInstant
    ) async throws -> ServiceResponse {
        var resend = ResendPolicy()
        while true {
            let (lease, pool): (OriginPools.Pool.Lease, OriginPools.Pool)
            do {
                (lease, pool) = try await self.lease(
                    resend, prepared, deadline: deadline, context: context, started: started
                )
            } catch {
                throw notLeased(prepared, error, resend, context)
            }
            let exchange = begin(lease, prepared, deadline: deadline, context: context, resend, started: started)
            do {
                return try await exchange.run()
            } catch {
                try goOn(after: error, of: exchange, lease, pool, &resend, context)
            }
        }
    }

    // Apart from `send` and `lease`, because what they use would lie in their frames as long as they wait.

    @inline(never)
    private func prepare(
        _ request: ServiceRequest, context: RequestContext, started: MonotonicInstant
    ) throws -> (PreparedRequest, AttemptDeadline) {
        let prepared = try PreparedRequest(
            request, allocator: allocator, isPooled: environment.options.pool.isEnabled
        )
        let deadline = AttemptDeadline(context: context, started: started)
        guard deadline.instant > started else {
            throw deadline.passed(prepared, context: context, started: started, now: started)
        }
        return (prepared, deadline)
    }

    /// The pool has given no connection: what the caller is told.
    @inline(never)
    private func notLeased(
        _ prepared: PreparedRequest, _ error: any Error, _ resend: ResendPolicy, _ context: RequestContext
    ) -> any Error {
        let error = resend.outcome(error)
        tell(prepared, resend: resend.count, context: context) { $0.requestEnded($1, RequestEnding(error)) }
        return error
    }

    @inline(never)
    private func begin(
        _ lease: OriginPools.Pool.Lease, _ prepared: PreparedRequest, deadline: AttemptDeadline,
        context: RequestContext,
        _ resend: ResendPolicy, started: MonotonicInstant
    ) -> Exchange {
        let exchange = Exchange(
            request: prepared, connection: lease.connection,
            lease: Exchange.LeaseFacts(
                isReused: lease.isReused, uses: lease.uses, wasIdle: lease.idleSince != nil,
                leased: environment.clock.now
            ),
            deadline: deadline, context: context, resends: resend.count, started: started,
            options: environment.options.connection
        )
        exchange.tell(at: exchange.lease.leased) { $0.requestLeased($1, isReused: exchange.lease.isReused) }
        return exchange
    }

    /// Makes ready for sending once more, if that may be.
    ///
    /// - Throws: what the caller is told, if not.
    @inline(never)
    private func goOn(
        after error: any Error, of exchange: Exchange, _ lease: OriginPools.Pool.Lease, _ pool: OriginPools.Pool,
        _ resend: inout ResendPolicy, _ context: RequestContext
    ) throws {
        let isGoingOn = resend.allows(exchange.request, after: error, wasPooled: exchange.wasPooled)
        // Nothing was sent: it only needs another connection.
        if isGoingOn, resend.count == exchange.resends { return }
        exchange.tell { $0.requestEnded($1, RequestEnding(error)) }
        guard isGoingOn else { throw resend.outcome(error) }
        tell(exchange.request, resend: resend.count, context: context) { $0.requestResending($1) }
        if let idleSince = lease.idleSince { pool.evictStale(idleSince: idleSince) }
    }

    private func lease(
        _ resend: ResendPolicy, _ prepared: PreparedRequest, deadline: AttemptDeadline, context: RequestContext,
        started: MonotonicInstant
    ) async throws -> (OriginPools.Pool.Lease, OriginPools.Pool) {
        try Task.checkCancellation()
        let affinity = environment.loops.currentAffinity
        while true {
            let pool = pools.pool(for: prepared.origin)
            if !resend.requiresFresh, let lease = pool.tryLease(affinity: affinity, now: started) {
                return (lease, pool)
            }
            context.call.enter(waitingPhase(in: pool), attempt: context.attempt)
            do {
                let options = leaseOptions(affinity, resend, deadline, context)
                let lease = try await wait(in: pool, options, for: prepared, resend: resend.count, context: context)
                return (lease, pool)
            } catch let error as PoolError {
                if let failure = failure(error, prepared, deadline: deadline, context: context, started: started) {
                    throw failure
                }
            }
        }
    }

    @inline(never)
    private func leaseOptions(
        _ affinity: Int?, _ resend: ResendPolicy, _ deadline: AttemptDeadline, _ context: RequestContext
    ) -> OriginPools.Pool.LeaseOptions {
        OriginPools.Pool.LeaseOptions(
            affinity: affinity, requiresFresh: resend.requiresFresh,
            deadline: deadline.instant == .distantFuture ? nil : deadline.instant,
            maximumWait: context.timeouts.poolAcquire
        )
    }

    /// What becomes of a request that the pool gives no connection; nil: the pool had gone cold just now, and another takes its
    /// place.
    @inline(never)
    private func failure(
        _ error: PoolError, _ prepared: PreparedRequest, deadline: AttemptDeadline, context: RequestContext,
        started: MonotonicInstant
    ) -> (any Error)? {
        if case .closed = error, !pools.isClosed { return nil }
        return ServiceError(
            error, request: prepared, deadline: deadline, context: context, started: started,
            now: environment.clock.now
        )
    }

    /// What a request without a connection is about to wait for: a dial, where the origin's limit allows one, else others.
    private func waitingPhase(in pool: OriginPools.Pool) -> RequestPhase {
        let snapshot = pool.snapshot()
        guard let maximum = environment.options.pool.maximumPerOrigin else { return .connecting }
        return snapshot.active + snapshot.dialling < maximum ? .connecting : .queued
    }

    package func beginDrain() {
        let closed = pools.snapshot().closed.values.reduce(0, +)
        closedBeforeDrain.withLock { $0 = $0 ?? closed }
        pools.beginDrain()
    }

    @discardableResult
    package func close() async -> Int {
        beginDrain()
        pools.closeAll()
        await waitUntilClosed(within: .seconds(1))
        let closed = pools.snapshot().closed.values.reduce(0, +)
        return closed - (closedBeforeDrain.withLock { $0 } ?? 0)
    }

    /// Waits until no channel is open and no dial under way, but not longer than `limit`.
    private func waitUntilClosed(within limit: Duration) async {
        let census = environment.census
        let clock = environment.clock
        await withTaskGroup { group in
            group.addTask { await census.waitUntilNoneIsLeft() }
            group.addTask { try? await clock.sleep(until: clock.now.advanced(by: limit), tolerance: nil) }
            await group.next()
            group.cancelAll()
        }
    }

    /// What the pools hold now.
    package func snapshot() -> BowlineCore.PoolSnapshot {
        pools.snapshot()
    }

    /// Channels that are open now, those that are being dialled or are closing included.
    package var openChannels: Int { environment.census.open }

    /// Dials until `origin` has that many connections ready.
    package func prewarm(_ origin: Origin, connections: Int) async throws {
        do {
            try await pools.pool(for: origin).prewarm(connections)
        } catch PoolError.dialFailed(let error) {
            throw error
        } catch is PoolError {
            throw ServiceError(.shuttingDown, "the client is shutting down or shut down and dials no more")
        }
    }

    /// The executors of the client's event loops.
    package var executors: [EventLoopTaskExecutor] { environment.loops.executors }
}
