internal import BowlineCore
internal import Logging

/// Counts the calls in flight, refuses new calls after a shutdown has begun, and runs the shutdown.
///
/// This file contains the part for calls: admission, the count, and the handlers and waits of calls. The shutdown
/// itself is in `ClientLifecycle+Drain.swift`, the streams of its progress are in `ClientLifecycle+Progress.swift`.
///
/// One lock guards the state. It is held only for a transition.
final class ClientLifecycle: CallRegistry {
    let shared: Guarded<LifecycleState>
    let clock: any ServiceClock
    let reportLog: ShutdownReportLog

    /// - Parameter logger: The logger for the line about the shutdown; nil: the logger of the task that shuts down.
    init(transport: any ServiceTransport, clock: any ServiceClock, logger: Logger? = nil) {
        shared = Guarded(LifecycleState(transport: transport))
        self.clock = clock
        reportLog = ShutdownReportLog(logger: logger)
    }

    /// Releases the transport: the last copy of the client was released without a shutdown.
    func clientReleased() {
        // Outside the lock: this may be the last reference to the transport.
        _ = shared.withLock { $0.transport.take() }
    }

    /// Counts a call and admits it, or refuses it.
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
        let drain = shared.withLock { shared -> CheckedContinuation<Void, Never>? in
            guard case .duringDrain(let remaining) = shared.machine.ended(call) else { return nil }
            shared.subscribers.publish(shared.progress)
            return remaining == 0 ? shared.takeDrainWaiter() : nil
        }
        sendProgress()
        // The last call has ended: `waitForChange(until:)` returns.
        drain?.resume()
    }

    var state: ShutdownProgress.State { shared.withLock { $0.progress.state } }

    var isDraining: Bool { state != .running }

    func waitForDrainToBegin() async {
        let number = shared.withLock { $0.sleepers.makeNumber() }
        _ = try? await withCancellableContinuation { continuation in
            shared.withLock { shared in
                guard shared.progress.state == .running else { return .success(()) }
                return shared.sleepers.store(continuation, as: number)
            }
        } onCancel: {
            shared.withLock { $0.sleepers.remove(number) }?.resume(throwing: CancellationError())
        }
    }

    func onForcedClose(_ call: CallRecord, _ handler: @escaping @Sendable () -> Void) -> Int? {
        let number = shared.withLock { shared -> Int? in
            switch shared.machine.state {
            case .closing, .closed: nil
            case .running, .draining: shared.forcedCloseHandlers.add(handler, of: call)
            }
        }
        if number == nil { handler() }
        return number
    }

    func removeForcedCloseHandler(_ number: Int) {
        shared.withLock { $0.forcedCloseHandlers.remove(number) }
    }
}
