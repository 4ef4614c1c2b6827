internal import BowlineCore

/// What the pool's lock guards: the machine, and what the driver has to find again by its ids.
struct PoolState: ~Copyable {
    enum Continuation {
        case lease(CheckedContinuation<Lease, any Error>)
        case prewarm(CheckedContinuation<Void, any Error>)
    }

    var machine: PoolStateMachine
    var continuations: [WaiterID: Continuation] = [:]
    var timer: (id: Int, task: Task<Void, Never>)?
    /// Whether some thread is starting dials and will look again before it stops.
    private var isStartingDials = false

    init(configuration: PoolConfiguration) {
        machine = PoolStateMachine(configuration: configuration)
    }

    /// Lets one thread at a time start dials, so that a dial that fails at once, inside the call that starts it,
    /// leads back to a loop and not into a recursion as deep as the line of waiters.
    mutating func claimDialling() -> Bool {
        if isStartingDials { return false }
        isStartingDials = true
        return true
    }

    /// Returns how many dials are due still, and ends the claim if none is.
    mutating func dialsDueAfterStart(_ now: MonotonicInstant) -> Int {
        let due = machine.dialsDue(now)
        isStartingDials = due > 0
        return due
    }

    /// Takes out the continuations of those whose wait has ended.
    mutating func takeContinuations(for effects: PoolEffects) -> [PoolResumption] {
        guard !effects.resumptions.isEmpty else { return [] }
        return effects.resumptions.compactMap { resumption in
            continuations.removeValue(forKey: resumption.waiter).map {
                PoolResumption(continuation: $0, outcome: resumption.outcome)
            }
        }
    }
}

/// A continuation that is off the books and its outcome: to be resumed once, without the lock.
struct PoolResumption {
    let continuation: PoolState.Continuation
    let outcome: PoolEffects.Resumption.Outcome

    func resume() {
        switch (continuation, outcome) {
        case (.lease(let continuation), .granted(let grant)): continuation.resume(returning: grant)
        case (.lease(let continuation), .failed(let error)): continuation.resume(throwing: error)
        case (.prewarm(let continuation), .prewarmed): continuation.resume()
        case (.prewarm(let continuation), .failed(let error)): continuation.resume(throwing: error)
        case (.lease, .prewarmed), (.prewarm, .granted): preconditionFailure("a waiter got another kind's outcome")
        }
    }
}
