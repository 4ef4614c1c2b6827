internal import Bowline
internal import BowlineTesting
internal import BowlineTransport

/// Checks the invariants of all pools. Called after each turn of the client's event loops, when no transition is under
/// way.
// Safety: used on the simulation's thread only.
final class SimulationInspector: @unchecked Sendable {
    private let time: VirtualTime
    private let plan: SimulationPlan
    private(set) var violations: [String] = []

    init(_ time: VirtualTime, _ plan: SimulationPlan) {
        self.time = time
        self.plan = plan
    }

    func check(_ snapshot: PoolSnapshot) {
        for origin in snapshot.origins { check(origin) }
        if snapshot.idle > plan.pool.maximumIdle { add("\(snapshot.idle) idle connections, more than maximumIdle") }
    }

    private func check(_ pool: OriginPoolSnapshot) {
        let name = "the pool of \(pool.origin)"
        let counts = [pool.idle, pool.active, pool.dialling, pool.waiting, pool.streams]
        if counts.contains(where: { $0 < 0 }) { add("\(name) has negative counts: \(counts)") }
        if let maximum = plan.pool.maximumPerOrigin {
            // Multiplexed connections that take no more requests do not count, up to that many.
            let most = maximum + (plan.isHTTP2 ? plan.http2.maximumConnectionsPerOrigin : 0)
            let total = pool.idle + pool.active + pool.dialling
            if total > most { add("\(name) has \(total) connections, more than \(most)") }
        }
        if pool.idle > plan.pool.maximumIdlePerOrigin {
            add("\(name) has \(pool.idle) idle connections, more than \(plan.pool.maximumIdlePerOrigin)")
        }
        if pool.waiting > 0, pool.active + pool.dialling + pool.idle == 0 {
            add("\(name) has \(pool.waiting) waiting requests, and nothing that they could wait for")
        }
        let closed = pool.closed.values.reduce(0, +)
        if pool.opened != pool.idle + pool.active + closed {
            add(
                "\(name) has opened \(pool.opened) connections, and has \(pool.idle + pool.active) and closed \(closed)"
            )
        }
    }

    private func add(_ violation: String) {
        time.note("VIOLATED: \(violation)")
        if violations.count < 20 { violations.append("at \(time.elapsed): \(violation)") }
    }
}
