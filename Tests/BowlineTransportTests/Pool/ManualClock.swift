import BowlineCore

@testable import BowlineTransport

/// A clock that stands still until a test moves it.
final class ManualClock: ServiceClock {
    private struct Sleeper {
        let id: Int
        let deadline: MonotonicInstant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = MonotonicInstant(nanoseconds: 0)
        var sleepers: [Sleeper] = []
        var sleepsStarted = 0
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

        mutating func takeDueWaiters() -> [CheckedContinuation<Void, Never>] {
            let due = waiters.filter { $0.count <= sleepsStarted }
            waiters.removeAll { $0.count <= sleepsStarted }
            return due.map(\.continuation)
        }
    }

    private let state = Guarded(State())

    var now: MonotonicInstant { state.withLock { $0.now } }
    var minimumResolution: Duration { .zero }

    /// The number of sleeps so far.
    var sleepsStarted: Int { state.withLock { $0.sleepsStarted } }
    var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        let id = state.withLock { state in
            state.sleepsStarted += 1
            return state.sleepsStarted
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (isOver, waiters) = state.withLock { state in
                    if deadline <= state.now { return (true, state.takeDueWaiters()) }
                    state.sleepers.append(Sleeper(id: id, deadline: deadline, continuation: continuation))
                    return (false, state.takeDueWaiters())
                }
                if isOver { continuation.resume() }
                for waiter in waiters { waiter.resume() }
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    /// Returns when the `count`th sleep since the clock was made has begun.
    func sleeps(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.sleepsStarted >= count { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            let due = state.sleepers.filter { $0.deadline <= state.now }
            state.sleepers.removeAll { $0.deadline <= state.now }
            return due
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    private func cancel(_ id: Int) {
        let sleeper = state.withLock { state in
            state.sleepers.firstIndex { $0.id == id }.map { state.sleepers.remove(at: $0) }
        }
        sleeper?.continuation.resume(throwing: CancellationError())
    }
}
