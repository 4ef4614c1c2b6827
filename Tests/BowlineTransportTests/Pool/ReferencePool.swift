@testable import BowlineTransport

/// The pool once more, in arrays and loops, for one thread: the machine is compared with it.
///
/// Knows no `minimumIdle` and no `prewarm`; lifetimes have no jitter.
final class ReferencePool {
    struct Connection {
        let id: Int
        let affinity: Int
        let opened: Duration
        var uses = 0
        var idleSince: Duration?
        var expiry: Duration?
        var reason = CloseReason.idleTimeout
    }

    struct Dial {
        let id: Int
        let began: Duration
        var isLate = false
    }

    struct Waiter {
        let id: Int
        let fresh: Bool
        let deadline: Duration?
        let limit: Duration?
        let since: Duration
        let failedRounds: Int
        /// The last dial that was started before it came.
        let dialsBefore: Int
    }

    let configuration: PoolConfiguration
    var now = Duration.zero
    var idle: [Connection] = []
    var leased: [Connection] = []
    var dialling: [Dial] = []
    /// The dials on which waiters count.
    private var timely: Int { dialling.count { !$0.isLate } }
    var waiters: [Waiter] = []
    var opened = 0
    var closed: [CloseReason: Int] = [:]
    /// nil: the pool does not drain.
    private(set) var drainReason: CloseReason?
    private(set) var isClosed = false
    /// The instant of the next dial after a dial that failed for lack of resources.
    private(set) var shortUntil: Duration?
    private(set) var shortages = 0
    private(set) var failedRounds = 0
    private var roundsAtSuccess = 0
    /// The last dial that was started before the last round ended. Dials are numbered as they are started.
    private(set) var lastDialOfRound = 0
    private var dialsMade = 0
    private var waitersMade = 0
    private var lastFailure: (error: ScriptedDialError, at: Duration)?
    private var seen = Observation()

    init(_ configuration: PoolConfiguration) {
        self.configuration = configuration
    }

    var snapshot: PoolCounts {
        PoolCounts(
            idle: idle.count,
            active: leased.count,
            dialling: dialling.count,
            waiting: waiters.count,
            opened: opened,
            closed: closed
        )
    }

    func lease(affinity: Int?, fresh: Bool, wait: Duration?, deadline: Duration?) -> Observation {
        observing {
            waitersMade += 1
            let id = waitersMade
            if isClosed {
                seen.ended[id] = .closed
                return
            }
            let fresh = fresh || !configuration.isEnabled
            if !fresh, let connection = takeIdle(affinity) {
                grant(connection, to: id)
                return
            }
            if let deadline, deadline <= .zero {
                seen.ended[id] = .deadlineExceeded(lastDialError: nil)
                return
            }
            if let wait, wait <= .zero {
                seen.ended[id] = .timedOut(lastDialError: nil)
                return
            }
            let isHeld = shortUntil != nil && hasOtherSource
            let free = isHeld ? 0 : configuration.maximumConnections.map { $0 - total }
            let places = free.map { $0 + (fresh ? idle.count : 0) } ?? .max
            let unserved = places == .max ? -1 : waiters.count - timely - places
            if let most = configuration.maximumWaiting, unserved >= most {
                seen.ended[id] = .saturated(waiting: waiters.count)
                return
            }
            waiters.append(
                Waiter(
                    id: id, fresh: fresh, deadline: deadline.map { now + $0 }, limit: wait.map { now + $0 }, since: now,
                    failedRounds: failedRounds, dialsBefore: dialsMade))
        }
    }

    func release(_ id: Int, keepAlive: Duration?) -> Observation {
        observing {
            guard var connection = takeLeased(id) else { return }
            let limits: [(Duration?, CloseReason)] = [
                (configuration.idleTimeout.map { now + $0 }, .idleTimeout),
                (keepAlive.map { now + $0 - .seconds(1) }, .keepAliveTimeout),
                (configuration.maximumLifetime.map { connection.opened + $0 }, .lifetimeExceeded),
            ]
            connection.idleSince = now
            connection.expiry = nil
            for case (let limit?, let reason) in limits where connection.expiry.map({ limit < $0 }) ?? true {
                connection.expiry = limit
                connection.reason = reason
            }
            leaseOrPark(connection)
        }
    }

