internal import BowlineCore

/// The state that the pool's lock guards: the machine, the driver's continuations by the ids of their waiters, and the
/// driver's timer.
struct PoolState: ~Copyable {
    enum Continuation {
        case lease(CheckedContinuation<Lease, any Error>)
        case prewarm(CheckedContinuation<Void, any Error>)
    }

    var machine: PoolStateMachine
    var continuations: [WaiterID: Continuation] = [:]
    var timer: (id: Int, task: Task<Void, Never>)?
    /// Whether a thread is starting dials. That thread checks for more dials before it stops.
    private var isStartingDials = false

    init(configuration: PoolConfiguration) {
        machine = PoolStateMachine(configuration: configuration)
    }

    /// Lets one thread at a time start dials. Returns whether the calling thread may.
    ///
    /// A dial can fail inside the call that starts it, and the pool then dials again. With the claim, that next dial is
    /// another round of the thread's loop. Without the claim it would be a nested call, and the calls could nest as
    /// deep as the queue of waiters is long.
    mutating func claimDialling() -> Bool {
        if isStartingDials { return false }
        isStartingDials = true
        return true
    }

    /// Returns how many dials are still due, and ends the claim if none is.
    mutating func dialsDueAfterStart(_ now: MonotonicInstant) -> Int {
        let due = machine.dialsDue(now)
        isStartingDials = due > 0
        return due
    }

    /// Removes the continuations of the waiters that `effects` resumes, and returns them with their outcomes.
    mutating func takeContinuations(for effects: PoolEffects) -> [PoolResumption] {
        guard !effects.resumptions.isEmpty else { return [] }
        return effects.resumptions.compactMap { resumption in
            continuations.removeValue(forKey: resumption.waiter).map {
                PoolResumption(continuation: $0, outcome: resumption.outcome)
            }
        }
    }
}

/// A continuation that the pool has forgotten, and its outcome. Resumed once, without the lock.
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
