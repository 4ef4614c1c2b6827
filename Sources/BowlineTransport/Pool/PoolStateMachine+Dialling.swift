internal import BowlineCore

/// A call of `prewarm` that waits for its dials.
struct Prewarm {
    let waiter: WaiterID
    /// How many dials are still to be started for it.
    var missing: Int
    var underWay: Set<ConnectionID> = []
}

extension PoolStateMachine {
    /// Starts the dials that are due, at most one for each id in `names`. Counts the due dials again, because other
    /// events may have come since `PoolEffects.dialsDue` was counted.
    mutating func startDials(_ names: [ConnectionID], now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        for id in names {
            guard dialsDue(now) > 0 else { break }
            for _ in 0...max(0, -balance) where room == 0 {
                makeRoom(&effects)
            }
            // If a dial is for several waiters, the first one's affinity is used.
            let affinity = missingDials > 0 ? waiters.first?.affinity : nil
            if missingDials <= 0, let index = prewarms.firstIndex(where: { $0.missing > 0 }) {
                prewarms[index].missing -= 1
                prewarms[index].underWay.insert(id)
            }
            table.addDial(id, now: now)
            effects.dial(id, affinity: affinity)
        }
        finishEvent(now, &effects)
        return effects
    }

    /// Makes room at the limit for a waiter that requires a fresh connection.
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
            // `Duration` traps on a value that it cannot represent, so the lifetime is cut to a hundred years.
            let spread = min(lifetime, .seconds(3_155_760_000)) * (1 + configuration.lifetimeJitter * (2 * random - 1))
            // Instants are whole nanoseconds. A lifetime above zero must not be rounded to zero.
            return now.advanced(by: lifetime > .zero ? max(spread, .nanoseconds(1)) : spread)
        }
        offerFresh(position, now, &effects)
        dialEnded(connection.id, error: nil, &effects)
        // The other dials were started for one request each; this connection carries several.
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
        let (dial, wasLate) = (table[position].dialNumber, table[position].isLate)
        table.remove(position)
        lastDialFailure = DialFailure(error: error, at: now)
        refill.recordFailure(now: now, random: random)
        if cause == .resources, hasOtherSource {
            // Failures of dials that were under way together count once.
            if shortage.permits(now) { shortage.recordFailure(now: now, random: random) }
        } else if cause == .resources, waiters.startsWithFresh, let oldest = table.oldestIdle {
            // The descriptor that this frees may be enough for the next dial.
            close(oldest, .replaced, &effects)
        } else {
            if cause == .peer { shortage.reset() }
            rounds.recordFailure(dial: dial, started: table.dialsStarted)
            // The dial's time limit and a waiter's limit may be the same instant, and the timer for the waiters may be
            // a little late.
            waiters.markOverdue(now: now)
            failWaiters(error, dial: dial, wasLate: wasLate, &effects)
        }
        dialEnded(id, error: error, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// Decides which waiters fail because a dial has failed.
    ///
    /// The first waiter fails, with two exceptions: other dials are under way for all waiters, or the dial started
    /// before the waiter came. In the second case the pool dials again. Then the waiters after it fail too, in order,
    /// until one has not seen the maximum of failed rounds (`DialRounds`). Finally, the waiters whose limit has passed
    /// fail. Waiters that other dials cover do not fail here, unless the dial was late and they have waited for it: by
    /// then they have waited long enough, and the dials that cover them may become late one after another.
    private mutating func failWaiters(
        _ error: any Error, dial: Int, wasLate: Bool, _ effects: inout PoolEffects
    ) {
        let covered = coverage(of: table.timelyDialCount)
        if waiters.count > covered, let first = waiters.first, first.dialsBefore < dial {
            _ = waiters.popFirst()
            effects.resume(first.id, .failed(PoolError.dialFailed(error)))
        }
        while wasLate || waiters.count > covered, let next = waiters.first, rounds.suffice(next) {
            _ = waiters.popFirst()
            effects.resume(next.id, .failed(PoolError.dialFailed(error)))
        }
        // These waiters waited for this dial beyond their limit. They do not wait for the next dial.
        let overdue = waiters.removeOverdue(behind: covered)
        for waiter in overdue + (wasLate ? waiters.removeOverdue(behind: 0, withDialsBefore: dial) : []) {
            effects.resume(waiter.id, .failed(PoolError.dialFailed(error)))
        }
    }

    /// How many waiters, from the front of the queue, that many dials cover.
    func coverage(of dials: Int) -> Int {
        let (covered, isPlenty) = dials.multipliedReportingOverflow(by: expectation.coverage)
        return isPlenty ? .max : covered
    }

    /// Whether a waiter may get a connection without another dial.
    private var hasOtherSource: Bool {
        table.diallingCount > 0 || table.busyCount > 0
    }

    /// Whether waiters wait for connections in use because this machine had no descriptor or port for new ones.
    var isHoldingDials: Bool {
        shortage.isActive && hasOtherSource
    }

    /// Whether the dial is under way.
    func isDialling(_ id: ConnectionID) -> Bool {
        table.position(of: id).map { table[$0].phase == .dialling } ?? false
    }

    /// Dials in advance until `count` connections are idle or being dialled, within the limits.
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
        // A second caller also waits for the dials of the first.
        let dials = table.idleCount < goal ? table.positions(in: .dialling).filter { !table[$0].isLate } : []
        let joined = dials.map { table[$0].id }
        if missing == 0, joined.isEmpty {
            effects.resume(waiter, .prewarmed)
        } else {
            prewarms.append(Prewarm(waiter: waiter, missing: missing, underWay: Set(joined)))
        }
        finishEvent(now, &effects)
        return effects
    }

    /// How many dials the waiters need beyond those under way that are not late. Negative: more such dials are under
    /// way than they need.
    var missingDials: Int {
        expectation.dials(for: waiters.count) - table.timelyDialCount
    }

    /// A dial that takes this long has probably lost a packet: the first packet of a connection is sent again after 1 s
    /// (RFC 6298 §2).
    static var slowDial: Duration { .seconds(1) }

    /// Makes dials late, because waiters have left that counted on them: at most one dial for each of these waiters, and
    /// only if the limits leave room for another dial. With `boundsDials` false, ends the dials that have taken as long
    /// as such a waiter may wait.
    ///
    /// At most `maximumMultiplexed` dials are late at a time. Otherwise requests with a short limit would start dial
    /// after dial to a host that does not answer.
    ///
    /// A dial that is much younger than the wait says nothing about the peer, so it stays as it is.
    ///
    /// - Parameters:
    ///   - departed: The waiters, in order of arrival.
    ///   - shortest: How long a dial has been under way at least.
    mutating func giveUpDials(
        of departed: [Waiter], atLeast shortest: Duration = .zero, _ now: MonotonicInstant, _ effects: inout PoolEffects
    ) {
        var surplus = surplusDials(without: departed.count)
        if configuration.boundsDials {
            surplus = min(surplus, room, configuration.maximumMultiplexed - table.lateDialCount)
            if expectation == .unknown { surplus = min(surplus, roomForFirst) }
        }
        for waiter in departed where surplus > 0 {
            guard let oldest = table.oldestTimelyDial() else { break }
            let age = table.age(of: oldest, now: now)
            guard age >= shortest, age >= waiter.since.duration(to: now) / 2 else { continue }
            table.makeOldestDialLate()
            surplus -= 1
        }
        guard !configuration.boundsDials,
            let wait = departed.compactMap({ waiter in waiter.limit.map { waiter.since.duration(to: $0) } }).min()
        else { return }
        let error = PoolError.acquireTimeout(lastDialError: nil, waited: wait, waiting: waiters.count)
        // The dial began a little later than the waiter came.
        while let oldest = table.oldestLateDial(), table.age(of: oldest, now: now) >= wait - .milliseconds(50) {
            cancelDial(oldest, error, &effects)
        }
    }

    /// How many more dials may be under way while the kind of connection is not known: each may make a multiplexed one.
    private var roomForFirst: Int { configuration.maximumMultiplexed - table.diallingCount }

    /// How many of the dials that are not late the waiters can do without, after so many have left.
    ///
    /// If a dial covers several waiters, each of them may find that it takes too long. So if all waiters were covered,
    /// the others do not keep the dial.
    private func surplusDials(without departed: Int) -> Int {
        let timely = table.timelyDialCount
        let isShared = expectation.coverage > 1 && coverage(of: timely) >= waiters.count + departed
        return isShared ? timely : max(0, -missingDials)
    }

    /// The connections in use that may be retired to make room at the limit, because the first waiter requires a fresh
    /// connection. Other requests could still use these connections.
    ///
    /// Their number is bounded, so that all connections together stay within `maximumConnections` plus
    /// `maximumMultiplexed`. Empty if reuse is off: each connection then ends with its request anyway.
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

    /// Whether the pool has to dial for `minimumIdle`, now or after a pause.
    var owesRefill: Bool {
        keepsIdle && minimumSuspendedAt == nil && table.idleCount < configuration.minimumIdle
    }

    /// Records that a request got a connection without waiting. Idle connections are useful here, so dials for
    /// `minimumIdle` may resume.
    mutating func noteHit(_ now: MonotonicInstant) {
        guard let since = minimumSuspendedAt, since.advanced(by: Self.suspension) <= now else { return }
        minimumSuspendedAt = nil
    }

    /// The shortest time for which an eviction for the limit over all origins stops dials for `minimumIdle`.
    private static var suspension: Duration { .seconds(10) }

    /// How many dials to start now: for waiters that no dial under way covers, for `prewarm` and for `minimumIdle`.
    func dialsDue(_ now: MonotonicInstant) -> Int {
        let uncovered = max(0, missingDials)
        guard uncovered > 0 || !prewarms.isEmpty || configuration.minimumIdle > 0 else { return 0 }
        guard phase != .closed else { return 0 }

        // The waiters require fresh connections, so they cannot use the idle ones. A fresh connection may replace an
        // idle one.
        let balance = balance
        let space = max(0, balance)
        let replaceable = space == 0 && uncovered > 0 ? replaceable.count : 0
        var forWaiters =
            balance == .max ? uncovered : min(uncovered, max(0, balance + table.idleCount + replaceable))
        if shortage.isActive {
            // One dial finds out whether the resources are available again.
            forWaiters =
                isHoldingDials && !shortage.permits(now) ? 0 : max(0, min(forWaiters, 1 - table.timelyDialCount))
        }
        guard keepsIdle else { return forWaiters }

        let spare = table.idleCount + max(0, -missingDials)
        let forPrewarm = prewarms.reduce(0) { $0 + $1.missing }
        let isRefilling = minimumSuspendedAt == nil && refill.permits(now)
        let forMinimum = isRefilling ? max(0, configuration.minimumIdle - spare - forPrewarm) : 0
        let due = forWaiters + max(0, min(forPrewarm + forMinimum, space - forWaiters))
        // One dial finds out what kind of connection the others will be.
        if expectation == .unknown { return max(0, min(due, 1 - table.timelyDialCount, roomForFirst)) }
        return due
    }

    /// Cancels the dials that no waiter needs: the late ones if there is no waiter, and of the others the youngest
    /// first.
    mutating func cancelSurplusDials(_ effects: inout PoolEffects) {
        let error = phase == .closed ? PoolError.closed : .draining
        while waiters.isEmpty, let position = table.oldestLateDial() { cancelDial(position, error, &effects) }
        while missingDials < 0, let position = table.youngestDial() {
            cancelDial(position, error, &effects)
        }
    }

    /// - Parameter error: The error of the calls of `prewarm` that waited for the dial; nil: it is no failure for them.
    mutating func cancelDial(_ position: Int, _ error: PoolError?, _ effects: inout PoolEffects) {
        let id = table[position].id
        effects.cancelDial(id)
        table.remove(position)
        dialEnded(id, error: error, &effects)
    }

    /// Ends connections and dials while the pool exceeds its limit, the least useful first. Retires a connection only
    /// if another one takes requests. A retired connection finishes its exchanges and does not count any more.
    mutating func giveBackPlaces(_ effects: inout PoolEffects) {
        while isOverLimit {
            if let oldest = table.oldestIdle {
                close(oldest, .replaced, &effects)
            } else if missingDials < 0 || table.lateDialCount > 0, let position = dispensableDial {
                // This is no failure of `prewarm`: the pool has a surplus connection.
                cancelDial(position, nil, &effects)
            } else if table.availableCount > 1, table.unavailableCount < configuration.maximumMultiplexed,
                let dispensable = dispensable
            {
                retire(dispensable, .replaced, &effects)
            } else {
                return
            }
        }
    }

    /// The least useful dial: the oldest late one, or if there is none, the youngest.
    private var dispensableDial: Int? {
        mutating get {
            table.oldestLateDial() ?? table.youngestDial()
        }
    }

    /// The least useful multiplexed connection in use: one that allows no streams now, or if there is none, the oldest
    /// one.
    private var dispensable: Int? {
        let inUse = table.multiplexed.filter { table[$0].phase == .leased && table[$0].takesRequests }
        return inUse.first { table[$0].capacity == 0 } ?? inUse.first
    }

    /// Drops the dials for `prewarm` that have not been started, because the limit is reached. The dials under way go
    /// on.
    mutating func cutShortPrewarms(_ effects: inout PoolEffects) {
        for index in prewarms.indices {
            prewarms[index].missing = 0
        }
        for prewarm in prewarms where prewarm.underWay.isEmpty {
            effects.resume(prewarm.waiter, .prewarmed)
        }
        prewarms.removeAll { $0.underWay.isEmpty }
    }

    /// Updates the calls of `prewarm` that waited for this dial, and ends those that are complete or have failed.
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