    func returnUnused(_ id: Int) -> Observation {
        observing {
            guard var connection = takeLeased(id) else { return }
            connection.uses -= 1
            if connection.idleSince == nil {
                offerFresh(connection)
            } else {
                leaseOrPark(connection)
            }
        }
    }

    func cancel(_ waiter: Int) -> Observation {
        observing {
            guard let index = waiters.firstIndex(where: { $0.id == waiter }) else { return }
            let departed = waiters.remove(at: index)
            seen.ended[waiter] = .cancelled
            giveUpDials(of: [departed], atLeast: .seconds(1))
        }
    }

    func established(_ id: Int, affinity: Int) -> Observation {
        observing {
            opened += 1
            let connection = Connection(id: id, affinity: affinity, opened: now)
            guard let index = dialling.firstIndex(where: { $0.id == id }) else {
                seen.removed[id] = .dialUnneeded
                closed[.dialUnneeded, default: 0] += 1
                return
            }
            dialling.remove(at: index)
            roundsAtSuccess = failedRounds
            shortUntil = nil
            shortages = 0
            offerFresh(connection)
        }
    }

    func failed(_ id: Int, _ error: ScriptedDialError, for cause: DialFailureCause) -> Observation {
        observing {
            guard let index = dialling.firstIndex(where: { $0.id == id }) else { return }
            let wasLate = dialling.remove(at: index).isLate
            lastFailure = (error, now)
            if cause == .resources, hasOtherSource {
                guard shortUntil.map({ $0 <= now }) ?? true else { return }
                shortages = min(shortages + 1, 16)
                // With 0.5 as the random number.
                shortUntil = now + (.milliseconds(100) + min(.seconds(10), .milliseconds(100) * (1 << shortages))) / 2
                return
            }
            if cause == .resources, waiters.first?.fresh == true, !idle.isEmpty {
                close(idle.removeFirst(), .replaced)
                return
            }
            if cause == .peer {
                shortUntil = nil
                shortages = 0
            }
            if id > lastDialOfRound {
                failedRounds += 1
                lastDialOfRound = dialsMade
            }
            if waiters.count > timely, waiters[0].dialsBefore < id {
                seen.ended[waiters.removeFirst().id] = .dialFailed(error)
            }
            while let first = waiters.first, wasLate || waiters.count > timely, roundsFailed(first) >= 3 {
                seen.ended[waiters.removeFirst().id] = .dialFailed(error)
            }
            failOverdue(.dialFailed(error))
            guard wasLate else { return }
            for waiter in waiters where waiter.dialsBefore < id && waiter.limit.map({ $0 <= now }) ?? false {
                seen.ended[waiter.id] = .dialFailed(error)
            }
            waiters.removeAll { seen.ended[$0.id] != nil }
        }
    }

    /// Rounds of dials that have failed in a row while it waited.
    func roundsFailed(_ waiter: Waiter) -> Int {
        failedRounds - max(waiter.failedRounds, roundsAtSuccess)
    }

    /// Ends the wait of requests beyond their limit that have no dial in flight. Returns them.
    @discardableResult
    private func failOverdue(_ end: Observation.End?) -> [Waiter] {
        let overdue = waiters.dropFirst(timely).filter { $0.limit.map { $0 <= now } ?? false }
        for waiter in overdue {
            seen.ended[waiter.id] = end ?? .timedOut(lastDialError: dialError(for: waiter))
        }
        waiters.removeAll { seen.ended[$0.id] != nil }
        return overdue
    }

