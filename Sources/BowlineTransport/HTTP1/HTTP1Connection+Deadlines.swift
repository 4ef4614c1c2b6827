internal import BowlineCore

extension HTTP1Connection {
    /// The exchange begins a phase that may take so long; nil: any time.
    ///
    /// - Parameter start: When it began; nil: now.
    func enter(_ phase: DeadlinePhase, within limit: Duration?, from start: MonotonicInstant? = nil) {
        self.phase = phase
        guard let limit else {
            phaseDeadline = .distantFuture
            return
        }
        let deadline = (start ?? sweep.now).advanced(by: limit)
        phaseDeadline = deadline
        sweep.deadlineMovedEarlier(deadline)
    }

    /// The body made progress.
    func extendBodyRead() {
        guard phase == .bodyRead, let limit = exchange?.timeouts.bodyIdle else { return }
        phaseDeadline = inbound.readAt.advanced(by: limit)
    }

    /// The request made progress while a response is being read: a peer that answers before it has all may wait for it.
    func extendBodyReadForUpload() {
        guard phase == .bodyRead, !machine.isRequestDone, let limit = exchange?.timeouts.bodyIdle else { return }
        noteUnsentBytes()
        phaseDeadline = sweep.now.advanced(by: limit)
    }

    func deadlinePassed(now: MonotonicInstant) {
        guard let exchange else { return }
        let deadline = exchange.deadline
        if deadline.instant(hasHead: hasHead) <= now {
            fail(deadline.code(hasHead: hasHead), deadline.message(hasHead: hasHead), reason: .timedOut)
            return
        }
        guard phaseDeadline <= now else { return }
        switch phase {
        case .none: phaseDeadline = .distantFuture
        case .awaitingContinue: openUpload(exchange)
        case .bodyWrite where hasWriteProgress():
            enter(.bodyWrite, within: exchange.timeouts.bodyIdle)
        case .bodyWrite:
            fail(.bodyIdleTimeout, "the peer took no byte of the request body for timeouts.bodyIdle", reason: .timedOut)
        case .head:
            fail(.responseHeadTimeout, TimeLimitMessage.responseHead, reason: .timedOut)
        case .bodyRead:
            // Time during which we did not read is not the peer's.
            if !isReadWanted {
                phaseDeadline = .distantFuture
            } else if !machine.isRequestDone, hasWriteProgress() {
                // The network takes a chunk so large that nothing else tells of it.
                enter(.bodyRead, within: exchange.timeouts.bodyIdle)
            } else {
                fail(.bodyIdleTimeout, TimeLimitMessage.responseBody, reason: .timedOut)
            }
        case .discarding: closeNow(.bodyAbandoned)
        }
    }
}
