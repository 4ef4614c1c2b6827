internal import BowlineCore

/// The shutdown: it waits for the calls in flight, cuts off the remaining calls at the deadline, closes the
/// connections, and reports.
extension ClientLifecycle {
    /// Shuts the client down, or joins a shutdown that has begun. The earlier deadline applies. If the calling task is
    /// cancelled, the deadline is now.
    func shutdown(within limit: Duration) async -> ShutdownReport {
        let began = clock.now
        let task = beginOrJoin(deadline: began.advanced(by: limit), began: began)
        return await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            _ = beginOrJoin(deadline: clock.now, began: began)
        }
    }

    private func beginOrJoin(deadline: MonotonicInstant, began: MonotonicInstant) -> Task<ShutdownReport, Never> {
        let (task, drain, sleepers) = shared.withLock { shared in
            let decision = shared.machine.beginDrain(deadline: deadline)
            if let task = shared.shutdown {
                let drain = decision == .joinEarlier ? shared.takeDrainWaiter() : nil
                return (task, drain, [WaiterTable<Void>.Continuation]())
            }
            let task = Task.inheriting { await self.run(began: began) }
            shared.shutdown = task
            return (task, nil, shared.sleepers.removeAll())
        }
        drain?.resume()
        for sleeper in sleepers { sleeper.resume() }
        return task
    }

    private func run(began: MonotonicInstant) async -> ShutdownReport {
        publishProgress()
        let transport = shared.withLock { $0.transport }
        transport?.beginDrain()
        await waitUntilDrained()
        let forced = beginClosing()
        publishProgress()
        // The transport fails the calls that are in it, with their exact progress. Handlers end the calls outside the
        // transport.
        for handler in shared.withLock({ $0.forcedCloseHandlers.removeThoseOutsideTransport() }) { handler() }
        let connectionsClosed = await transport?.close() ?? 0
        for handler in shared.withLock({ $0.forcedCloseHandlers.removeAll() }) { handler() }
        let drained = shared.withLock { shared in
            shared.machine.closed()
            return shared.machine.drained
        }
        publishProgress()
        let report = ShutdownReport(
            drained: drained, forced: forced, connectionsClosed: connectionsClosed,
            duration: began.duration(to: clock.now)
        )
        reportLog.write(report)
        return report
    }

    /// Returns when no call is in flight, or at the deadline. The deadline may move earlier during the wait.
    private func waitUntilDrained() async {
        while case .wait(let deadline) = shared.withLock({ $0.machine.drain(now: clock.now) }) {
            await waitForChange(until: deadline)
        }
    }

    /// Returns when the last call has ended, when the deadline has moved, or at `deadline`.
    private func waitForChange(until deadline: MonotonicInstant) async {
        await withTaskGroup { group in
            group.addTask {
                try? await self.clock.sleep(until: deadline, tolerance: nil)
                self.shared.withLock { $0.takeDrainWaiter() }?.resume()
            }
            await withCheckedContinuation { continuation in
                // The change may have come before this wait began.
                let isWaiting = shared.withLock {
                    $0.storeDrainWaiter(continuation, until: deadline, now: clock.now)
                }
                if !isWaiting { continuation.resume() }
            }
            group.cancelAll()
        }
    }

    /// Ends the drain. Returns the calls that are cut off.
    private func beginClosing() -> [ShutdownReport.ForcedCall] {
        let cut = clock.now
        return shared.withLock { $0.machine.beginClosing() }.map { call in
            ShutdownReport.ForcedCall(
                method: call.method, target: call.target, phase: call.phase, attempt: call.attempt,
                age: call.admitted.duration(to: cut), isTargetNamed: call.isTargetNamed
            )
        }
    }
}