    /// Makes a dial late for each waiter that has left, if the dial is at least half as old as the wait, no other waiter
    /// needs it, another dial can start, and not four are late already.
    private func giveUpDials(of departed: [Waiter], atLeast shortest: Duration = .zero) {
        let free = configuration.maximumConnections.map { $0 - total } ?? .max
        let most = timely - min(timely, max(0, min(timely - waiters.count, free, 4 - (dialling.count - timely))))
        for waiter in departed where timely > most {
            guard let oldest = dialling.firstIndex(where: { !$0.isLate }) else { return }
            let age = now - dialling[oldest].began
            if age >= shortest, age * 2 >= now - waiter.since { dialling[oldest].isLate = true }
        }
    }

    private func dialError(for waiter: Waiter) -> ScriptedDialError? {
        lastFailure.flatMap { $0.at >= waiter.since ? $0.error : nil }
    }

    private var hasOtherSource: Bool {
        !dialling.isEmpty || !leased.isEmpty
    }

    func closed(_ id: Int, _ reason: CloseReason) -> Observation {
        observing {
            if let index = idle.firstIndex(where: { $0.id == id }) {
                close(idle.remove(at: index), reason)
            } else if let connection = takeLeased(id) {
                close(connection, reason)
            }
        }
    }

    func evictStale(idleSince: Duration) -> Observation {
        observing {
            let stale = idle.filter { ($0.idleSince ?? now) <= idleSince }
            idle.removeAll { ($0.idleSince ?? now) <= idleSince }
            for connection in stale { close(connection, .stale) }
        }
    }

    func evictOldest() -> Observation {
        observing {
            if !idle.isEmpty { close(idle.removeFirst(), .totalIdleCapacity) }
        }
    }

    func beginDrain(_ reason: CloseReason) -> Observation {
        observing {
            if isClosed { return }
            if drainReason != .shutdown { drainReason = reason }
            closeIdle(reason)
        }
    }

    func endDrain() -> Observation {
        observing {
            if drainReason == .addressGone { drainReason = nil }
        }
    }

    func closeAll() -> Observation {
        observing {
            if isClosed { return }
            isClosed = true
            for waiter in waiters { seen.ended[waiter.id] = .closed }
            waiters = []
            closeIdle(.forced)
            for connection in leased { close(connection, .forced) }
            leased = []
        }
    }

    func advance(by duration: Duration) -> Observation {
        observing {
            let end = now + duration
            while let next = nextInstant, next <= end {
                now = next
                let expired = waiters.filter { $0.deadline.map { $0 <= now } ?? false }
                for waiter in expired {
                    seen.ended[waiter.id] = .deadlineExceeded(lastDialError: dialError(for: waiter))
                }
                waiters.removeAll { $0.deadline.map { $0 <= now } ?? false }
                giveUpDials(of: expired)
                for connection in idle where isExpired(connection) { close(connection, connection.reason) }
                idle.removeAll(where: isExpired)
                finishEvent()
            }
            now = end
        }
    }

    /// The next instant at which time alone changes the state.
    private var nextInstant: Duration? {
        let short = waiters.isEmpty ? nil : shortUntil
        let instants = waiters.flatMap { [$0.deadline, $0.limit] } + idle.map(\.expiry) + [short]
        return instants.compactMap { $0 }.filter { $0 > now }.min()
    }

    private var total: Int {
        idle.count + leased.count + dialling.count
    }

    private var isFull: Bool {
        configuration.maximumConnections.map { total >= $0 } ?? false
    }

    private func observing(_ event: () -> Void) -> Observation {
        let idleBefore = idle.count
        seen = Observation()
        event()
        finishEvent()
        seen.idleDelta = idle.count - idleBefore
        return seen
    }

    private func finishEvent() {
        var before: [Int] = []
        while before != [timely, dialling.count, waiters.count] {
            before = [timely, dialling.count, waiters.count]
            adjustDials()
            giveUpDials(of: failOverdue(nil))
        }
    }

