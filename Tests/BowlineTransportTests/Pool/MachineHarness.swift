import BowlineCore

@testable import BowlineTransport

/// A connection for machine tests. It has no state, because the machine's effects are complete.
final class PlainConnection: PoolTestConnection {
    let id: ConnectionID
    let affinity: Int
    let isMultiplexed: Bool
    let capacity: Int

    /// - Parameter streams: How many it carries at once; nil: it has none.
    init(_ id: ConnectionID, affinity: Int = 0, streams: Int? = nil) {
        self.id = id
        self.affinity = affinity
        isMultiplexed = streams != nil
        capacity = streams ?? 1
    }

    func retire(_ reason: CloseReason, leases: Int) {}
    func probe() {}
    func leaseUnused() {}

    func close(_ reason: CloseReason) {}
}

struct ScriptedDialError: Error, Equatable {
    var number = 0
}

/// The effects of one event, in comparable form.
struct Observation: Equatable, CustomStringConvertible {
    struct Granted: Equatable {
        var connection: Int
        var uses: Int
        var idleSince: Duration?
    }

    enum End: Equatable {
        case granted(Granted)
        case prewarmed
        case cancelled
        case dialFailed(ScriptedDialError)
        /// Its limit passed.
        case timedOut(lastDialError: ScriptedDialError?)
        /// Its deadline passed.
        case deadlineExceeded(lastDialError: ScriptedDialError?)
        case saturated(waiting: Int)
        case draining
        case closed

        init(_ error: any Error) {
            switch error {
            case is CancellationError: self = .cancelled
            case PoolError.dialFailed(let error as ScriptedDialError): self = .dialFailed(error)
            case let error as ScriptedDialError: self = .dialFailed(error)
            case PoolError.acquireTimeout(let error, _, _): self = .timedOut(lastDialError: error as? ScriptedDialError)
            case PoolError.deadlineExceeded(let error):
                self = .deadlineExceeded(lastDialError: error as? ScriptedDialError)
            case PoolError.saturated(let waiting): self = .saturated(waiting: waiting)
            case PoolError.draining: self = .draining
            default: self = .closed
            }
        }
    }

    /// How waits ended, including requests that did not have to wait.
    var ended: [Int: End] = [:]
    var removed: [Int: CloseReason] = [:]
    var dialled: [Int] = []
    var cancelledDials: Set<Int> = []
    var retired: [Int: CloseReason] = [:]
    var probed: Set<Int> = []
    var idleDelta = 0

    var description: String {
        "ended \(ended) removed \(removed) dialled \(dialled) cancelled \(cancelledDials) idle \(idleDelta)"
    }
}

/// Drives a machine like `PoolDriver`, on one thread and in virtual time, and notes the effects.
final class MachineHarness {
    var machine: PoolStateMachine
    var now = Duration.zero
    /// The random number for jitter.
    var random = 0.5
    fileprivate(set) var wakeUp: WakeUp?
    private(set) var idleSum = 0
    private var connectionsNamed = 0
    private(set) var waitersNamed = 0

    init(_ configure: (inout PoolConfiguration) -> Void = { _ in }) {
        var configuration = PoolConfiguration()
        configure(&configuration)
        machine = PoolStateMachine(configuration: configuration)
    }

    var snapshot: PoolCounts {
        machine.snapshot
    }

    var instant: MonotonicInstant {
        MonotonicInstant(now)
    }

    func nextWaiter() -> Int {
        waitersNamed += 1
        return waitersNamed
    }

