internal import BowlineCore

/// A call of `prewarm` that waits for its dials.
struct Prewarm {
    let waiter: WaiterID
    /// Dials still to be started for it.
    var missing: Int
    var underWay: Set<ConnectionID> = []
}

extension PoolStateMachine {
    /// Starts the dials that are due, as far as the names go. Takes the event's numbers as they are now, not as they
    /// were when `PoolEffects.dialsDue` was counted.
    mutating func startDials(_ names: [ConnectionID], now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        for id in names {
            guard dialsDue(now) > 0 else { break }
            for _ in 0...max(0, -balance) where room == 0 {
                makeRoom(&effects)
            }
            // Of several waiters without a dial the first one's preference stands for all.
            let affinity = missingDials > 0 ? waiters.first?.affinity : nil
            if missingDials <= 0, let index = prewarms.firstIndex(where: { $0.missing > 0 }) {
                prewarms[index].missing -= 1
                prewarms[index].underWay.insert(id)
            }
            table.addDial(id)
            effects.dial(id, affinity: affinity)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// At the limit, a request that requires a fresh connection gets the place of another one.
    private mutating func makeRoom(_ effects: inout PoolEffects) {
        if let oldest = table.oldestIdle {
            close(oldest, .replaced, &effects)
        } else if let oldest = replaceable.first {
            retire(oldest, .replaced, &effects)
        }
    }

    mutating func connectionEstablished(
        _ connection: any HTTPConnection,
        now: MonotonicInstant,
        random: Double
    ) -> PoolEffects {
        var effects = PoolEffects()
        openedCount += 1
        guard let position = table.position(of: connection.id) else {
            closedCounts[.dialUnneeded, default: 0] += 1
            effects.remove(connection.id, .dialUnneeded, closing: connection)
            return effects
        }
        table.establish(position, connection)
        table[position].seenAt = now
        rounds.recordSuccess()
        shortage.reset()
        let isSurprise = expectation == .single && connection.isMultiplexed
        if configuration.isEnabled {
            expectation = connection.isMultiplexed ? .streams(connection.capacity) : .single
        } else {
            table[position].capacity = 1
        }
        table[position].retireAt = configuration.maximumLifetime.map { lifetime in
            // A hundred years are as good as more, and `Duration` traps on what it cannot hold.
            let spread = min(lifetime, .seconds(3_155_760_000)) * (1 + configuration.lifetimeJitter * (2 * random - 1))
            // Instants are whole nanoseconds: a lifetime that is not zero does not become zero.
            return now.advanced(by: lifetime > .zero ? max(spread, .nanoseconds(1)) : spread)
        }
        offerFresh(position, now, &effects)
        dialEnded(connection.id, error: nil, &effects)
        // The others under way were for one request each.
        if isSurprise, configuration.isEnabled, prewarms.isEmpty { cancelSurplusDials(&effects) }
        finishEvent(now, &effects)
        return effects
    }

    mutating func connectionFailed(
        _ id: ConnectionID,
        error: any Error,
        cause: DialFailureCause,
        now: MonotonicInstant,
        random: Double
    ) -> PoolEffects {
        var effects = PoolEffects()
        guard let position = table.position(of: id) else { return effects }
        precondition(table[position].phase == .dialling, "a dial failed that had succeeded")
        let dial = table[position].dialNumber
        table.remove(position)
        lastDialFailure = DialFailure(error: error, at: now)
        refill.recordFailure(now: now, random: random)
        if cause == .resources, hasOtherSource {
            // Dials that were under way together count once.
            if shortage.permits(now) { shortage.recordFailure(now: now, random: random) }
        } else if cause == .resources, waiters.startsWithFresh, let oldest = table.oldestIdle {
            // What it frees may do for the next dial.
            close(oldest, .replaced, &effects)
        } else {
            if cause == .peer { shortage.reset() }
            rounds.recordFailure(dial: dial, started: table.dialsStarted)
            // The dial's own limit and the requests' may be the same instant, and the timer a little late.
            waiters.markOverdue(now: now)
            failWaiters(error, dial: dial, &effects)
        }
        dialEnded(id, error: error, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// A dial has failed: fails the request that has waited longest, unless other dials are under way for all, or the dial is
    /// older than the request: another dial is started then. With it fail those that have waited for enough of them.
    private mutating func failWaiters(_ error: any Error, dial: Int, _ effects: inout PoolEffects) {
        let covered = coverage(of: table.diallingCount)
        if waiters.count > covered, let first = waiters.first, first.dialsBefore < dial {
            _ = waiters.popFirst()
            effects.resume(first.id, .failed(PoolError.dialFailed(error)))
        }
        while waiters.count > covered, let next = waiters.first, rounds.suffice(next) {
            _ = waiters.popFirst()
            effects.resume(next.id, .failed(PoolError.dialFailed(error)))
        }
        // They have waited beyond their limit for this dial; they do not wait for the next one.
        for waiter in waiters.removeOverdue(behind: covered) {
            effects.resume(waiter.id, .failed(PoolError.dialFailed(error)))
        }
    }

    /// How many waiting requests, the first in line, so many dials will do for.
    func coverage(of dials: Int) -> Int {
        let (covered, isPlenty) = dials.multipliedReportingOverflow(by: expectation.coverage)
        return isPlenty ? .max : covered
    }

    /// Whether a request may get a connection without another dial.
    private var hasOtherSource: Bool {
        table.diallingCount > 0 || table.busyCount > 0
    }

    /// Whether requests wait for connections in use because there were no descriptors or ports for others.
    var isHoldingDials: Bool {
        shortage.isActive && hasOtherSource
    }

    /// Whether the dial is under way.
    func isDialling(_ id: ConnectionID) -> Bool {
        table.position(of: id).map { table[$0].phase == .dialling } ?? false
    }

    /// Opens connections in advance until `count` are idle or on their way, as far as the limits go.
    mutating func prewarm(_ count: Int, waiter: WaiterID, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard phase == .running else {
            let error = phase == .draining ? PoolError.draining : .closed
            effects.resume(waiter, .failed(error))
            return effects
        }
        let goal = keepsIdle ? min(count, configuration.maximumIdle) : 0
        let spare = table.idleCount + max(0, -missingDials)
        let missing = max(0, min(goal - spare, room - max(0, missingDials)))
        // A second caller waits for the dials of the first as well.
        let joined = table.idleCount < goal ? table.positions(in: .dialling).map { table[$0].id } : []
        if missing == 0, joined.isEmpty {
            effects.resume(waiter, .prewarmed)
        } else {
            prewarms.append(Prewarm(waiter: waiter, missing: missing, underWay: Set(joined)))
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Dials that the waiters need less those under way; negative when there are more than they need.
    var missingDials: Int {
        expectation.dials(for: waiters.count) - table.diallingCount
    }

    /// Connections in use that may be retired to make room for a new one, at their limit: they would do for any request
    /// but one that must have a new one.
    ///
    /// No more than give their places away then; and none without reuse, where each ends with its request anyway.
    private var replaceable: ArraySlice<Int> {
        guard waiters.startsWithFresh, configuration.isEnabled else { return [] }
        let inUse = table.multiplexed.filter {
            table[$0].phase == .leased && table[$0].retirement == nil && !table[$0].isDoubted
        }
        guard let maximum = configuration.maximumConnections else { return inUse[...] }
        guard countedConnections <= maximum else { return [] }
        let givers = configuration.maximumMultiplexed
        return inUse.prefix(max(0, givers - table.unavailableCount, maximum + givers - table.count))
    }

    /// Whether idle connections are to be dialled, now or after a pause.
    var owesRefill: Bool {
        keepsIdle && minimumSuspendedAt == nil && table.idleCount < configuration.minimumIdle
    }

    /// A request has got a connection from the pool without waiting: what is kept idle here is of use.
    mutating func noteHit(_ now: MonotonicInstant) {
        guard let since = minimumSuspendedAt, since.advanced(by: Self.suspension) <= now else { return }
        minimumSuspendedAt = nil
    }

    /// How long an eviction for the limit over all origins keeps the pool from dialling for `minimumIdle`, at the least.
    private static var suspension: Duration { .seconds(10) }

    /// How many dials to start now: for waiters that outnumber the dials under way, for `prewarm`, for `minimumIdle`.
    func dialsDue(_ now: MonotonicInstant) -> Int {
        let uncovered = max(0, missingDials)
        guard uncovered > 0 || !prewarms.isEmpty || configuration.minimumIdle > 0 else { return 0 }
        guard phase != .closed else { return 0 }

        // Idle connections are of no use to those who still wait: those require a fresh one, and may take the place.
        let balance = balance
        let space = max(0, balance)
        let replaceable = space == 0 && uncovered > 0 ? replaceable.count : 0
        var forWaiters =
            balance == .max ? uncovered : min(uncovered, max(0, balance + table.idleCount + replaceable))
        if shortage.isActive {
            // One finds out whether there is what was missing.
            forWaiters = isHoldingDials && !shortage.permits(now) ? 0 : max(0, min(forWaiters, 1 - table.diallingCount))
        }
        guard keepsIdle else { return forWaiters }

        let spare = table.idleCount + max(0, -missingDials)
        let forPrewarm = prewarms.reduce(0) { $0 + $1.missing }
        let isRefilling = minimumSuspendedAt == nil && refill.permits(now)
        let forMinimum = isRefilling ? max(0, configuration.minimumIdle - spare - forPrewarm) : 0
        let due = forWaiters + max(0, min(forPrewarm + forMinimum, space - forWaiters))
        // One finds out what the others will be.
        if expectation == .unknown { return max(0, min(due, 1 - table.diallingCount)) }
        return due
    }

    /// Cancels the dials nobody waits for, the youngest first.
    mutating func cancelSurplusDials(_ effects: inout PoolEffects) {
        while missingDials < 0, let position = table.youngestDial() {
            cancelDial(position, &effects)
        }
    }

    mutating func cancelDial(_ position: Int, _ effects: inout PoolEffects) {
        let id = table[position].id
        effects.cancelDial(id)
        table.remove(position)
        dialEnded(id, error: phase == .closed ? PoolError.closed : .draining, &effects)
    }

    /// More connections than may be: ends what is of the least use, until the limit is kept or one connection is left that
    /// takes requests. One that is retired finishes what it carries and counts no longer.
    mutating func giveBackPlaces(_ effects: inout PoolEffects) {
        while isOverLimit {
            if let oldest = table.oldestIdle {
                close(oldest, .replaced, &effects)
            } else if missingDials < 0, let position = table.youngestDial() {
                let id = table[position].id
                effects.cancelDial(id)
                table.remove(position)
                // There is one connection more than it asked for.
                dialEnded(id, error: nil, &effects)
            } else if table.availableCount > 1, table.unavailableCount < configuration.maximumMultiplexed,
                let dispensable = dispensable
            {
                retire(dispensable, .replaced, &effects)
            } else {
                return
            }
        }
    }

    /// The connection in use with streams that is of the least use: one that allows no streams now, or the oldest.
    private var dispensable: Int? {
        let inUse = table.multiplexed.filter { table[$0].phase == .leased && table[$0].takesRequests }
        return inUse.first { table[$0].capacity == 0 } ?? inUse.first
    }

    /// At the limit there is nothing more to open in advance: what is under way will have to do.
    mutating func cutShortPrewarms(_ effects: inout PoolEffects) {
        for index in prewarms.indices {
            prewarms[index].missing = 0
        }
        for prewarm in prewarms where prewarm.underWay.isEmpty {
            effects.resume(prewarm.waiter, .prewarmed)
        }
        prewarms.removeAll { $0.underWay.isEmpty }
    }

    /// Tells the calls of `prewarm` that waited for this dial.
    private mutating func dialEnded(_ id: ConnectionID, error: (any Error)?, _ effects: inout PoolEffects) {
        guard !prewarms.isEmpty else { return }
        var remaining: [Prewarm] = []
        for var prewarm in prewarms {
            let concerned = prewarm.underWay.remove(id) != nil
            if concerned, let error {
                effects.resume(prewarm.waiter, .failed(error))
            } else if concerned, prewarm.underWay.isEmpty, prewarm.missing == 0 {
                effects.resume(prewarm.waiter, .prewarmed)
            } else {
                remaining.append(prewarm)
            }
        }
        prewarms = remaining
    }
}
