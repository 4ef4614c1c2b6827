internal import BowlineCore

extension PoolStateMachine {
    /// The longest sleep requested from the clock. A timer that wakes early checks again. A sleep beyond the clock's
    /// range would trap.
    private static var longestSleep: Duration { .seconds(3600) }

    /// Fails the waiters whose time has passed, and closes the connections that have expired. A late timer is ignored.
    mutating func timerFired(_ id: Int, now: MonotonicInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard wakeUp?.id == id else { return effects }
        wakeUp = nil

        let expired = waiters.removeExpired(now: now)
        for waiter in expired {
            effects.resume(waiter.id, .failed(PoolError.deadlineExceeded(lastDialError: dialError(for: waiter))))
        }
        giveUpDials(of: expired, now, &effects)
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

    /// The connections that can expire: the idle ones, and the multiplexed ones that have no lease and that no request
    /// can use now.
    private var unusedPositions: [Int] {
        table.idlePositions + table.withdrawn
    }

    /// Fails the waiters whose limit has passed, except those for which a dial is under way or due. If `boundsDials` is
    /// false, there is no exception.
    mutating func failOverdue(_ now: MonotonicInstant, _ effects: inout PoolEffects) {
        let covered = configuration.boundsDials ? coverage(of: table.timelyDialCount + dialsDue(now)) : 0
        let overdue = waiters.removeOverdue(behind: covered)
        for waiter in overdue {
            let error = PoolError.acquireTimeout(
                lastDialError: dialError(for: waiter),
                waited: waiter.since.duration(to: now),
                waiting: waiters.count
            )
            effects.resume(waiter.id, .failed(error))
        }
        giveUpDials(of: overdue, now, &effects)
    }

    /// The last dial failure during the waiter's wait.
    private func dialError(for waiter: Waiter) -> (any Error)? {
        lastDialFailure.flatMap { $0.at >= waiter.since ? $0.error : nil }
    }

    /// Makes sure that the timer fires at `instant` or earlier. The timer is never moved to a later time. If it fires
    /// too early, it finds nothing to do and is set again. That costs one wake-up per timeout instead of one change per
    /// request.
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