    /// Asks for a connection; the waiter's number is the next one.
    @discardableResult
    func lease(
        affinity: Int? = nil, fresh: Bool = false, wait: Duration? = nil, deadline: Duration? = nil
    ) -> Observation {
        let waiter = nextWaiter()
        let request = LeaseRequest(
            waiter: WaiterID(value: waiter),
            affinity: affinity,
            requiresFresh: fresh,
            deadline: deadline.map { instant.advanced(by: $0) },
            limit: wait.map { instant.advanced(by: $0) }
        )
        let (outcome, effects) = machine.lease(request, now: instant)
        var observation = observe(effects)
        switch outcome {
        case .granted(let grant): observation.ended[waiter] = .granted(granted(grant))
        case .failed(let error): observation.ended[waiter] = .init(error)
        case .waiting: break
        }
        return observation
    }

    func tryLease(affinity: Int? = nil) -> Observation.Granted? {
        let (grant, effects) = machine.tryLease(affinity: affinity, now: instant)
        _ = observe(effects)
        return grant.map(granted)
    }

    @discardableResult
    func release(_ id: Int, keepAlive: Duration? = nil) -> Observation {
        observe(machine.release(ConnectionID(id), keepAliveTimeout: keepAlive, now: instant))
    }

    @discardableResult
    func returnUnused(_ id: Int) -> Observation {
        observe(machine.returnUnused(ConnectionID(id), now: instant))
    }

    @discardableResult
    func cancel(_ waiter: Int) -> Observation {
        observe(machine.waiterCancelled(WaiterID(value: waiter), now: instant))
    }

    @discardableResult
    func established(_ id: Int, affinity: Int = 0, streams: Int? = nil) -> Observation {
        let connection = PlainConnection(ConnectionID(id), affinity: affinity, streams: streams)
        return observe(machine.connectionEstablished(connection, now: instant, random: random))
    }

    @discardableResult
    func failed(
        _ id: Int, _ error: ScriptedDialError = ScriptedDialError(), for cause: DialFailureCause = .peer
    ) -> Observation {
        observe(machine.connectionFailed(ConnectionID(id), error: error, cause: cause, now: instant, random: random))
    }

    @discardableResult
    func closed(_ id: Int, _ reason: CloseReason = .closedByPeer) -> Observation {
        observe(machine.connectionClosed(ConnectionID(id), reason: reason, now: instant, random: random))
    }

    @discardableResult
    func capacityChanged(_ id: Int, to capacity: Int) -> Observation {
        observe(machine.capacityChanged(ConnectionID(id), to: capacity, now: instant))
    }

    @discardableResult
    func retired(_ id: Int, _ reason: CloseReason = .goAway) -> Observation {
        observe(machine.connectionRetired(ConnectionID(id), reason: reason, now: instant, random: random))
    }

    @discardableResult
    func doubted(_ id: Int) -> Observation {
        observe(machine.connectionDoubted(ConnectionID(id), now: instant))
    }

    @discardableResult
    func confirmed(_ id: Int) -> Observation {
        observe(machine.connectionConfirmed(ConnectionID(id), now: instant))
    }

    @discardableResult
    func noByteReceived(on id: Int, since: Duration) -> Observation {
        observe(machine.noByteReceived(on: ConnectionID(id), since: MonotonicInstant(since), now: instant))
    }

    @discardableResult
    func evictStale(idleSince: Duration) -> Observation {
        observe(machine.evictStale(idleSince: MonotonicInstant(idleSince), now: instant))
    }

    @discardableResult
    func evictOldest(_ reason: CloseReason = .totalIdleCapacity) -> Observation {
        let (_, effects) = machine.evictOldestIdle(reason, now: instant, random: random)
        return observe(effects)
    }

    @discardableResult
    func prewarm(_ count: Int) -> Observation {
        observe(machine.prewarm(count, waiter: WaiterID(value: nextWaiter()), now: instant))
    }

    @discardableResult
    func beginDrain(_ reason: CloseReason = .shutdown) -> Observation {
        observe(machine.beginDrain(reason, now: instant))
    }

    @discardableResult
    func endDrain() -> Observation {
        observe(machine.endDrain(now: instant))
    }

    @discardableResult
    func closeAll(_ reason: CloseReason = .forced) -> Observation {
        observe(machine.closeAll(reason, now: instant))
    }

