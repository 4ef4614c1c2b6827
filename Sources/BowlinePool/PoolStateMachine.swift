/// Decides everything about one origin's connections. Knows no lock, clock, task or randomness.
///
/// A connection is *dialling*, *leased* or *idle*, or the pool does not know it:
///
/// | event                   | dialling                 | leased                   | idle              | unknown    |
/// |-------------------------|--------------------------|--------------------------|-------------------|------------|
/// | `checkOut`, `lease`     | –                        | –                        | → leased (1)      | –          |
/// | `startDials`            | –                        | –                        | – (2)             | → dialling |
/// | `connectionEstablished` | → leased, idle, gone (3) | bug                      | bug               | closed     |
/// | `connectionFailed`      | → gone (4)               | bug                      | bug               | ignored    |
/// | `release`               | bug                      | → leased, idle, gone (5) | bug               | ignored    |
/// | `returnUnused`          | bug                      | → leased, idle, gone (5) | bug               | ignored    |
/// | `connectionClosed`      | ignored                  | → gone                   | → gone            | ignored    |
/// | `capacityChanged`       | ignored                  | → idle if unused (6)     | → leased if zero  | ignored    |
/// | `connectionRetired`     | ignored                  | closed when unused       | closed            | ignored    |
/// | `timerFired`            | –                        | –                        | closed if expired | –          |
/// | `evictStale`            | –                        | –                        | closed if as old  | –          |
/// | `evictOldestIdle`       | –                        | –                        | closed if oldest  | –          |
/// | `beginDrain`            | cancelled if superfluous | –                        | closed            | –          |
/// | `closeAll`              | cancelled                | closed                   | closed            | –          |
///
/// 1. An expired one is closed instead and the next one taken.
/// 2. The one idle longest is closed (`replaced`) when a request requires a fresh connection at the limit.
/// 3. Leased to the first waiter, else idle, or closed when the pool drains or does not reuse.
/// 4. The first waiter fails with it, unless another dial is under way for each who waits.
/// 5. Leased to the first waiter that takes a used one, else idle; or closed by age, uses, keep-alive, capacity,
///    drain, or because reuse is off. `returnUnused` does not count the use.
/// 6. Leased to as many of those who wait as it has room for.
///
/// A connection with streams is leased several times at once: it stays *leased* until the last lease has ended. What it
/// can carry changes; a *retired* one gets no more leases and is closed with the last.
///
/// The pool itself goes *running → draining → closed*, never back. A request that waits ends exactly once: granted,
/// or failed by its deadline, its cancellation, a failed dial or the pool's closing; whichever event comes first
/// takes it out of line, and the others find nothing.
///
/// `now` may run backwards a little between events, because it is read before the lock is taken.
struct PoolStateMachine: ~Copyable {
    enum Phase {
        case running
        case draining
        case closed
    }

    struct DialFailure {
        let error: any Error
        let at: PoolInstant
    }

    let configuration: PoolConfiguration
    var phase = Phase.running
    var table = ConnectionTable()
    var waiters = WaiterQueue()
    var expectation: DialExpectation
    var prewarms: [Prewarm] = []
    var refill = RefillBackoff()
    var wakeUp: WakeUp?
    var lastWakeUpID = 0
    var lastDialFailure: DialFailure?
    var openedCount = 0
    var closedCounts: [CloseReason: Int] = [:]

    init(configuration: PoolConfiguration) {
        self.configuration = configuration.normalized()
        expectation = self.configuration.expectation
    }

    var snapshot: PoolSnapshot {
        PoolSnapshot(
            idle: table.idleCount,
            active: table.leasedCount,
            streams: table.streamCount,
            dialling: table.diallingCount,
            waiting: waiters.count,
            opened: openedCount,
            closed: closedCounts
        )
    }

    /// Whether no connection and no request is left.
    var isCold: Bool {
        table.count == 0 && waiters.isEmpty && prewarms.isEmpty
    }

    /// How many more connections the limits allow.
    var room: Int {
        let room = configuration.maximumConnections.map { max(0, $0 - table.count) } ?? .max
        guard case .streams = expectation else { return room }
        return min(room, max(0, configuration.maximumMultiplexed - table.multiplexedCount - table.diallingCount))
    }

    /// Whether a connection that nobody waits for can go to the pool.
    var keepsIdle: Bool {
        phase == .running && configuration.isEnabled && configuration.maximumIdle > 0
    }

    /// Forgets a connection that the pool closes.
    mutating func close(_ position: Int, _ reason: CloseReason, _ effects: inout PoolEffects) {
        forget(position, reason, connection: table[position].connection, &effects)
    }

    mutating func forget(
        _ position: Int,
        _ reason: CloseReason,
        connection: (any PooledConnection)?,
        _ effects: inout PoolEffects
    ) {
        if table[position].phase == .idle {
            effects.idleDelta -= 1
        }
        effects.remove(table[position].id, reason, closing: connection)
        closedCounts[reason, default: 0] += 1
        table.remove(position)
    }

    /// Ends an event: what follows from the numbers of waiters, dials and idle connections, whatever changed them.
    mutating func settle(_ now: PoolInstant, _ effects: inout PoolEffects) {
        if !keepsIdle {
            cancelSurplusDials(&effects)
        }
        if phase == .draining, waiters.isEmpty {
            retireMultiplexed(&effects)
        }
        if !prewarms.isEmpty, room == 0 {
            cutShortPrewarms(&effects)
        }
        effects.dialsDue = dialsDue(now)
        if configuration.minimumIdle > 0, phase == .running, !refill.permits(now) {
            scheduleWakeUp(at: refill.notBefore, now, &effects)
        }
        if phase != .running, waiters.isEmpty, wakeUp != nil {
            wakeUp = nil
            effects.changeWakeUp(.cancel)
        }
    }
}
