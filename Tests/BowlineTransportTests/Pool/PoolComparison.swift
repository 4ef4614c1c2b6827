@testable import BowlineTransport

/// A machine, its reference, and the test's records about them.
final class PoolComparison {
    enum Event {
        case lease(affinity: Int?, fresh: Bool, wait: Duration?, deadline: Duration? = nil)
        case tryLease(affinity: Int?)
        case release(Int, keepAlive: Duration?)
        case returnUnused(Int)
        case cancel(Int)
        case established(Int, affinity: Int)
        case failed(Int, DialFailureCause = .peer)
        case closed(Int)
        case evictStale(Duration)
        case evictOldest
        case advance(Duration)
        case beginDrain(CloseReason)
        case endDrain
        case closeAll
    }

    let harness: MachineHarness
    let reference: ReferencePool
    private let limit: Int
    private(set) var pendingDials: [Int] = []
    private(set) var leased: [Int] = []
    private(set) var idle: Set<Int> = []
    private(set) var waiting: [Int] = []
    private var fresh: Set<Int> = []
    private(set) var waitersMade = 0

    init(_ configuration: PoolConfiguration) {
        harness = MachineHarness { $0 = configuration }
        reference = ReferencePool(configuration)
        limit = configuration.maximumConnections ?? .max
    }

    /// Returns what differs, or which invariant is broken.
    func perform(_ event: Event) -> String? {
        let (actual, expected) = (onMachine(event), onReference(event))
        if actual != expected { return "did \(actual), expected \(expected)" }
        if harness.snapshot != reference.snapshot { return "is \(harness.snapshot), expected \(reference.snapshot)" }
        return note(actual, of: event)
    }

    func performAlone(_ event: Event, prewarming: Bool) -> String? {
        if let broken = note(onMachine(event), of: event) { return broken }
        guard prewarming else { return nil }
        let observation = harness.prewarm(3)
        waitersMade += 1
        return note(observation, of: nil)
    }

    private func onMachine(_ event: Event) -> Observation {
        switch event {
        case .lease(let affinity, let fresh, let wait, let deadline):
            return harness.lease(affinity: affinity, fresh: fresh, wait: wait, deadline: deadline)
        case .tryLease(let affinity):
            guard !harness.machine.waiters.hasPlain else { return Observation() }
            return harness.lease(affinity: affinity, wait: .zero)
        case .release(let id, let keepAlive): return harness.release(id, keepAlive: keepAlive)
        case .returnUnused(let id): return harness.returnUnused(id)
        case .cancel(let id): return harness.cancel(id)
        case .established(let id, let affinity): return harness.established(id, affinity: affinity)
        case .failed(let id, let cause): return harness.failed(id, ScriptedDialError(number: id), for: cause)
        case .closed(let id): return harness.closed(id)
        case .evictStale(let instant): return harness.evictStale(idleSince: instant)
        case .evictOldest: return harness.evictOldest()
        case .advance(let duration): return harness.advance(by: duration)
        case .beginDrain(let reason): return harness.beginDrain(reason)
        case .endDrain: return harness.endDrain()
        case .closeAll: return harness.closeAll()
        }
    }

    private func onReference(_ event: Event) -> Observation {
        switch event {
        case .lease(let affinity, let fresh, let wait, let deadline):
            return reference.lease(affinity: affinity, fresh: fresh, wait: wait, deadline: deadline)
        case .tryLease(let affinity):
            guard !reference.waiters.contains(where: { !$0.fresh }) else { return Observation() }
            return reference.lease(affinity: affinity, fresh: false, wait: .zero, deadline: nil)
        case .release(let id, let keepAlive): return reference.release(id, keepAlive: keepAlive)
        case .returnUnused(let id): return reference.returnUnused(id)
        case .cancel(let id): return reference.cancel(id)
        case .established(let id, let affinity): return reference.established(id, affinity: affinity)
        case .failed(let id, let cause): return reference.failed(id, ScriptedDialError(number: id), for: cause)
        case .closed(let id): return reference.closed(id, .closedByPeer)
        case .evictStale(let instant): return reference.evictStale(idleSince: instant)
        case .evictOldest: return reference.evictOldest()
        case .advance(let duration): return reference.advance(by: duration)
        case .beginDrain(let reason): return reference.beginDrain(reason)
        case .endDrain: return reference.endDrain()
        case .closeAll: return reference.closeAll()
        }
    }

    /// Keeps the books of what is leased, idle, dialled and waited for, from the observations alone; returns a broken
    /// invariant.
    private func note(_ observation: Observation, of event: Event?) -> String? {
        switch event {
        case .lease(_, let isFresh, _, _):
            waitersMade += 1
            waiting.append(waitersMade)
            if isFresh { fresh.insert(waitersMade) }
        case .tryLease where observation != Observation() || harness.waitersNamed > waitersMade:
            waitersMade += 1
            waiting.append(waitersMade)
        case .release(let id, _), .returnUnused(let id):
            leased.removeAll { $0 == id }
            idle.insert(id)
        case .established(let id, _):
            pendingDials.removeAll { $0 == id }
            idle.insert(id)
        case .failed(let id, _): pendingDials.removeAll { $0 == id }
        default: break
        }
        for (id, end) in observation.ended {
            let wasWaiting = waiting.contains(id)
            waiting.removeAll { $0 == id }
            guard case .granted(let granted) = end else { continue }
            if !wasWaiting { return "waiter \(id) ended without or after its wait" }
            if leased.contains(granted.connection) { return "connection \(granted.connection) leased twice" }
            if fresh.contains(id), granted.idleSince != nil { return "a fresh one was required" }
            idle.remove(granted.connection)
            leased.append(granted.connection)
        }
        for id in observation.removed.keys {
            leased.removeAll { $0 == id }
            idle.remove(id)
        }
        pendingDials += observation.dialled
        return brokenInvariant()
    }

    private func brokenInvariant() -> String? {
        let snapshot = harness.snapshot
        if snapshot.idle + snapshot.active + snapshot.dialling > limit { return "over the limit" }
        if snapshot.idle != idle.count || snapshot.active != leased.count { return "lost count: \(snapshot)" }
        if harness.idleSum != snapshot.idle { return "the idle deltas do not add up" }
        if snapshot.idle > 0, harness.machine.waiters.hasPlain { return "a request waits beside an idle connection" }
        if snapshot.waiting > 0, snapshot.dialling + snapshot.active == 0 { return "a request waits for nothing" }
        if snapshot.opened != snapshot.idle + snapshot.active + snapshot.closed.values.reduce(0, +) {
            return "opened does not add up: \(snapshot)"
        }
        return nil
    }
}
