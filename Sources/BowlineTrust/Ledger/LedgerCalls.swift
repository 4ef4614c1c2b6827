internal import Bowline
internal import BowlineCore

/// The client program's side of the ledger: each call from its beginning to its end.
final class LedgerCalls: Sendable {
    private struct State: Sendable {
        var calls: [LedgerCall] = []
        var ended = 0
        var shutdownAt: Int64?
    }

    private let state = Guarded(State())

    /// The calls, in the order in which they began.
    var all: [LedgerCall] { state.withLock { $0.calls } }
    /// Those that have not ended.
    var open: [LedgerCall] { all.filter { $0.endedAt == nil } }
    /// When a shutdown in the middle cuts calls off.
    var shutdownAt: Int64? { state.withLock { $0.shutdownAt } }

    /// Nanoseconds on the clock of all times of a ledger.
    static var now: Int64 { MonotonicClock().now.nanoseconds }

    /// Notes a call that begins now.
    ///
    /// - Returns: its number, for the other functions.
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

    /// Notes that the program is about to cancel a call.
    func cancelling(_ number: Int) {
        let now = Self.now
        state.withLock { $0.calls[number].cancelledAt = now }
    }

    /// Notes that a shutdown begins, which cuts calls off after so many milliseconds.
    func shuttingDown(within limit: Int) {
        let instant = Self.now + Int64(limit) * 1_000_000
        state.withLock { $0.shutdownAt = instant }
    }

    /// Notes the end of a call.
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
