import BowlineCore
import Testing

@testable import BowlineTransport

/// The driver: continuations, cancellation, the timer, and the order of what it does.
@Suite(.timeLimit(.minutes(1))) struct ConnectionPoolTests {
    let clock = ManualClock()
    let dialer = ScriptedDialer()

    @Test("a lease waits for its dial; the next one reuses the connection without waiting", .tags(.PO1))
    func leaseAndReuse() async throws {
        let pool = dialer.makePool(clock)
        async let lease = pool.lease()
        let id = await dialer.dials(1)
        pool.connectionEstablished(ScriptedConnection(id, affinity: 0))
        let first = try await lease
        #expect(first.connection.id == id)
        #expect(!first.isReused)
        #expect(first.uses == 1)
        #expect(first.idleSince == nil)
        pool.release(first.connection)
        let second = try #require(pool.tryLease())
        #expect(second.connection === first.connection)
        #expect(second.isReused)
        #expect(second.idleSince == clock.now)
        #expect(pool.tryLease() == nil)
    }

    @Test("waiting requests are served in order of arrival", .tags(.PO1))
    func fifo() async throws {
        let pool = dialer.makePool(clock) { $0.maximumConnections = 1 }
        dialer.setMode(.succeedAtOnce)
        let held = try await pool.lease().scripted
        let order = Log<Int>()
        await withTaskGroup { group in
            for number in 1...5 {
                group.addTask {
                    guard let connection = try? await pool.lease().connection else { return }
                    order.append(number)
                    pool.release(connection)
                }
                await pool.waiting(number)
            }
            pool.release(held)
        }
        #expect(order.entries == [1, 2, 3, 4, 5])
    }

    @Test("the queue wait ends at maximumWait, by the pool's clock", .tags(.PO3))
    func waitTimesOut() async throws {
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(clock) { $0.maximumConnections = 1 }
        let held = try await pool.lease().scripted
        defer { pool.release(held) }
        let waiting = Task { try await pool.lease(.init(maximumWait: .seconds(10))) }
        await clock.sleeps(1)
        clock.advance(by: .seconds(10))
        let result = await waiting.result
        guard case .failure(PoolError.acquireTimeout(nil, .seconds(10), 0)) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(pool.snapshot().waiting == 0)
    }

    @Test("The earlier of deadline and maximumWait ends the wait", .tags(.PO3))
    func earlierDeadline() async throws {
        let pool = dialer.makePool(clock)
        let deadline = clock.now.advanced(by: .seconds(3))
        let waiting = Task { try await pool.lease(.init(deadline: deadline, maximumWait: .seconds(10))) }
        await clock.sleeps(1)
        clock.advance(by: .seconds(3))
        await #expect(throws: PoolError.self) { try await waiting.value }
    }

    @Test("an idle connection is closed by the timer, without a request", .tags(.PO4))
    func idleTimer() async throws {
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(clock)
        let connection = try await pool.lease().scripted
        pool.release(connection)
        await clock.sleeps(1)
        clock.advance(by: .seconds(90))
        #expect(await connection.closed.value == .idleTimeout)
        #expect(pool.snapshot().closed == [.idleTimeout: 1])
    }

    @Test("There is one sleep per pool, however many requests there are")
    func oneTimer() async throws {
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(clock)
        let connection = try await pool.lease().scripted
        pool.release(connection)
        for _ in 0..<1000 {
            let lease = try #require(pool.tryLease())
            pool.release(lease.connection)
            clock.advance(by: .milliseconds(10))
        }
        await clock.sleeps(1)
        #expect(clock.sleepsStarted == 1)
    }

    @Test("a dial that ends after a returned connection served its request goes to the pool", .tags(.PO8))
    func lateDial() async throws {
        let pool = dialer.makePool(clock)
        async let first = pool.lease()
        pool.connectionEstablished(ScriptedConnection(await dialer.dials(1), affinity: 0))
        let held = try await first.connection
        async let second = pool.lease()
        let late = await dialer.dials(2)
        pool.release(held)
        #expect(try await second.connection === held)
        pool.connectionEstablished(ScriptedConnection(late, affinity: 0))
        #expect(pool.snapshot().idle == 1)
    }

    @Test(
        "a cancelled request ends at once with CancellationError, and its dial's connection goes to the pool",
        .tags(.CA4))
    func cancelWhileWaiting() async throws {
        let pool = dialer.makePool(clock)
        let waiting = Task { try await pool.lease() }
        let id = await dialer.dials(1)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        pool.connectionEstablished(ScriptedConnection(id, affinity: 0))
        #expect(pool.snapshot().idle == 1)
    }

    @Test("A task that is already cancelled takes no connection", .tags(.CA1))
    func cancelledBefore() async throws {
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(clock)
        pool.release(try await pool.lease().connection)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await pool.lease()
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(pool.snapshot().idle == 1)
    }

    @Test("A request that is cancelled when it gets a connection returns it, and the use is not counted", .tags(.CA2))
    func cancelledWhenGranted() async throws {
        dialer.setMode(.succeedAtOnce)
        // Runs after the grant is decided and before the request learns of it, on the request's task.
        let pool = dialer.makePool(clock, idleCountChanged: { if $0 < 0 { withUnsafeCurrentTask { $0?.cancel() } } })
        pool.release(try await pool.lease().connection)
        let task = Task { try await pool.lease() }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(pool.snapshot().idle == 1)
        let uses = await Task { pool.tryLease()?.uses }.value
        #expect(uses == 2)
    }

    @Test("A failed dial fails its waiter at once with the cause")
    func dialFailure() async throws {
        let pool = dialer.makePool(clock)
        let waiting = Task { try await pool.lease(.init(maximumWait: .seconds(10))) }
        pool.connectionFailed(await dialer.dials(1), error: ScriptedDialError(number: 1))
        let result = await waiting.result
        guard case .failure(PoolError.dialFailed(let error)) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(error as? ScriptedDialError == ScriptedDialError(number: 1))
    }

    @Test("Dials that fail within the call that starts them end a long queue without recursion", .tags(.PO2))
    func synchronousFailures() async throws {
        let pool = dialer.makePool(clock) {
            $0.maximumConnections = 1
            $0.maximumWaiting = nil
        }
        let failures = Log<any Error>()
        await withTaskGroup { group in
            for _ in 0..<5000 {
                group.addTask {
                    do {
                        _ = try await pool.lease()
                    } catch {
                        failures.append(error)
                    }
                }
            }
            await pool.waiting(5000)
            dialer.setMode(.failAtOnce)
            pool.connectionFailed(ConnectionID(1), error: ScriptedDialError())
        }
        #expect(failures.entries.count == 5000)
        #expect(pool.isCold)
    }

    @Test("prewarm returns when its dials have ended, and throws their error")
    func prewarm() async throws {
        let pool = dialer.makePool(clock)
        async let warmed: Void = pool.prewarm(2)
        _ = await dialer.dials(2)
        for id in dialer.started { pool.connectionEstablished(ScriptedConnection(id, affinity: 0)) }
        try await warmed
        #expect(pool.snapshot().idle == 2)
        dialer.setMode(.failAtOnce)
        await #expect(throws: ScriptedDialError.self) { try await pool.prewarm(3) }
    }

    @Test("prewarm ends when its task is cancelled; the dials continue")
    func prewarmCancelled() async throws {
        let pool = dialer.makePool(clock)
        let task = Task { try await pool.prewarm(1) }
        _ = await dialer.dials(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(pool.snapshot().dialling == 1)
    }

    @Test("minimumIdle is refilled after the backoff, by the same timer", .tags(.PO9))
    func refill() async throws {
        let pool = dialer.makePool(clock) {
            $0.minimumIdle = 1
            $0.idleTimeout = nil
            $0.maximumLifetime = nil
        }
        #expect(pool.tryLease() == nil)
        pool.connectionFailed(await dialer.dials(1), error: ScriptedDialError())
        await clock.sleeps(1)
        clock.advance(by: .seconds(1))
        _ = await dialer.dials(2)
    }

    @Test("Closing fails the waiters and closes leased and idle connections", .tags(.LC3))
    func closeAll() async throws {
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(clock) { $0.maximumConnections = 2 }
        let held = [try await pool.lease().scripted, try await pool.lease().scripted]
        let waiting = Task { try await pool.lease() }
        await pool.waiting(1)
        pool.closeAll(.forced)
        await #expect(throws: PoolError.self) { try await waiting.value }
        for connection in held {
            #expect(await connection.closed.value == .forced)
            pool.release(connection)
            pool.connectionClosed(connection.id, reason: .transportError)
        }
        #expect(pool.snapshot().closed == [.forced: 2])
    }

    @Test("A drain closes idle connections at once and others when they are released, and stops the timer", .tags(.LC2))
    func drain() async throws {
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(clock)
        let held = try await pool.lease().scripted
        let idle = try await pool.lease().scripted
        pool.release(idle)
        await clock.sleeps(1)
        pool.beginDrain()
        #expect(idle.closed.current == .shutdown)
        #expect(held.closed.current == nil)
        pool.release(held)
        #expect(held.closed.current == .shutdown)
        #expect(pool.closeIfCold())
        await #expect(throws: PoolError.self) { try await pool.lease() }
    }

    @Test("A released pool closes its idle connections and cancels its dials; leased connections stay with their users")
    func release() async throws {
        dialer.setMode(.succeedAtOnce)
        var pool: ConnectionPool? = dialer.makePool(clock)
        let held = try #require(try await pool?.lease().scripted)
        let idle = try #require(try await pool?.lease().scripted)
        pool?.release(idle)
        await clock.sleeps(1)
        dialer.setMode(.byHand)
        let waiting = Task { [pool] in try await pool?.lease(.init(requiresFresh: true)) }
        let dial = await dialer.dials(3)
        waiting.cancel()
        _ = await waiting.result
        pool = nil
        #expect(await idle.closed.value == .poolReleased)
        #expect(held.closed.current == nil)
        #expect(await dialer.firstCancelled.value == dial)
        #expect(clock.sleeperCount == 0)
    }

    @Test("A timer that is set after its pool was released ends at once, and does not keep the driver alive")
    func timerAfterRelease() async throws {
        weak var driver: PoolDriver?
        do {
            dialer.setMode(.succeedAtOnce)
            var pool: ConnectionPool? = dialer.makePool(clock)
            let released = try #require(pool?.driver)
            driver = released
            let held = try #require(try await pool?.lease().scripted)
            // The pool ends after a thread has decided on a timer and before the thread sets it.
            let effects = released.state.withLock {
                $0.machine.release(held.id, keepAliveTimeout: nil, now: released.now)
            }
            guard case .schedule = effects.wakeUp else {
                Issue.record("no timer")
                return
            }
            pool = nil
            released.apply(effects, [])
        }
        await clock.sleeps(1)
        while driver != nil, !Task.isCancelled { await Task.yield() }
        #expect(driver == nil)
        #expect(clock.sleeperCount == 0)
    }

    @Test("A suspected connection is probed outside the pool's lock")
    func probe() async throws {
        dialer.setMode(.succeedAtOnce)
        dialer.setStreams(2)
        let pool = dialer.makePool(clock) { $0.expectation = .streams(2) }
        let first = try await pool.lease().scripted
        clock.advance(by: .seconds(1))
        // Any other connection's name: this one is a sibling.
        pool.noByteReceived(on: ConnectionID(99), since: clock.now)
        #expect(first.probed.current == true)
        let second = try await pool.lease().scripted
        #expect(second !== first)
        #expect(try await pool.lease().connection === second)
        pool.connectionConfirmed(first.id)
        #expect(try await pool.lease().connection === first)
        #expect(pool.snapshot().streams == 4)
        #expect(dialer.started.count == 2)
    }

    @Test("The owner learns of each connection that closes, and the idle deltas add up")
    func callbacks() async throws {
        let removed = Log<(id: ConnectionID, reason: CloseReason)>()
        let idle = Log<Int>()
        dialer.setMode(.succeedAtOnce)
        let pool = dialer.makePool(
            clock,
            idleCountChanged: { idle.append($0) },
            connectionRemoved: { removed.append(($0, $1)) }
        )
        let connections = [try await pool.lease().scripted, try await pool.lease().scripted]
        for connection in connections { pool.release(connection) }
        #expect(idle.entries == [1, 1])
        #expect(pool.oldestIdleSince == clock.now)
        #expect(pool.evictOldestIdle())
        #expect(idle.entries == [1, 1, -1])
        pool.evictStale(idleSince: clock.now)
        #expect(!pool.evictOldestIdle())
        #expect(idle.entries == [1, 1, -1, -1])
        #expect(removed.entries.map(\.id) == connections.map(\.id))
        #expect(removed.entries.map(\.reason) == [.totalIdleCapacity, .stale])
    }
}

extension ConnectionPool {
    /// Returns when this number of requests waits.
    func waiting(_ count: Int) async {
        while snapshot().waiting < count, !Task.isCancelled {
            await Task.yield()
        }
    }
}

/// What happened, in order, on any thread.
private final class Log<Entry: Sendable>: Sendable {
    private let contents = Guarded<[Entry]>([])

    var entries: [Entry] { contents.withLock { $0 } }

    func append(_ entry: Entry) {
        contents.withLock { $0.append(entry) }
    }
}