    func closeIfCold(includingHopeless: Bool = false) -> Bool {
        let (isClosed, effects) = machine.closeIfCold(includingHopeless: includingHopeless, now: instant)
        _ = observe(effects)
        return isClosed
    }

    /// Moves the time; the timer fires at each instant it was set for.
    @discardableResult
    func advance(by duration: Duration) -> Observation {
        let end = now + duration
        var all = Observation()
        while let due = wakeUp, due.at.sinceStart <= end {
            now = max(now, due.at.sinceStart)
            wakeUp = nil
            all.merge(observe(machine.timerFired(due.id, now: instant)))
        }
        now = end
        return all
    }

    /// A timer that was replaced, or fires a second time.
    func lateTimer(_ id: Int) -> Observation {
        observe(machine.timerFired(id, now: instant))
    }

    /// Leases `count` connections, each freshly dialled; returns their numbers.
    @discardableResult
    func leasedConnections(_ count: Int, affinity: Int = 0) -> [Int] {
        var ids: [Int] = []
        for _ in 0..<count {
            ids += lease().dialled
        }
        for id in ids {
            established(id, affinity: affinity)
        }
        return ids
    }

    /// Makes `count` connections idle, a second apart, the first one longest; returns their numbers.
    @discardableResult
    func idleConnections(_ count: Int, affinity: Int = 0) -> [Int] {
        let ids = leasedConnections(count, affinity: affinity)
        for id in ids {
            advance(by: .seconds(1))
            release(id)
        }
        return ids
    }

    private func granted(_ grant: Lease) -> Observation.Granted {
        .init(connection: grant.connection.id.value, uses: grant.uses, idleSince: grant.idleSince?.sinceStart)
    }

    private func observe(_ effects: PoolEffects) -> Observation {
        var observation = Observation(effects: effects, granted: granted)
        switch effects.wakeUp {
        case .schedule(let next): wakeUp = next
        case .cancel: wakeUp = nil
        case nil: break
        }
        idleSum += effects.idleDelta
        if effects.dialsDue > 0 {
            let names = (0..<effects.dialsDue).map { ConnectionID(connectionsNamed + $0 + 1) }
            connectionsNamed += names.count
            let started = observe(machine.startDials(names, now: instant))
            observation.merge(started)
        }
        return observation
    }
}

extension Observation {
    init(effects: PoolEffects, granted: (Lease) -> Granted) {
        for resumption in effects.resumptions {
            switch resumption.outcome {
            case .granted(let grant): ended[resumption.waiter.value] = .granted(granted(grant))
            case .prewarmed: ended[resumption.waiter.value] = .prewarmed
            case .failed(let error): ended[resumption.waiter.value] = .init(error)
            }
        }
        for removal in effects.removals {
            removed[removal.id.value] = removal.reason
        }
        dialled = effects.dials.map(\.id.value)
        cancelledDials = Set(effects.cancelledDials.map(\.value))
        for retirement in effects.retirements {
            retired[retirement.connection.id.value] = retirement.reason
        }
        probed = Set(effects.probes.map(\.id.value))
        idleDelta = effects.idleDelta
    }

    /// Adds later effects. Traps if the same wait or connection ends a second time.
    mutating func merge(_ later: Observation) {
        ended.merge(later.ended) { _, _ in preconditionFailure("a wait ended twice") }
        removed.merge(later.removed) { _, _ in preconditionFailure("a connection was removed twice") }
        dialled += later.dialled
        cancelledDials.formUnion(later.cancelledDials)
        retired.merge(later.retired) { _, _ in preconditionFailure("a connection was retired twice") }
        probed.formUnion(later.probed)
        idleDelta += later.idleDelta
    }

    /// The connection that the waiter got.
    func connection(of waiter: Int) -> Int? {
        guard case .granted(let granted) = ended[waiter] else { return nil }
        return granted.connection
    }
}
