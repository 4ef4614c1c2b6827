package import BowlineCore
internal import NIOCore
internal import NIOPosix

/// Carries attempts over pooled connections. If a request failed because its connection was dead, resends it once.
package final class PooledTransport: ServiceTransport {
    let environment: TransportEnvironment
    let pools: RoutePools
    /// How many connections had been closed when the drain began.
    private let closedBeforeDrain = Guarded(Int?.none)

    /// Makes a transport on SwiftNIO's singleton event loops, or on those of `options.network`.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration` if a certificate or key cannot be used; `connectFailed` if the
    ///   event loops cannot be made because there are too few descriptors or threads.
    package init(options: TransportOptions) throws {
        let group: any EventLoopGroup =
            if let network = options.network { network.eventLoopGroup } else { try SingletonLoops.group() }
        environment = try TransportEnvironment(options: options, group: group)
        pools = RoutePools(environment: environment)
    }

    /// Warnings about the environment's variables, for the log, once.
    package var warnings: [String] { environment.proxies.warnings }

    package func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        let prepared = try prepare(request, context: context)
        if prepared.bodyWasEmptyFile {
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
            let pool = pools.pool(for: prepared.route)
            let lease: Lease
            let leased: MonotonicInstant
            do {
                (lease, leased) = try await self.lease(in: pool, for: prepared, resend)
            } catch {
                guard let failure = notLeased(prepared, error, resend) else { continue }
                throw failure
            }
            let exchange = begin(lease, at: leased, prepared, resend)
            do {
                return try await exchange.run()
            } catch {
                try prepareResend(after: error, of: exchange, lease, pool, &resend)
            }
        }
    }

    /// Leases a connection, and returns it with the instant of the lease.
    private func lease(
        in pool: ConnectionPool, for prepared: PreparedRequest, _ resend: ResendPolicy
    ) async throws -> (Lease, at: MonotonicInstant) {
        try Task.checkCancellation()
        // For the first try, the start of the attempt serves as the time, so the clock is not read.
        let now = resend.hasTried ? environment.clock.now : prepared.deadline.started
        if let lease = tryLease(in: pool, resend, now: now) { return (lease, at: now) }
        let queued = beginWaiting(in: pool, prepared, resend)
        defer { if let queued { dequeued(prepared, resend: resend.count, since: queued) } }
        let lease = try await pool.lease(leaseOptions(resend, prepared))
        return (lease, at: environment.clock.now)
    }

    /// Checks that the file of the request's body is still empty. Returns the request with an empty body in memory.
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

    // Not inlined: keeps the suspended frames of the callers of these functions small.

    @inline(never)
    private func prepare(_ request: ServiceRequest, context: RequestContext) throws -> PreparedRequest {
        let started = environment.clock.now
        let prepared = try PreparedRequest(
            request, context: context, started: started, proxies: environment.proxies,
            isPooled: environment.options.pool.isEnabled)
        guard prepared.deadline.instant > started else { throw prepared.deadline.passed(prepared, now: started) }
        return prepared
    }

    @inline(never)
    private func tryLease(
        in pool: ConnectionPool, _ resend: ResendPolicy, now: MonotonicInstant
    ) -> Lease? {
        guard !resend.requiresFresh else { return nil }
        return pool.tryLease(affinity: environment.loops.currentAffinity, now: now)
    }

    /// Reports a failed lease. Returns the error for the caller; nil: the pool was unused and has just been closed, and
    /// another pool replaces it.
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
        _ lease: Lease, at leased: MonotonicInstant, _ prepared: PreparedRequest, _ resend: ResendPolicy
    ) -> Exchange {
        let exchange = Exchange(
            request: prepared, connection: lease.connection,
            lease: Exchange.LeaseFacts(
                isReused: lease.isReused, uses: lease.uses, wasIdle: lease.idleSince != nil,
                leased: leased
            ),
            resends: resend.count, options: environment.options.connection, events: environment.events
        )
        exchange.tell(at: exchange.lease.leased) { $0.requestLeased($1, isReused: exchange.lease.isReused) }
        return exchange
    }

    /// Prepares the next send if `resend` allows one.
    ///
    /// - Throws: The error for the caller, if no further send is allowed.
    @inline(never)
    private func prepareResend(
        after error: any Error, of exchange: Exchange, _ lease: Lease, _ pool: ConnectionPool,
        _ resend: inout ResendPolicy
    ) throws {
        guard let outcome = error as? TransportOutcome else {
            exchange.tell { $0.requestEnded($1, RequestEnding(error)) }
            throw error
        }
        let resends = resend.claimResend(of: exchange.request, after: outcome, wasPooled: exchange.wasPooled)
        // Nothing was sent: the request only needs another connection.
        if resends, resend.count == exchange.resends { return }
        let failure = ServiceError(outcome, of: exchange)
        exchange.tell { $0.requestEnded($1, .failed(failure)) }
        defer { suspectSiblings(of: exchange, after: outcome, lease, pool) }
        guard resends else { throw resend.withEarlierProgress(failure) }
        exchange.call.sentAgain()
        tell(exchange.request, resend: resend.count) { $0.requestResending($1) }
    }

    /// Evicts or probes other connections that may be as dead as the failed one, whether or not this request is resent.
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

    /// Records what the request is about to wait for: a dial, if the origin's limit allows one, or another connection.
    /// Returns when the wait begins; nil: no listeners.
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
        environment.addresses.cancelAll()
        await waitUntilClosed(within: .seconds(1))
        let closed = pools.snapshot().closed.values.reduce(0, +)
        return closed - (closedBeforeDrain.withLock { $0 } ?? 0)
    }

    /// Waits until no channel is open and no dial is under way, but at most for `limit`.
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

    /// Returns the current numbers of the pools.
    package func snapshot() -> PoolSnapshot {
        pools.snapshot()
    }

    /// The number of open channels, including those that are being dialled or closed.
    package var openChannels: Int { environment.census.open }

    /// Dials until `origin` has that many connections ready for requests.
    ///
    /// - Parameter overAddresses: Whether requests to the origin choose an address of its host. Then the connections are
    ///   spread evenly over the addresses.
    package func prewarm(_ origin: Origin, connections: Int, overAddresses: Bool = false) async throws {
        if overAddresses, let addresses = try await addresses(of: origin, deadline: nil) {
            try await prewarm(origin, addresses, connections: connections)
        } else {
            try await prewarm(Route(origin, proxy: try environment.proxies.proxy(for: origin)), connections)
        }
    }

    private func prewarm(_ origin: Origin, _ addresses: [IPAddress], connections: Int) async throws {
        let (share, rest) = connections.quotientAndRemainder(dividingBy: max(1, addresses.count))
        try await withThrowingTaskGroup { group in
            for (index, address) in addresses.enumerated() {
                let count = share + (index < rest ? 1 : 0)
                guard count > 0 else { break }
                group.addTask { try await self.prewarm(Route(origin, address: address), count) }
            }
            try await group.waitForAll()
        }
    }

    private func prewarm(_ route: Route, _ connections: Int) async throws {
        var pool = pools.pool(for: route)
        while try await !prewarm(pool, connections) {
            pool = pools.pool(for: route)
        }
    }

    /// Returns false if the pool was unused and has just been closed; another pool replaces it.
    func prewarm(_ pool: ConnectionPool, _ connections: Int) async throws -> Bool {
        do {
            try await pool.prewarm(connections)
            return true
        } catch PoolError.dialFailed(let error) {
            throw error
        } catch PoolError.closed where !pools.isClosed {
            return false
        } catch PoolError.draining where !pools.isDraining {
            // The host no longer has the address of the pool.
            return true
        } catch is PoolError {
            throw ServiceError(.shuttingDown, "the client is shutting down or shut down and dials no more")
        }
    }

    /// The executors of the client's event loops.
    package var executors: [EventLoopTaskExecutor] { environment.loops.executors }
}
