import Testing

@testable import BowlineTransport

/// The machine's transition table, cell by cell.
@Suite struct PoolTransitionTests {
    enum Before: CaseIterable {
        case dialling, leased, idle, unknown
        /// With streams.
        case leasedStreams, idleStreams
        /// With streams, but its current limit is zero.
        case withdrawn
    }

    enum Event: CaseIterable {
        case tryLease, established, failed, failedForResources, release, returnUnused, closed, timerFired, evictStale
        case evictOldest, noStreams, doubted, confirmed, noByteReceived, retired, beginDrain, endDrain, closeAll
    }

    enum After: Equatable {
        case dialling, leased, idle, unknown
        /// The connection is closed with a reason of the pool.
        case removed(CloseReason)
        case dialCancelled
        /// Still leased; the pool probes whether its peer responds.
        case probed
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
        Row(.dialling, .endDrain, .dialling),
        Row(.dialling, .closeAll, .dialCancelled),
        Row(.leased, .tryLease, .leased),
        Row(.leased, .release, .idle),
        Row(.leased, .returnUnused, .idle),
        Row(.leased, .closed, .removed(.closedByPeer)),
        Row(.leased, .timerFired, .leased),
        Row(.leased, .evictStale, .leased),
        Row(.leased, .evictOldest, .leased),
        Row(.leased, .beginDrain, .leased),
        Row(.leased, .endDrain, .leased),
        Row(.leased, .closeAll, .removed(.forced)),
        Row(.idle, .tryLease, .leased),
        Row(.idle, .closed, .removed(.closedByPeer)),
        Row(.idle, .timerFired, .removed(.idleTimeout)),
        Row(.idle, .evictStale, .removed(.stale)),
        Row(.idle, .evictOldest, .removed(.totalIdleCapacity)),
        Row(.idle, .beginDrain, .removed(.shutdown)),
        Row(.idle, .endDrain, .idle),
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
        Row(.unknown, .endDrain, .unknown),
        Row(.unknown, .closeAll, .unknown),
        Row(.dialling, .failedForResources, .unknown),
        Row(.dialling, .noStreams, .dialling),
        Row(.dialling, .doubted, .dialling),
        Row(.dialling, .confirmed, .dialling),
        Row(.dialling, .noByteReceived, .dialling),
        Row(.dialling, .retired, .dialling),
        Row(.leased, .noStreams, .leased),
        Row(.leased, .doubted, .leased),
        Row(.leased, .confirmed, .leased),
        Row(.leased, .noByteReceived, .leased),
        Row(.leased, .retired, .leased),
        Row(.idle, .noStreams, .idle),
        Row(.idle, .doubted, .idle),
        Row(.idle, .confirmed, .idle),
        Row(.idle, .noByteReceived, .removed(.stale)),
        Row(.idle, .retired, .removed(.goAway)),
        Row(.unknown, .failedForResources, .unknown),
        Row(.unknown, .noStreams, .unknown),
        Row(.unknown, .doubted, .unknown),
        Row(.unknown, .confirmed, .unknown),
        Row(.unknown, .noByteReceived, .unknown),
        Row(.unknown, .retired, .unknown),
        Row(.leasedStreams, .tryLease, .leased),
        Row(.leasedStreams, .release, .idle),
        Row(.leasedStreams, .returnUnused, .idle),
        Row(.leasedStreams, .closed, .removed(.closedByPeer)),
        Row(.leasedStreams, .timerFired, .leased),
        Row(.leasedStreams, .evictStale, .leased),
        Row(.leasedStreams, .evictOldest, .leased),
        Row(.leasedStreams, .noStreams, .leased),
        Row(.leasedStreams, .doubted, .leased),
        Row(.leasedStreams, .confirmed, .leased),
        Row(.leasedStreams, .noByteReceived, .probed),
        Row(.leasedStreams, .retired, .leased),
        Row(.leasedStreams, .beginDrain, .leased),
        Row(.leasedStreams, .endDrain, .leased),
        Row(.leasedStreams, .closeAll, .removed(.forced)),
        Row(.idleStreams, .tryLease, .leased),
        Row(.idleStreams, .closed, .removed(.closedByPeer)),
        Row(.idleStreams, .timerFired, .removed(.idleTimeout)),
        Row(.idleStreams, .evictStale, .removed(.stale)),
        Row(.idleStreams, .evictOldest, .removed(.totalIdleCapacity)),
        Row(.idleStreams, .noStreams, .leased),
        Row(.idleStreams, .doubted, .leased),
        Row(.idleStreams, .confirmed, .idle),
        Row(.idleStreams, .noByteReceived, .removed(.stale)),
        Row(.idleStreams, .retired, .removed(.goAway)),
        Row(.idleStreams, .beginDrain, .removed(.shutdown)),
        Row(.idleStreams, .endDrain, .idle),
        Row(.idleStreams, .closeAll, .removed(.forced)),
        Row(.withdrawn, .tryLease, .leased),
        Row(.withdrawn, .closed, .removed(.closedByPeer)),
        Row(.withdrawn, .timerFired, .removed(.idleTimeout)),
        Row(.withdrawn, .evictStale, .leased),
        Row(.withdrawn, .evictOldest, .leased),
        Row(.withdrawn, .noStreams, .leased),
        Row(.withdrawn, .doubted, .leased),
        Row(.withdrawn, .confirmed, .leased),
        Row(.withdrawn, .noByteReceived, .leased),
        Row(.withdrawn, .retired, .removed(.goAway)),
        Row(.withdrawn, .beginDrain, .removed(.shutdown)),
        Row(.withdrawn, .endDrain, .leased),
        Row(.withdrawn, .closeAll, .removed(.forced)),
    ]

