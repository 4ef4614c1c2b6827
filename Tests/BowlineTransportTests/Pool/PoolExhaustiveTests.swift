import Testing

@testable import BowlineTransport

/// All orders of events on two connections and three requests, which no random walk guarantees.
@Suite struct PoolExhaustiveTests {
    /// Everything that determines the successors of a state.
    struct Fingerprint: Hashable {
        let idle: [Int]
        let leased: [Int]
        let uses: [Int]
        let since: [Duration?]
        let dialling: [Int]
        let cancelledDials: [Int]
        let waiters: [Int]
        let limits: [Duration?]
        let rounds: [Int]
        let dials: [Duration]
        let shortUntil: Duration?
        let counts: [Int]
        let now: Duration
    }

    @Test(
        "Every order of events on 2 connections and 3 requests keeps the invariants (depth 10, or 7 if dials fail)",
        arguments: [(false, false), (true, false), (false, true), (true, true)])
    func allOrders(thirdRequiresFresh: Bool, mayBeShort: Bool) throws {
        let depth = mayBeShort ? 7 : 10
        var seen: Set<Fingerprint> = []
        var paths: [[PoolComparison.Event]] = [[]]
        var performed = 0
        for _ in 0..<depth {
            var longer: [[PoolComparison.Event]] = []
            for path in paths {
                let events = events(
                    after: replay(path), thirdRequiresFresh: thirdRequiresFresh, mayBeShort: mayBeShort)
                for event in events {
                    let comparison = replay(path)
                    let difference = comparison.perform(event)
                    performed += 1
                    try #require(difference == nil, "\(path + [event]): \(difference ?? "")")
                    if seen.insert(fingerprint(comparison)).inserted { longer.append(path + [event]) }
                }
            }
            paths = longer
        }
        #expect(performed > (mayBeShort ? 1_000 : 10_000))
    }

    private func replay(_ path: [PoolComparison.Event]) -> PoolComparison {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 2
        configuration.maximumIdle = 1
        configuration.idleTimeout = .seconds(3)
        configuration.lifetimeJitter = 0
        let comparison = PoolComparison(configuration)
        for event in path {
            _ = comparison.perform(event)
        }
        return comparison
    }

    private func events(
        after state: PoolComparison, thirdRequiresFresh: Bool, mayBeShort: Bool
    ) -> [PoolComparison.Event] {
        var events: [PoolComparison.Event] = [.beginDrain(.shutdown), .closeAll, .advance(.seconds(3)), .evictOldest]
        if state.waitersMade < 3 {
            events.append(.lease(affinity: nil, fresh: thirdRequiresFresh && state.waitersMade == 2, wait: .seconds(5)))
        }
        events += state.waiting.map { .cancel($0) }
        events += state.pendingDials.flatMap { [.established($0, affinity: 1), .failed($0)] }
        if mayBeShort { events += state.pendingDials.map { .failed($0, .resources) } }
        events += state.leased.flatMap { [.release($0, keepAlive: nil), .returnUnused($0)] }
        events += (state.leased + state.idle.sorted()).map { .closed($0) }
        return events
    }

    private func fingerprint(_ comparison: PoolComparison) -> Fingerprint {
        let state = comparison.reference
        let connections = state.idle + state.leased
        return Fingerprint(
            idle: state.idle.map(\.id),
            leased: state.leased.map(\.id),
            uses: connections.map(\.uses),
            since: connections.map(\.idleSince),
            dialling: state.dialling.map(\.id),
            cancelledDials: comparison.pendingDials,
            waiters: state.waiters.map(\.id),
            limits: state.waiters.map(\.limit),
            rounds: state.waiters.map(state.roundsFailed) + [state.shortages]
                + state.dialling.map { $0.id > state.lastDialOfRound ? 1 : 0 },
            dials: state.dialling.flatMap { [$0.began, $0.isLate ? .seconds(1) : .zero] },
            shortUntil: state.shortUntil,
            counts: [comparison.waitersMade, state.drainReason == nil ? 0 : 1, state.isClosed ? 1 : 0],
            now: state.now
        )
    }
}
