package import BowlineCore
internal import NIOCore
internal import NIOPosix

/// Carries attempts over pooled connections, and sends again, once, what a dead connection did not carry.
package final class PooledTransport: ServiceTransport {
    let environment: TransportEnvironment
    let pools: OriginPools
    /// How many connections had been closed when the drain began.
    private let closedBeforeDrain = Guarded(Int?.none)

    /// Makes a transport on SwiftNIO's singleton event loops.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration` if a certificate or key cannot be used; `connectFailed` if the event loops
    ///   cannot be made, for want of descriptors or threads.
    package init(options: TransportOptions) throws {
        environment = try TransportEnvironment(options: options, group: SingletonLoops.group())
        pools = OriginPools(environment: environment)
    }

    package func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        let prepared = try prepare(request, context: context)
        if prepared.isBodySaidToBeEmpty {
            return try await send(lookingAgain(at: request, context: context), context: context)
        }
        do {
            return try await send(prepared)
        } catch {
            prepared.context.call.enter(.pipeline, attempt: prepared.context.attempt)
            prepared.holdBody()
            throw error
        }
    }

    private func send(_ prepared: PreparedRequest) async throws -> ServiceResponse {
        var resend = ResendPolicy()
        while true {
            let pool = pools.pool(for: prepared.origin)
            let lease: Lease
            do {
                lease = try await self.lease(in: pool, for: prepared, resend)
            } catch {
                guard let failure = notLeased(prepared, error, resend) else { continue }
                throw failure
            }
            let exchange = begin(lease, prepared, resend)
            do {
                return try await exchange.run()
            } catch {
                try goOn(after: error, of: exchange, lease, pool, &resend)
            }
        }
    }

    private func lease(
        in pool: ConnectionPool, for prepared: PreparedRequest, _ resend: ResendPolicy
    ) async throws -> Lease {
        try Task.checkCancellation()
        if let lease = tryLease(in: pool, for: prepared, resend) { return lease }
        let queued = beginWaiting(in: pool, prepared, resend)
        defer { if let queued { dequeued(prepared, resend: resend.count, since: queued) } }
        return try await pool.lease(leaseOptions(resend, prepared))
    }

    /// The request, if the file that is its body is still as empty as the request says.
    @inline(never)
    private func lookingAgain(at request: ServiceRequest, context: RequestContext) async throws -> ServiceRequest {
        func failure(_ code: ServiceError.Code, _ message: String, _ underlying: (any Error)? = nil) -> ServiceError {
            ServiceError(
                code, message, underlying: underlying, attempts: context.attempt, origin: request.origin?.description,
                phase: .pipeline)
        }
        do {
            var request = request
            request.body = try await request.body.confirmedEmpty()
            return request
        } catch let error as RequestBodyFailure {
            throw failure(error.error.code, error.error.message)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw failure(.requestBodyFailed, "the request body's sequence threw \(type(of: error))", error)
        }
    }

    // Apart from what calls them, because what they use would lie in its frame as long as that waits.

    @inline(never)
    private func prepare(_ request: ServiceRequest, context: RequestContext) throws -> PreparedRequest {
        let started = environment.clock.now
        let prepared = try PreparedRequest(
            request, context: context, started: started, isPooled: environment.options.pool.isEnabled)
        guard prepared.deadline.instant > started else { throw prepared.deadline.passed(prepared, now: started) }
        return prepared
    }

    @inline(never)
    private func tryLease(
        in pool: ConnectionPool, for prepared: PreparedRequest, _ resend: ResendPolicy
    ) -> Lease? {
        guard !resend.requiresFresh else { return nil }
        return pool.tryLease(affinity: environment.loops.currentAffinity, now: prepared.deadline.started)
    }

    /// The pool has given no connection: what the caller is told; nil: the pool had gone cold just now, and another takes
    /// its place.
    @inline(never)
    private func notLeased(_ prepared: PreparedRequest, _ error: any Error, _ resend: ResendPolicy) -> (any Error)? {
        var failure = error
        if let error = error as? PoolError {
            if case .closed = error, !pools.isClosed { return nil }
            var made = resend.withEarlierProgress(ServiceError(error, request: prepared, now: environment.clock.now))
            if resend.count > 0 { made.resends = resend.count }
            failure = made
        }
        tell(prepared, resend: resend.count) { $0.requestEnded($1, RequestEnding(failure)) }
        return failure
    }

    @inline(never)
    private func begin(
        _ lease: Lease, _ prepared: PreparedRequest, _ resend: ResendPolicy
    ) -> Exchange {
        let exchange = Exchange(
            request: prepared, connection: lease.connection,
            lease: Exchange.LeaseFacts(
                isReused: lease.isReused, uses: lease.uses, wasIdle: lease.idleSince != nil,
                leased: environment.clock.now
            ),
            resends: resend.count, options: environment.options.connection, events: environment.events
        )
        exchange.tell(at: exchange.lease.leased) { $0.requestLeased($1, isReused: exchange.lease.isReused) }
        return exchange
    }

    /// Makes ready for sending once more, if that may be.
    ///
    /// - Throws: what the caller is told, if not.
    @inline(never)
    private func goOn(
        after error: any Error, of exchange: Exchange, _ lease: Lease, _ pool: ConnectionPool,
        _ resend: inout ResendPolicy
    ) throws {
        guard let outcome = error as? TransportOutcome else {
            exchange.tell { $0.requestEnded($1, RequestEnding(error)) }
            throw error
        }
        let isGoingOn = resend.claimResend(of: exchange.request, after: outcome, wasPooled: exchange.wasPooled)
        // Nothing was sent: it only needs another connection.
        if isGoingOn, resend.count == exchange.resends { return }
        let failure = ServiceError(outcome, of: exchange)
        exchange.tell { $0.requestEnded($1, .failed(failure)) }
        defer { suspectSiblings(of: exchange, after: outcome, lease, pool) }
        guard isGoingOn else { throw resend.withEarlierProgress(failure) }
        exchange.call.sentAgain()
        tell(exchange.request, resend: resend.count) { $0.requestResending($1) }
    }

    /// Other connections may be as dead as the one that has failed, whether this request is sent again or not.
    private func suspectSiblings(
        of exchange: Exchange, after outcome: TransportOutcome, _ lease: Lease, _ pool: ConnectionPool
    ) {
        let waited = exchange.lease.leased.duration(to: environment.clock.now)
        switch SiblingSuspicion(exchange, after: outcome, waited: waited) {
        case .none: break
        case .dead: if let idleSince = lease.idleSince { pool.evictStale(idleSince: idleSince) }
        case .silent: pool.noByteReceived(on: exchange.connection.id, since: exchange.lease.leased)
        }
    }

    /// What a request without a connection is about to wait for: a dial, where the origin's limit allows one, else others.
    @inline(never)
    private func beginWaiting(
        in pool: ConnectionPool, _ prepared: PreparedRequest, _ resend: ResendPolicy
    ) -> MonotonicInstant? {
        let mayDial = pool.busyCount < environment.options.pool.maximumPerOrigin ?? .max
        prepared.context.call.enter(mayDial ? .connecting : .queued, attempt: prepared.context.attempt)
        return queued(prepared, resend: resend.count)
    }

    @inline(never)
    private func leaseOptions(_ resend: ResendPolicy, _ prepared: PreparedRequest) -> LeaseOptions {
        let deadline = prepared.deadline.instant
        return LeaseOptions(
            affinity: environment.loops.currentAffinity, requiresFresh: resend.requiresFresh,
            deadline: deadline == .distantFuture ? nil : deadline,
            maximumWait: prepared.context.timeouts.poolAcquire
        )
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
    package func snapshot() -> PoolSnapshot {
        pools.snapshot()
    }

    /// Channels that are open now, those that are being dialled or are closing included.
    package var openChannels: Int { environment.census.open }

    /// Dials until `origin` has that many connections ready.
    package func prewarm(_ origin: Origin, connections: Int) async throws {
        var pool = pools.pool(for: origin)
        while try await !prewarm(pool, connections) {
            pool = pools.pool(for: origin)
        }
    }

    /// Returns false if the pool had gone cold just now: another takes its place.
    func prewarm(_ pool: ConnectionPool, _ connections: Int) async throws -> Bool {
        do {
            try await pool.prewarm(connections)
            return true
        } catch PoolError.dialFailed(let error) {
            throw error
        } catch PoolError.closed where !pools.isClosed {
            return false
        } catch is PoolError {
            throw ServiceError(.shuttingDown, "the client is shutting down or shut down and dials no more")
        }
    }

    /// The executors of the client's event loops.
    package var executors: [EventLoopTaskExecutor] { environment.loops.executors }
}
