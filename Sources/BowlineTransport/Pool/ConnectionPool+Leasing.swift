internal import BowlineCore

extension ConnectionPool {
    /// Leases a connection at once, or returns nil. Prefers a multiplexed connection in use that has room. If there is
    /// none, takes the most recently used idle connection on `affinity`, or else the most recently used one on any
    /// event loop. Never waits and never dials for the caller.
    ///
    /// - Parameter now: The clock's time, if the caller has just read it.
    func tryLease(affinity: Int? = nil, now: MonotonicInstant? = nil) -> Lease? {
        driver.tryLease(affinity: affinity, now: now ?? driver.now)
    }

    /// Leases a free connection, or waits until one is released or dialled, whichever comes first.
    ///
    /// - Throws: `PoolError`, or `CancellationError` when the task is cancelled. A wait that ends with an error takes
    ///   no connection: a connection assigned at the same instant goes to the next waiting request.
    func lease(_ options: LeaseOptions = .init()) async throws -> Lease {
        let now = driver.now
        return try await driver.lease(makeRequest(options, now: now), now: now)
    }

    /// Not inlined: keeps the suspended frame of a waiting request small.
    @inline(never)
    private func makeRequest(_ options: LeaseOptions, now: MonotonicInstant) -> LeaseRequest {
        LeaseRequest(
            waiter: driver.nextWaiterID(),
            affinity: options.affinity,
            requiresFresh: options.requiresFresh,
            deadline: options.deadline,
            limit: options.maximumWait.map { now.advanced(by: $0) }
        )
    }

    /// Takes back a connection after a complete response. The connection can serve another request.
    ///
    /// The connection goes to the first waiting request or becomes idle. It closes instead if it is too old or used up,
    /// if there are too many idle connections, or if the pool drains. Does nothing if the pool has closed and forgotten
    /// the connection meanwhile.
    ///
    /// - Parameters:
    ///   - keepAliveTimeout: The value of the server's `Keep-Alive: timeout`. The connection stays idle for at most one
    ///     second less than this value.
    ///   - now: The clock's time, if the caller has just read it.
    func release(_ connection: any HTTPConnection, keepAliveTimeout: Duration? = nil, now: MonotonicInstant? = nil) {
        driver.release(connection.id, keepAliveTimeout: keepAliveTimeout, now: now ?? driver.now)
    }

    /// Takes back a connection on which nothing was written. The lease does not count as a use.
    func returnUnused(_ connection: any HTTPConnection) {
        driver.perform { $0.returnUnused(connection.id, now: $1) }
    }
}
