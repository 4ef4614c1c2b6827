internal import BowlineCore

extension ConnectionPool {
    /// Hands out an idle connection at once, or nothing: the most recently used one that lives on `affinity` if there
    /// is one, else of all. Never waits, never dials for the caller.
    ///
    /// - Parameter now: The clock's time, if the caller has just read it.
    func tryLease(affinity: Int? = nil, now: MonotonicInstant? = nil) -> Lease? {
        driver.checkOut(affinity: affinity, now: now ?? driver.now)
    }

    /// Hands out an idle connection, or waits for one that is returned or dialled, whichever comes first.
    ///
    /// - Throws: `PoolError`, or `CancellationError` when the task is cancelled. A wait that has ended in either
    ///   way takes no connection: one that was assigned at the same instant goes to the next in line.
    func lease(_ options: LeaseOptions = .init()) async throws -> Lease {
        let now = driver.now
        return try await driver.lease(makeRequest(options, now: now), now: now)
    }

    /// Not inlined, so that what it uses has no room in the frame of a request that waits.
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

    /// Takes back a connection whose response is complete and which can serve another request.
    ///
    /// It goes to the first request in line, or becomes idle, or is closed if it is too old, used up, one too many,
    /// or the pool drains. Without effect when the pool has forgotten the connection, because it was closed
    /// meanwhile.
    ///
    /// - Parameters:
    ///   - keepAliveTimeout: What the server's `Keep-Alive: timeout` said. The connection is kept idle for a
    ///   second less.
    ///   - now: The clock's time, if the caller has just read it.
    func release(_ connection: any HTTPConnection, keepAliveTimeout: Duration? = nil, now: MonotonicInstant? = nil) {
        driver.release(connection.id, keepAliveTimeout: keepAliveTimeout, now: now ?? driver.now)
    }

    /// Takes back a connection to which nothing was written: the lease does not count as a use.
    func returnUnused(_ connection: any HTTPConnection) {
        driver.perform { $0.returnUnused(connection.id, now: $1) }
    }
}
