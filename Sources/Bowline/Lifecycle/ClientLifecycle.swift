internal import BowlineCore
internal import Logging

/// Counts calls in flight, refuses new ones once the end has begun, and runs the drain.
///
/// One lock, held for a transition of `LifecycleStateMachine` only.
final class ClientLifecycle: CallRegistry {
    fileprivate struct Shared: ~Copyable {
        var machine = LifecycleStateMachine()
        /// Nil when the client has been released: calls that go on keep the lifecycle, and must not keep the connections.
        var transport: (any ServiceTransport)?

        init(transport: any ServiceTransport) {
            self.transport = transport
        }

        var shutdown: Task<ShutdownReport, Never>?
        var isReportWritten = false
        /// Wakes the drain: the last call has ended, or the deadline has moved.
        var wake: CheckedContinuation<Void, Never>?
        var watchers: [Int: AsyncStream<ShutdownProgress>.Continuation] = [:]
        var watchersMade = 0
        /// Calls that sleep, and want to be woken when the end begins.
        var sleepers: [Int: CheckedContinuation<Void, Never>] = [:]
        var sleepersMade = 0
        /// Calls that wait outside the transport, and want to be told when they are cut off.
        var closingHandlers: [Int: (call: CallRecord, handler: @Sendable () -> Void)] = [:]
        var closingHandlersMade = 0
    }

    private let shared: Guarded<Shared>
    private let clock: any ServiceClock
    private let logger: Logger?

    /// - Parameter logger: Where the line about the end goes; nil: to the logger of the task that asks for it.
    init(transport: any ServiceTransport, clock: any ServiceClock, logger: Logger? = nil) {
        shared = Guarded(Shared(transport: transport))
        self.clock = clock
        self.logger = logger
    }

    /// The last copy of the client has gone, without a shutdown.
    func clientReleased() {
        // Outside the lock: it may be the transport's end.
        _ = shared.withLock { $0.transport.take() }
    }

    var state: ShutdownProgress.State { shared.withLock { $0.progress.state } }

    // MARK: Calls

    /// Admits a call, or refuses it.
    ///
    /// - Throws: ``ServiceError`` `shuttingDown`.
    func admit(
        method: String, target: String, isTargetNamed: Bool, now: MonotonicInstant
    ) throws -> CallRecord {
        let call = CallRecord(
            admitted: now, method: method, target: target, isTargetNamed: isTargetNamed, registry: self,
            clock: clock)
        guard shared.withLock({ $0.machine.admit(call) }) else {
            throw ServiceError(.shuttingDown, "the client is shutting down or shut down and takes no more requests")
        }
        return call
    }

    func callEnded(_ call: CallRecord) {
        let (wake, watchers, progress) = shared.withLock { shared in
            guard case .duringDrain(let remaining) = shared.machine.ended(call) else {
                return (
                    CheckedContinuation<Void, Never>?.none, [AsyncStream<ShutdownProgress>.Continuation](),
                    shared.progress
                )
            }
            return (remaining == 0 ? shared.takeWake() : nil, Array(shared.watchers.values), shared.progress)
        }
        for watcher in watchers { watcher.yield(progress) }
        wake?.resume()
    }

    var isDraining: Bool { state != .running }

    func waitForDrain() async {
        let id = shared.withLock { shared in
            shared.sleepersMade += 1
            return shared.sleepersMade
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = shared.withLock { shared -> Bool in
                    // Cancelled before this: the handler has run, and found nobody to wake.
                    guard shared.progress.state == .running, !Task.isCancelled else { return true }
                    shared.sleepers[id] = continuation
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            shared.withLock { $0.sleepers.removeValue(forKey: id) }?.resume()
        }
    }

    func onClosing(_ call: CallRecord, _ handler: @escaping @Sendable () -> Void) -> Int? {
        let number = shared.withLock { shared -> Int? in
            switch shared.machine.state {
            case .closing, .closed: return nil
            case .running, .draining: break
            }
            shared.closingHandlersMade += 1
            shared.closingHandlers[shared.closingHandlersMade] = (call, handler)
            return shared.closingHandlersMade
        }
        if number == nil { handler() }
        return number
    }

    func removeClosingHandler(_ number: Int) {
        shared.withLock { _ = $0.closingHandlers.removeValue(forKey: number) }
    }

    // MARK: The end

    /// Ends the client, or joins the end that is under way; the earlier deadline wins. If the calling task is
    /// cancelled, the deadline is now.
    func shutdown(within limit: Duration) async -> ShutdownReport {
        let began = clock.now
        let task = begin(deadline: began.advanced(by: limit), began: began)
        return await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            _ = begin(deadline: clock.now, began: began)
        }
    }