    @Test("Each state and event have the result that the machine's table says", arguments: table)
    func row(_ row: Row) {
        let harness = MachineHarness()
        prepare(row.before, harness)
        let before = harness.snapshot
        let observation = perform(row.event, harness)
        #expect(after(observation, harness.snapshot, before: before) == row.after)
    }

    @Test("The table has a row for each pair of state and event that callers can cause")
    func isComplete() {
        // A dial ends once, and only a leased connection is given back: the transport's own bugs otherwise.
        let dialEnds: Set<Event> = [.established, .failed, .failedForResources]
        let leaseEnds: Set<Event> = [.release, .returnUnused]
        let bugs: [Before: Set<Event>] = [
            .dialling: leaseEnds, .leased: dialEnds, .leasedStreams: dialEnds, .idle: dialEnds.union(leaseEnds),
            .idleStreams: dialEnds.union(leaseEnds), .withdrawn: dialEnds.union(leaseEnds),
        ]
        for before in Before.allCases {
            for event in Event.allCases {
                let isBug = bugs[before]?.contains(event) ?? false
                let rows = Self.table.count { $0.before == before && $0.event == event }
                #expect(rows == (isBug ? 0 : 1), "\(before), \(event)")
            }
        }
    }

    /// Connection 1 alone, without waiters.
    private func prepare(_ before: Before, _ harness: MachineHarness) {
        guard before != .unknown else { return }
        harness.lease()
        switch before {
        case .dialling: harness.cancel(1)
        case .leased, .idle: harness.established(1)
        case .leasedStreams, .idleStreams: harness.established(1, streams: 5)
        case .withdrawn:
            harness.cancel(1)
            harness.established(1, streams: 0)
        case .unknown: break
        }
        if before == .idle || before == .idleStreams { harness.release(1) }
    }

    private func perform(_ event: Event, _ harness: MachineHarness) -> Observation {
        switch event {
        case .tryLease:
            _ = harness.tryLease()
            return Observation()
        case .established: return harness.established(1)
        case .failed: return harness.failed(1)
        case .failedForResources: return harness.failed(1, for: .resources)
        case .release: return harness.release(1)
        case .returnUnused: return harness.returnUnused(1)
        case .closed: return harness.closed(1)
        case .timerFired: return harness.advance(by: .seconds(90))
        case .evictStale: return harness.evictStale(idleSince: .zero)
        case .evictOldest: return harness.evictOldest()
        case .noStreams: return harness.capacityChanged(1, to: 0)
        case .doubted: return harness.doubted(1)
        case .confirmed: return harness.confirmed(1)
        case .noByteReceived: return harness.noByteReceived(on: 99, since: .zero)
        case .retired: return harness.retired(1)
        case .beginDrain: return harness.beginDrain()
        case .endDrain: return harness.endDrain()
        case .closeAll: return harness.closeAll()
        }
    }

    private func after(_ observation: Observation, _ snapshot: PoolCounts, before: PoolCounts) -> After? {
        if let reason = observation.removed[1] { return .removed(reason) }
        if observation.cancelledDials == [1] { return .dialCancelled }
        if observation.probed == [1] { return .probed }
        switch (snapshot.dialling, snapshot.active, snapshot.idle) {
        case (1, 0, 0): return .dialling
        case (0, 1, 0): return .leased
        case (0, 0, 1): return .idle
        case (0, 0, 0): return .unknown
        default: return nil
        }
    }
}
