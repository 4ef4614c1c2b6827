internal import BowlineCore

/// Decides everything about one origin's connections. Knows no lock, clock, task or randomness.
///
/// A connection is *dialling*, *leased* or *idle*, or the pool does not know it:
///
/// | event                   | dialling                 | leased                   | idle              | unknown    |
/// |-------------------------|--------------------------|--------------------------|-------------------|------------|
/// | `checkOut`, `lease`     | –                        | –                        | → leased (1)      | –          |
/// | `startDials`            | –                        | –                        | – (2)             | → dialling |
/// | `connectionEstablished` | → leased, idle, gone (3) | bug                      | bug               | closed     |
/// | `connectionFailed`      | → gone (4)               | bug                      | bug (8)           | ignored    |
/// | `release`               | bug                      | → leased, idle, gone (5) | bug               | ignored    |
/// | `returnUnused`          | bug                      | → leased, idle, gone (5) | bug               | ignored    |
/// | `connectionClosed`      | ignored                  | → gone                   | → gone            | ignored    |
/// | `capacityChanged`       | ignored                  | → idle if unused (6)     | → leased if zero  | ignored    |
/// | `connectionDoubted`     | ignored                  | no more leases (7)       | → leased (7)      | ignored    |
/// | `connectionConfirmed`   | ignored                  | → idle if unused (6, 7)  | –                 | ignored    |
/// | `connectionRetired`     | ignored                  | closed when unused       | closed            | ignored    |
/// | `timerFired`            | –                        | closed if expired (9)    | closed if expired | –          |
/// | `evictStale`            | –                        | –                        | closed if as old  | –          |
/// | `noByteReceived`        | –                        | probed if silent (7)     | closed if silent  | –          |
/// | `evictOldestIdle`       | –                        | –                        | closed if oldest  | –          |
/// | `beginDrain`            | cancelled if superfluous | –                        | closed            | –          |
/// | `closeAll`              | cancelled                | closed                   | closed            | –          |
///
/// 1. An expired one is closed instead and the next one taken.
/// 2. The one idle longest is closed (`replaced`) when a request requires a fresh connection at the limit.
/// 3. Leased to the first waiter, else idle, or closed when the pool drains or does not reuse.
/// 4. The first waiter fails with it, unless another dial is under way for each that waits. Waiters that have
///    seen the maximum of failed rounds (`DialRounds`) fail too, and waiters whose limit has passed. If this machine's resources were short and another
///    connection is in use or being dialled, none fails: they wait for that one.
/// 5. Leased to the first waiter that takes a used one, else idle; or closed by age, uses, keep-alive, capacity,
///    drain, or because reuse is off. `returnUnused` does not count the use.
/// 6. Leased to as many waiters as it has room for.
/// 7. Only with streams. A *doubted* connection gets no lease until it is confirmed, and does not count against
///    `maximumMultiplexed`. If a connection that took its place makes one too many, a place is given back (10).
/// 8. It may be closed (`replaced`) for its descriptor when a request requires a fresh connection.
/// 9. Only with streams: one that may carry nothing, or is doubted, and has no lease.
/// 10. Whatever the event: an idle one closes, else a superfluous dial ends, else the oldest in use with streams retires
///     (all `replaced`), as long as another is left that takes requests.
///
/// A connection with streams is leased several times at once: it stays *leased* until the last lease has ended. What it
/// can carry changes; a *retired* one gets no more leases and is closed with the last.
///
/// Connections with streams that are retired or doubted serve no request that waits. As many of them as
/// `maximumMultiplexed` do not count against `maximumConnections`.
///
/// The pool itself goes *running → draining → closed*, never back. A request that waits ends exactly once: granted,
/// or failed by its deadline, its limit, its cancellation, a failed dial or the pool's closing; whichever event comes
/// first takes it out of line, and the others find nothing.
///
/// A dial *covers* the first waiters in line, as many as its connection is expected to carry. A covered waiter whose limit
/// passes takes the dial's outcome; one that is not covered fails. A deadline fails either.
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
        let at: MonotonicInstant
    }

    let configuration: PoolConfiguration
    var phase = Phase.running
    var table = ConnectionTable()
    var waiters = WaiterQueue()
    var expectation: DialExpectation
    var prewarms: [Prewarm] = []
    var refill = DialBackoff()
    /// When an idle connection was last evicted for the limit over all origins. `nil`: `minimumIdle` is kept.
    var minimumSuspendedAt: MonotonicInstant?
    /// After a dial for which this machine had no descriptor or port left.
    var shortage = DialBackoff()
    var rounds = DialRounds()
    var wakeUp: WakeUp?
    var lastWakeUpID = 0
    var lastDialFailure: DialFailure?
    var openedCount = 0
    var closedCounts: [CloseReason: Int] = [:]

    init(configuration: PoolConfiguration) {
        self.configuration = configuration.normalized()
        expectation = self.configuration.expectation
    }

    var snapshot: PoolCounts {
        PoolCounts(
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
    var room: Int { max(0, balance) }

    /// As `room`; negative: so many more connections there are than may be, because doubted ones were confirmed.
    var balance: Int {
        let room = configuration.maximumConnections.map { max(0, $0 - countedConnections) } ?? .max
        guard case .streams = expectation else { return room }
        let live = configuration.maximumMultiplexed - table.multiplexedCount
        // Others take the places of doubted ones, as often as there are places and no oftener: the next may be silent too.
        let excess = max(0, table.doubtedCount - configuration.maximumMultiplexed)
        return min(room, live - excess - table.diallingCount)
    }

    /// The connections that count against `maximumConnections`: all but some of those that take no new requests.
    var countedConnections: Int {
        table.count - min(table.unavailableCount, configuration.maximumMultiplexed)
    }

    /// Whether there are more connections than may be: doubted ones were confirmed after others had taken their places.
    var isOverLimit: Bool {
        guard let maximum = configuration.maximumConnections, table.count > maximum else { return false }
        return countedConnections > maximum
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
        connection: (any HTTPConnection)?,
        _ effects: inout PoolEffects
    ) {
        if table[position].phase == .idle {
            effects.idleDelta -= 1
        }
        effects.remove(table[position].id, reason, closing: connection)
        // It frees a descriptor.
        shortage.permit()
        closedCounts[reason, default: 0] += 1
        table.remove(position)
    }

    /// Ends an event: what follows from the numbers of waiters, dials and idle connections, whatever changed them.
    mutating func finishEvent(_ now: MonotonicInstant, _ effects: inout PoolEffects) {
        if isOverLimit {
            giveBackPlaces(&effects)
        }
        if waiters.hasOverdue {
            failOverdue(now, &effects)
        }
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
        if owesRefill, !refill.permits(now) {
            scheduleWakeUp(at: refill.notBefore, now, &effects)
        }
        if shortage.isActive, !waiters.isEmpty, !shortage.permits(now) {
            scheduleWakeUp(at: shortage.notBefore, now, &effects)
        }
        if phase != .running, waiters.isEmpty, wakeUp != nil {
            wakeUp = nil
            effects.changeWakeUp(.cancel)
        }
    }
}