    private func begin(deadline: MonotonicInstant, began: MonotonicInstant) -> Task<ShutdownReport, Never> {
        let (task, wake, sleepers) = shared.withLock {
            shared -> (
                Task<ShutdownReport, Never>, CheckedContinuation<Void, Never>?, [CheckedContinuation<Void, Never>]
            ) in
            let decision = shared.machine.beginDrain(deadline: deadline)
            if let task = shared.shutdown {
                return (task, decision == .joinEarlier ? shared.takeWake() : nil, [])
            }
            let task = Task { await self.run(began: began) }
            shared.shutdown = task
            return (task, nil, shared.takeSleepers())
        }
        wake?.resume()
        for sleeper in sleepers { sleeper.resume() }
        return task
    }

    private func run(began: MonotonicInstant) async -> ShutdownReport {
        publish()
        let transport = shared.withLock { $0.transport }
        transport?.beginDrain()
        while case .wait(let deadline) = shared.withLock({ $0.machine.drain(now: clock.now) }) {
            await waitForWake(until: deadline)
        }
        let cut = clock.now
        let forced = shared.withLock { $0.machine.beginClosing() }.map { call in
            ShutdownReport.ForcedCall(
                method: call.method, target: call.target, phase: call.phase, attempt: call.attempt,
                age: call.admitted.duration(to: cut), isTargetNamed: call.isTargetNamed
            )
        }
        publish()
        // Those that the transport has end with what it knows of them; the others have nobody else to end them.
        for handler in shared.withLock({ $0.takeClosingHandlers { !$0.isInTransport } }) { handler() }
        let connectionsClosed = await transport?.close() ?? 0
        for handler in shared.withLock({ $0.takeClosingHandlers { _ in true } }) { handler() }
        let drained = shared.withLock { shared in
            shared.machine.closed()
            return shared.machine.drained
        }
        publish()
        let report = ShutdownReport(
            drained: drained, forced: forced, connectionsClosed: connectionsClosed,
            duration: began.duration(to: clock.now)
        )
        let isWritten = report.write(to: ClientLog.wanted(logger))
        shared.withLock { $0.isReportWritten = isWritten }
        return report
    }

    /// Says what became of the end if that was in no log yet: for whoever has no use for the report.
    func writeUnlessWritten(_ report: ShutdownReport) {
        let isWritten = shared.withLock { shared in
            defer { shared.isReportWritten = true }
            return shared.isReportWritten
        }
        if !isWritten { report.write(to: ClientLog.wanted(logger) ?? ClientLog.logger) }
    }

    /// Returns when the drain has something to decide: woken, or at `deadline`.
    private func waitForWake(until deadline: MonotonicInstant) async {
        await withTaskGroup { group in
            group.addTask {
                try? await self.clock.sleep(until: deadline, tolerance: nil)
                self.shared.withLock { $0.takeWake() }?.resume()
            }
            await withCheckedContinuation { continuation in
                let isDue = shared.withLock { shared -> Bool in
                    // What is to be decided may have come about before this wait began.
                    guard case .wait(deadline) = shared.machine.drain(now: clock.now) else { return true }
                    shared.wake = continuation
                    return false
                }
                if isDue { continuation.resume() }
            }
            group.cancelAll()
        }
    }

    // MARK: Watching

    /// The client's state as it changes, the current one first; ends when the client is closed.
    func progress() -> AsyncStream<ShutdownProgress> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { continuation in
            let (id, progress) = shared.withLock { shared in
                shared.watchersMade += 1
                shared.watchers[shared.watchersMade] = continuation
                return (shared.watchersMade, shared.progress)
            }
            continuation.onTermination = { [weak self] _ in
                self?.shared.withLock { _ = $0.watchers.removeValue(forKey: id) }
            }
            continuation.yield(progress)
            if progress.state == .closed { continuation.finish() }
        }
    }

    private func publish() {
        let (watchers, progress) = shared.withLock { (Array($0.watchers.values), $0.progress) }
        for watcher in watchers {
            watcher.yield(progress)
            if progress.state == .closed { watcher.finish() }
        }
    }
}

extension ClientLifecycle.Shared {
    var progress: ShutdownProgress {
        let state: ShutdownProgress.State =
            switch machine.state {
            case .running: .running
            case .draining: .draining
            case .closing: .closing
            case .closed: .closed
            }
        return ShutdownProgress(state: state, inFlight: machine.inFlight)
    }

    mutating func takeSleepers() -> [CheckedContinuation<Void, Never>] {
        defer { sleepers = [:] }
        return Array(sleepers.values)
    }

    mutating func takeClosingHandlers(_ isChosen: (CallRecord) -> Bool) -> [@Sendable () -> Void] {
        let chosen = closingHandlers.filter { isChosen($0.value.call) }
        for number in chosen.keys { closingHandlers[number] = nil }
        return chosen.values.map(\.handler)
    }

    mutating func takeWake() -> CheckedContinuation<Void, Never>? {
        let wake = self.wake
        self.wake = nil
        return wake
    }
}
