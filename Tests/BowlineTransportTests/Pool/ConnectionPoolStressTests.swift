import BowlineCore
import Synchronization
import Testing

@testable import BowlineTransport

/// Many threads, real time, everything at once. Says nothing about order; the books must balance and no connection be
/// shared.
@Suite(.timeLimit(.minutes(5))) struct ConnectionPoolStressTests {
    @Test(
        "After random leases, cancellations, timeouts, lost connections and evictions the counts balance",
        .tags(.PO6, .PO10),
        arguments: 1...4)
    func stress(seed: UInt64) async throws {
        let totals = Totals()
        let dialer = UnreliableDialer(seed: seed)
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 6
        configuration.maximumIdle = 3
        // So short that the timer and the leases race all the time.
        configuration.idleTimeout = .microseconds(200)
        configuration.maximumLifetime = .milliseconds(20)
        configuration.maximumUses = 50
        configuration.minimumIdle = seed.isMultiple(of: 2) ? 1 : 0
        let pool = ConnectionPool(
            configuration: configuration,
            dialer: dialer,
            clock: MonotonicClock(),
            idleCountChanged: { _ = totals.idle.wrappingAdd($0, ordering: .relaxed) },
            connectionRemoved: { id, _ in
                if !totals.removed.withLock({ $0.insert(id).inserted }) { Issue.record("\(id) removed twice") }
            }
        )
        dialer.attach(pool)
        await withTaskGroup { group in
            for worker in 0..<8 {
                group.addTask { await work(pool, seed: seed &* 100 &+ UInt64(worker), totals) }
            }
        }
        pool.beginDrain()
        pool.closeAll(.forced)
        await dialer.finish()
        let snapshot = pool.snapshot()
        #expect(snapshot.idle + snapshot.active + snapshot.dialling + snapshot.waiting == 0, "seed \(seed)")
        #expect(snapshot.opened == snapshot.closed.values.reduce(0, +), "seed \(seed)")
        #expect(snapshot.opened == totals.removed.withLock { $0.count }, "seed \(seed)")
        #expect(totals.idle.load(ordering: .relaxed) == 0, "seed \(seed)")
        #expect(totals.ended.load(ordering: .relaxed) == 8 * Self.rounds, "seed \(seed)")
        #expect(totals.served.load(ordering: .relaxed) > Self.rounds, "seed \(seed)")
    }

    static let rounds = 1500

    final class Totals: Sendable {
        let idle = Atomic<Int>(0)
        let ended = Atomic<Int>(0)
        let served = Atomic<Int>(0)
        let removed = Guarded<Set<ConnectionID>>([])
    }

    private func work(_ pool: ConnectionPool, seed: UInt64, _ totals: Totals) async {
        var random = PoolRandomWalkTests.Seeded(state: seed)
        for _ in 0..<Self.rounds {
            let dice = Int.random(in: 0..<100, using: &random)
            let affinity = Int.random(in: 0..<3, using: &random)
            if dice < 30, let lease = pool.tryLease(affinity: affinity) {
                use(lease.connection, pool, dice: Int.random(in: 0..<100, using: &random), totals)
            } else {
                let options = LeaseOptions(
                    affinity: affinity,
                    requiresFresh: dice > 95,
                    maximumWait: dice > 80 ? .microseconds(dice) : .seconds(60)
                )
                let outcome = Int.random(in: 0..<100, using: &random)
                let request = Task {
                    guard let lease = try? await pool.lease(options) else { return }
                    use(lease.connection, pool, dice: outcome, totals)
                }
                if dice.isMultiple(of: 4) { request.cancel() }
                await request.value
            }
            if dice == 50 { pool.evictOldestIdle() }
            if dice == 51 { pool.evictStale(idleSince: MonotonicClock().now) }
            if dice == 52 { pool.noByteReceived(on: ConnectionID(1), since: MonotonicClock().now) }
            totals.ended.wrappingAdd(1, ordering: .relaxed)
        }
    }

    private func use(_ leased: any HTTPConnection, _ pool: ConnectionPool, dice: Int, _ totals: Totals) {
        guard let connection = leased as? ScriptedConnection else {
            Issue.record("the pool leased a connection that the dialer did not make")
            return
        }
        totals.served.wrappingAdd(1, ordering: .relaxed)
        connection.beginUse()
        if dice < 10 { connection.endUse() }
        switch dice {
        case 0..<5: pool.returnUnused(connection)
        case 5..<10: pool.release(connection, keepAliveTimeout: .seconds(dice - 5))
        case 10..<20: pool.connectionClosed(connection.id, reason: .transportError)
        default:
            connection.endUse()
            pool.release(connection)
        }
    }

    /// Ends its dials on separate tasks, some with an error, and closes some connections at any time.
    final class UnreliableDialer: ConnectionDialer {
        private struct State {
            var random: PoolRandomWalkTests.Seeded
            var dials: [Task<Void, Never>] = []
            weak var pool: ConnectionPool?
        }

        private let names = Atomic<Int>(0)
        private let state: Guarded<State>

        init(seed: UInt64) {
            state = Guarded(State(random: .init(state: seed)))
        }

        func attach(_ pool: ConnectionPool) {
            state.withLock { $0.pool = pool }
        }

        func nextConnectionID() -> ConnectionID {
            ConnectionID(names.wrappingAdd(1, ordering: .relaxed).newValue)
        }

        func dial(_ id: ConnectionID, affinity: Int?) {
            state.withLock { state in
                let dice = Int.random(in: 0..<100, using: &state.random)
                guard let pool = state.pool else { return }
                state.dials.append(
                    Task {
                        if dice.isMultiple(of: 3) { await Task.yield() }
                        guard dice >= 10 else {
                            let cause: DialFailureCause = dice < 5 ? .peer : .resources
                            return pool.connectionFailed(id, error: ScriptedDialError(), cause: cause)
                        }
                        pool.connectionEstablished(ScriptedConnection(id, affinity: affinity ?? 0))
                        if dice > 80 { pool.connectionClosed(id, reason: .closedByPeer) }
                    }
                )
            }
        }

        func cancelDial(_ id: ConnectionID) {}

        /// Waits for the dials in flight.
        func finish() async {
            while true {
                let dials = state.withLock { state in
                    defer { state.dials = [] }
                    return state.dials
                }
                if dials.isEmpty { return }
                for dial in dials { await dial.value }
            }
        }
    }
}
