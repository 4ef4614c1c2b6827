import Testing

@testable import BowlinePool

/// The machine's transition table, cell by cell.
@Suite struct PoolTransitionTests {
    enum Before: CaseIterable {
        case dialling, leased, idle, unknown
    }

    enum Event: CaseIterable {
        case tryLease, established, failed, release, returnUnused, closed, timerFired, evictStale, evictOldest
        case beginDrain, closeAll
    }

    enum After: Equatable {
        case dialling, leased, idle, unknown
        /// The connection is gone and the pool said why.
        case removed(CloseReason)
        case dialCancelled
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let before: Before
        let event: Event
        let after: After

        init(_ before: Before, _ event: Event, _ after: After) {
            self.before = before
            self.event = event
            self.after = after
        }

        var testDescription: String { "\(before), \(event) → \(after)" }
    }

    static let table: [Row] = [
        Row(.dialling, .tryLease, .dialling),
        Row(.dialling, .established, .idle),
        Row(.dialling, .failed, .unknown),
        Row(.dialling, .closed, .dialling),
        Row(.dialling, .timerFired, .dialling),
        Row(.dialling, .evictStale, .dialling),
        Row(.dialling, .evictOldest, .dialling),
        Row(.dialling, .beginDrain, .dialCancelled),
        Row(.dialling, .closeAll, .dialCancelled),
        Row(.leased, .tryLease, .leased),
        Row(.leased, .release, .idle),
        Row(.leased, .returnUnused, .idle),
        Row(.leased, .closed, .removed(.closedByPeer)),
        Row(.leased, .timerFired, .leased),
        Row(.leased, .evictStale, .leased),
        Row(.leased, .evictOldest, .leased),
        Row(.leased, .beginDrain, .leased),
        Row(.leased, .closeAll, .removed(.forced)),
        Row(.idle, .tryLease, .leased),
        Row(.idle, .closed, .removed(.closedByPeer)),
        Row(.idle, .timerFired, .removed(.idleTimeout)),
        Row(.idle, .evictStale, .removed(.stale)),
        Row(.idle, .evictOldest, .removed(.totalIdleCapacity)),
        Row(.idle, .beginDrain, .removed(.shutdown)),
        Row(.idle, .closeAll, .removed(.forced)),
        Row(.unknown, .tryLease, .unknown),
        Row(.unknown, .established, .removed(.dialUnneeded)),
        Row(.unknown, .failed, .unknown),
        Row(.unknown, .release, .unknown),
        Row(.unknown, .returnUnused, .unknown),
        Row(.unknown, .closed, .unknown),
        Row(.unknown, .timerFired, .unknown),
        Row(.unknown, .evictStale, .unknown),
        Row(.unknown, .evictOldest, .unknown),
        Row(.unknown, .beginDrain, .unknown),
        Row(.unknown, .closeAll, .unknown),
    ]

    @Test("Each state and event lead where the machine's table says", arguments: table)
    func row(_ row: Row) {
        let harness = MachineHarness()
        prepare(row.before, harness)
        let before = harness.snapshot
        let observation = perform(row.event, harness)
        #expect(after(observation, harness.snapshot, before: before) == row.after)
    }

    @Test("The table has a row for each pair that is not a caller's bug")
    func isComplete() {
        // A dial ends once, and only a leased connection is given back: the transport's own bugs otherwise.
        let bugs: [(Before, Event)] = [
            (.dialling, .release), (.dialling, .returnUnused), (.leased, .established), (.leased, .failed),
            (.idle, .established), (.idle, .failed), (.idle, .release), (.idle, .returnUnused),
        ]
        for before in Before.allCases {
            for event in Event.allCases {
                let isBug = bugs.contains { $0 == before && $1 == event }
                let rows = Self.table.count { $0.before == before && $0.event == event }
                #expect(rows == (isBug ? 0 : 1), "\(before), \(event)")
            }
        }
    }

    /// Connection 1, alone, with nobody waiting.
    private func prepare(_ before: Before, _ harness: MachineHarness) {
        guard before != .unknown else { return }
        harness.lease()
        if before == .dialling {
            harness.cancel(1)
            return
        }
        harness.established(1)
        if before == .idle { harness.release(1) }
    }

    private func perform(_ event: Event, _ harness: MachineHarness) -> Observation {
        switch event {
        case .tryLease:
            _ = harness.tryLease()
            return Observation()
        case .established: return harness.established(1)
        case .failed: return harness.failed(1)
        case .release: return harness.release(1)
        case .returnUnused: return harness.returnUnused(1)
        case .closed: return harness.closed(1)
        case .timerFired: return harness.advance(by: .seconds(90))
        case .evictStale: return harness.evictStale(idleSince: .zero)
        case .evictOldest: return harness.evictOldest()
        case .beginDrain: return harness.beginDrain()
        case .closeAll: return harness.closeAll()
        }
    }

    private func after(_ observation: Observation, _ snapshot: PoolSnapshot, before: PoolSnapshot) -> After? {
        if let reason = observation.removed[1] { return .removed(reason) }
        if observation.cancelledDials == [1] { return .dialCancelled }
        switch (snapshot.dialling, snapshot.active, snapshot.idle) {
        case (1, 0, 0): return .dialling
        case (0, 1, 0): return .leased
        case (0, 0, 1): return .idle
        case (0, 0, 0): return .unknown
        default: return nil
        }
    }
}
