internal import BowlineCore

extension PoolStateMachine {
    /// The longest sleep asked of the clock: a timer that wakes early looks again, one set past the clock's range
    /// traps.
    private static var longestSleep: Duration { .seconds(3600) }

    /// The wake-up came: fails the waiters and closes the idle connections whose time is over.
    mutating func timerFired(_ id: Int, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard wakeUp?.id == id else { return effects }
        wakeUp = nil

        for waiter in waiters.removeExpired(now: now) {
            effects.resume(waiter.id, .failed(PoolError.deadlineExceeded(lastDialError: dialError(for: waiter))))
        }
        for position in unusedPositions {
            guard let expiry = table[position].expiry, expiry <= now else { continue }
            close(position, table[position].expiryReason, &effects)
        }
        failOverdue(now, &effects)
        scheduleWakeUp(at: waiters.nextAlarm(), now, &effects)
        scheduleWakeUp(at: unusedPositions.compactMap { table[$0].expiry }.min(), now, &effects)
        finishEvent(now, &effects)
        return effects
    }

    /// The connections that expire: the idle ones, and those that are of no use to a request now.
    private var unusedPositions: [Int] {
        table.idlePositions + table.withdrawn
    }

    /// Fails the requests whose limit has passed and which no dial covers, be it under way or due.
    mutating func failOverdue(_ now: MonotonicInstant, _ effects: inout PoolEffects) {
        let covered = configuration.boundsDials ? coverage(of: table.diallingCount + dialsDue(now)) : 0
        for waiter in waiters.removeOverdue(behind: covered) {
            let error = PoolError.acquireTimeout(
                lastDialError: dialError(for: waiter),
                waited: waiter.since.duration(to: now),
                waiting: waiters.count
            )
            effects.resume(waiter.id, .failed(error))
        }
    }

    /// The last failure of a dial during the request's wait.
    private func dialError(for waiter: Waiter) -> (any Error)? {
        lastDialFailure.flatMap { $0.at >= waiter.since ? $0.error : nil }
    }

    /// Sees to it that the timer fires by then. It is never moved to a later time: it fires, finds nothing to do, and
    /// is set again, which costs one wake-up per timeout instead of one change per request.
    mutating func scheduleWakeUp(at instant: MonotonicInstant?, _ now: MonotonicInstant, _ effects: inout PoolEffects) {
        guard let instant, phase != .closed else { return }
        if let wakeUp, wakeUp.at <= instant { return }
        let next = min(instant, now.advanced(by: Self.longestSleep))
        if let wakeUp, wakeUp.at <= next { return }
        lastWakeUpID += 1
        let scheduled = WakeUp(id: lastWakeUpID, at: next)
        wakeUp = scheduled
        effects.changeWakeUp(.schedule(scheduled))
    }
}
