internal import Bowline
internal import BowlineCore

/// The client program's side of the ledger: when each call begins and ends, and its outcome.
final class LedgerCalls: Sendable {
    private struct State: Sendable {
        var calls: [LedgerCall] = []
        var ended = 0
        var shutdownAt: Int64?
    }

    private let state = Guarded(State())

    /// The calls, in the order in which they began.
    var all: [LedgerCall] { state.withLock { $0.calls } }
    /// The calls that have not ended.
    var open: [LedgerCall] { all.filter { $0.endedAt == nil } }
    /// The instant at which a shutdown during the run cancels the calls in flight; nil: no such shutdown has begun.
    var shutdownAt: Int64? { state.withLock { $0.shutdownAt } }

    /// The current time in nanoseconds, on the clock of all times of a ledger.
    static var now: Int64 { MonotonicClock().now.nanoseconds }

    /// Records a call that begins now.
    ///
    /// - Returns: the call's number, for the other functions.
    func begin(_ sent: LedgerSent, deadline: Int) -> Int {
        let now = Self.now
        var call = LedgerCall(sent: sent)
        call.startedAt = now
        call.deadlineAt = now + Int64(deadline) * 1_000_000
        let begun = call
        return state.withLock { state in
            state.calls.append(begun)
            return state.calls.count - 1
        }
    }

    /// Records that the program is about to cancel a call.
    func cancelling(_ number: Int) {
        let now = Self.now
        state.withLock { $0.calls[number].cancelledAt = now }
    }

    /// Records that a shutdown begins, which cancels the calls in flight after `limit` milliseconds.
    func shuttingDown(within limit: Int) {
        let instant = Self.now + Int64(limit) * 1_000_000
        state.withLock { $0.shutdownAt = instant }
    }

    /// Records the end of a call.
    ///
    /// - Returns: how many calls have ended.
    func end(_ number: Int, _ told: LedgerTold, requestsSent: Int?) -> Int {
        let now = Self.now
        return state.withLock { state in
            state.calls[number].told = told
            state.calls[number].requestsSent = requestsSent
            state.calls[number].endedAt = now
            state.ended += 1
            return state.ended
        }
    }
}
