internal import BowlineCore

/// The state machine of one route's connections. It uses no lock, clock, task or randomness.
///
/// A connection is *dialling*, *leased*, *idle*, or unknown to the pool:
///
/// | event                   | dialling                 | leased                   | idle              | unknown    |
/// |-------------------------|--------------------------|--------------------------|-------------------|------------|
/// | `tryLease`, `lease`     | –                        | –                        | → leased (1)      | –          |
/// | `startDials`            | –                        | retired (2)              | closed (2)        | → dialling |
/// | `connectionEstablished` | → leased, idle, gone (3) | bug                      | bug               | closed     |
/// | `connectionFailed`      | → gone (4)               | bug                      | bug (8)           | ignored    |
/// | `release`               | bug                      | → leased, idle, gone (5) | bug               | ignored    |
/// | `returnUnused`          | bug                      | → leased, idle, gone (5) | bug               | ignored    |
/// | `connectionClosed`      | ignored                  | → gone                   | → gone            | ignored    |
/// | `capacityChanged`       | ignored                  | → idle if unused (6)     | → leased if zero  | ignored    |
/// | `connectionDoubted`     | ignored                  | no more leases (7)       | → leased (7)      | ignored    |
/// | `connectionConfirmed`   | ignored                  | → idle if unused (6, 7)  | –                 | ignored    |
/// | `connectionRetired`     | ignored                  | closed when unused       | closed            | ignored    |
/// | `timerFired`            | late if waited for (11)  | closed if expired (9)    | closed if expired | –          |
/// | `evictStale`            | –                        | –                        | closed if as old  | –          |
/// | `noByteReceived`        | –                        | probed if silent (7)     | closed if silent  | –          |
/// | `evictOldestIdle`       | –                        | –                        | closed if oldest  | –          |
/// | `beginDrain`            | cancelled if superfluous | –                        | closed            | –          |
/// | `endDrain`              | –                        | –                        | –                 | –          |
/// | `closeAll`              | cancelled                | closed                   | closed            | –          |
///
/// 1. An expired connection is closed instead, and the next one is taken.
/// 2. At the limit, when the first waiter requires a fresh connection: the connection that has been idle longest is
///    closed (`replaced`). If none is idle, the oldest multiplexed connection in use retires (`replaced`).
/// 3. Leased to the first waiter, else idle. Closed when the pool drains or does not reuse connections.
/// 4. The first waiter fails with the dial's error, unless other dials are under way for all waiters, or the waiter
///    came after the dial had started. Waiters without another dial fail too if they have seen the maximum of failed
///    rounds (`DialRounds`) or if their limit has passed. No waiter fails if this machine was short of resources while
///    another connection is in use or being dialled: the waiters wait for that connection.
/// 5. Leased to the first waiter that accepts a used connection, else idle. Closed if its age, its uses, the server's
///    keep-alive, the number of idle connections or a drain demands that, or if reuse is off. `returnUnused` does not
///    count the use.
/// 6. Leased to as many waiters as the connection has room for.
/// 7. Multiplexed connections only. A *doubted* connection gets no lease until it is confirmed, and does not count
///    against `maximumMultiplexed`. If another connection took its place meanwhile, a confirmation can exceed the limit
///    (10).
/// 8. An idle connection may be closed (`replaced`) to free its descriptor when the first waiter requires a fresh
///    connection.
/// 9. Multiplexed connections only: one without a lease that allows no streams now, or is doubted.
/// 10. After every event, while the pool exceeds its limit: the connection that has been idle longest closes. If none
///     is idle, a dial that no waiter needs is cancelled. If there is no such dial, a multiplexed connection in use
///     retires, unless it is the last one that takes requests. The close reason is `replaced`.
/// 11. A covered waiter that leaves because of its deadline, its limit or its cancellation makes a dial *late*, if the
///     dial has been under way for half of the waiter's wait or longer, and after a cancellation for a second or longer,
///     and if the limits leave room for another dial. At most `maximumMultiplexed` dials are late. A late dial goes on,
///     and its connection is taken if it comes, but it covers no waiter. So the pool dials once more for the next
///     request, which may take another way through the network. A late dial keeps its place within the limits, so that
///     dials which are only slow can succeed. If the dialer does not limit the time of a dial, the pool ends the late
///     ones that have taken as long as a waiter may wait. If a late dial fails, the waiters that came before it and
///     whose limit has passed fail too.
///
/// A *multiplexed* connection (HTTP/2) is leased several times at once. It stays *leased* until its last lease ends.
/// Its capacity can change. A *retired* connection gets no more leases and closes when its last lease ends.
///
/// Retired and doubted connections serve no waiter. Up to `maximumMultiplexed` of them do not count against
/// `maximumConnections`.
///
/// The pool itself goes *running → draining → closed*. It drains when the client shuts down, or when the host no longer
/// has the address of the pool's route. While it drains, connections close with that reason. If the address comes back,
/// the pool is *running* again (`endDrain`). All other steps are final. A waiter ends exactly once: it is granted a
/// connection, or it fails because of its deadline, its limit, its cancellation, a failed dial or the closing of the
/// pool. The first of these events removes the waiter from the queue, so the later ones do not find it.
///
/// A dial that is not late *covers* the first waiters in the queue, as many as its connection is expected to carry. When
/// the limit of a covered waiter passes, the waiter waits for the end of the dial. When the limit of another waiter
/// passes, that waiter fails. A deadline fails both.
///
/// `now` may run backwards a little between events, because the driver reads it before it takes the lock.
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
    /// Why connections close while the pool drains.
    var drainReason = CloseReason.shutdown
    var table = ConnectionTable()
    var waiters = WaiterQueue()
    var expectation: DialExpectation
    var prewarms: [Prewarm] = []
    var refill = DialBackoff()
    /// When the pool last evicted an idle connection for the limit over all origins. While this is set, the pool does
    /// not dial for `minimumIdle`.
    var minimumSuspendedAt: MonotonicInstant?
    /// The backoff after a dial for which this machine had no descriptor or port left.
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

    /// Whether the pool has no connection, no dial and no waiter.
    var isCold: Bool {
        table.count == 0 && waiters.isEmpty && prewarms.isEmpty
    }

    /// How many more connections the limits allow.
    var room: Int { max(0, balance) }

    /// Like `room`, but negative if there are too many connections. That happens when doubted connections are confirmed
    /// after others have replaced them.
    var balance: Int {
        let room = configuration.maximumConnections.map { max(0, $0 - countedConnections) } ?? .max
        guard case .streams = expectation else { return room }
        let live = configuration.maximumMultiplexed - table.multiplexedCount
        // Up to `maximumMultiplexed` doubted connections are replaced. More are not replaced, because the replacements
        // may be silent too.
        let excess = max(0, table.doubtedCount - configuration.maximumMultiplexed)
        return min(room, live - excess - table.diallingCount)
    }

    /// How many connections count against `maximumConnections`. Of the connections that take no new requests, up to
    /// `maximumMultiplexed` do not count.
    var countedConnections: Int {
        table.count - min(table.unavailableCount, configuration.maximumMultiplexed)
    }

    /// Whether the pool has too many connections, because doubted connections were confirmed after others had replaced
    /// them.
    var isOverLimit: Bool {
        guard let maximum = configuration.maximumConnections, table.count > maximum else { return false }
        return countedConnections > maximum
    }

    /// Whether the pool keeps a connection that no waiter needs.
    var keepsIdle: Bool {
        phase == .running && configuration.isEnabled && configuration.maximumIdle > 0
    }

    /// Removes a connection and has the driver close it.
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
        // The closed connection frees a descriptor.
        shortage.permit()
        closedCounts[reason, default: 0] += 1
        table.remove(position)
    }

    /// Ends an event: decides what follows from the numbers of waiters, dials and connections after the event.
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
