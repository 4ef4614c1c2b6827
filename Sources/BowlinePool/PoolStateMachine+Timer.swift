extension PoolStateMachine {
    /// The longest sleep asked of the clock: a timer that wakes early looks again, one set past the clock's range
    /// traps.
    private static var longestSleep: Duration { .seconds(3600) }

    /// The wake-up came: fails the waiters and closes the idle connections whose time is over.
    mutating func timerFired(_ id: Int, now: PoolInstant) -> PoolEffects {
        var effects = PoolEffects()
        guard wakeUp?.id == id else { return effects }
        wakeUp = nil

        let expired = waiters.removeExpired(now: now)
        for waiter in expired {
            let error = PoolError.acquireTimeout(
                lastDialError: lastDialFailure.flatMap { $0.at >= waiter.since ? $0.error : nil },
                waited: waiter.since.duration(to: now),
                waiting: waiters.count
            )
            effects.resume(waiter.id, .failed(error))
        }
        for position in table.idlePositions {
            guard let expiry = table[position].expiry, expiry <= now else { continue }
            close(position, table[position].expiryReason, &effects)
        }
        scheduleWakeUp(at: waiters.earliestDeadline, now, &effects)
        scheduleWakeUp(at: table.idlePositions.compactMap { table[$0].expiry }.min(), now, &effects)
        settle(now, &effects)
        return effects
    }

    /// Sees to it that the timer fires by then. It is never moved to a later time: it fires, finds nothing to do, and
    /// is set again, which costs one wake-up per timeout instead of one change per request.
    mutating func scheduleWakeUp(at instant: PoolInstant?, _ now: PoolInstant, _ effects: inout PoolEffects) {
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