    private func adjustDials() {
        if isClosed || drainReason != nil || !configuration.isEnabled || configuration.maximumIdle == 0 {
            if waiters.isEmpty {
                seen.cancelledDials.formUnion(dialling.filter(\.isLate).map(\.id))
                dialling.removeAll(where: \.isLate)
            }
            while timely > waiters.count { seen.cancelledDials.insert(dialling.removeLast().id) }
        }
        while waiters.count > timely {
            if let shortUntil, timely > 0 || (!dialling.isEmpty || !leased.isEmpty) && shortUntil > now { break }
            if isFull {
                if idle.isEmpty { break }
                close(idle.removeFirst(), .replaced)
            }
            dialsMade += 1
            dialling.append(Dial(id: dialsMade, began: now))
            seen.dialled.append(dialsMade)
        }
    }

    private func takeIdle(_ affinity: Int?) -> Connection? {
        while let newest = idle.indices.last {
            let near = idle.lastIndex { $0.affinity == affinity }
            let connection = idle.remove(at: near ?? newest)
            if !isExpired(connection) { return connection }
            close(connection, connection.reason)
        }
        return nil
    }

    private func takeLeased(_ id: Int) -> Connection? {
        leased.firstIndex { $0.id == id }.map { leased.remove(at: $0) }
    }

    private func leaseOrPark(_ connection: Connection) {
        let mayRetire: [(Bool, CloseReason)] = [
            (!configuration.isEnabled, .poolingDisabled),
            (configuration.maximumLifetime.map { connection.opened + $0 <= now } ?? false, .lifetimeExceeded),
            (configuration.maximumUses.map { connection.uses >= $0 } ?? false, .usesExceeded),
            (connection.reason == .keepAliveTimeout && isExpired(connection), .keepAliveTimeout),
        ]
        if let reason = mayRetire.first(where: \.0)?.1 {
            close(connection, reason)
        } else if waiters.first?.fresh == true, timely == 0,
            configuration.maximumConnections == total + 1 || shortUntil != nil
        {
            close(connection, .replaced)
        } else if let index = waiters.firstIndex(where: { !$0.fresh }) {
            grant(connection, to: waiters.remove(at: index).id)
        } else {
            park(connection)
        }
    }

    private func offerFresh(_ connection: Connection) {
        if !waiters.isEmpty {
            grant(connection, to: waiters.removeFirst().id)
            return
        }
        var connection = connection
        connection.idleSince = now
        connection.expiry = configuration.idleTimeout.map { now + $0 }
        connection.reason = .idleTimeout
        if let end = configuration.maximumLifetime.map({ connection.opened + $0 }) {
            if connection.expiry.map({ end < $0 }) ?? true {
                connection.expiry = end
                connection.reason = .lifetimeExceeded
            }
        }
        park(connection)
    }

    private func park(_ connection: Connection) {
        if let drainReason {
            close(connection, drainReason)
        } else if !configuration.isEnabled {
            close(connection, connection.uses > 0 ? .poolingDisabled : .dialUnneeded)
        } else if configuration.maximumIdle == 0 {
            close(connection, .idleCapacity)
        } else if isExpired(connection) {
            close(connection, connection.reason)
        } else {
            idle.append(connection)
            if idle.count > configuration.maximumIdle { close(idle.removeFirst(), .idleCapacity) }
        }
    }

    private func isExpired(_ connection: Connection) -> Bool {
        connection.expiry.map { $0 <= now } ?? false
    }

    private func grant(_ connection: Connection, to waiter: Int) {
        var connection = connection
        connection.uses += 1
        leased.append(connection)
        seen.ended[waiter] = .granted(
            .init(connection: connection.id, uses: connection.uses, idleSince: connection.idleSince)
        )
    }

    private func closeIdle(_ reason: CloseReason) {
        for connection in idle { close(connection, reason) }
        idle = []
    }

    private func close(_ connection: Connection, _ reason: CloseReason) {
        seen.removed[connection.id] = reason
        if shortUntil != nil { shortUntil = .zero }
        closed[reason, default: 0] += 1
    }
}
