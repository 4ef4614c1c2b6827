internal import BowlineCore

/// The actions that the driver must take after an event of ``ConnectStateMachine``. Each part is independent of the
/// others.
struct ConnectEffects {
    enum TimerChange: Equatable, Sendable {
        /// Set this timer. It replaces the earlier one, if there is one.
        case set(ConnectStateMachine.TimerID, at: MonotonicInstant)
        case cancel
    }

    enum Outcome: Sendable {
        case connected(ConnectStateMachine.Attempt)
        case failed(ConnectFailure)
    }

    /// The attempt to start. If it ends within the call that starts it, report its end after the other effects.
    var connect: ConnectStateMachine.Attempt?
    /// The attempts to close, the oldest first.
    var close: [ConnectStateMachine.Attempt] = []
    var timer: TimerChange?
    /// The end of the connect; nil: it continues, or it was over before the event, or it was cancelled.
    var outcome: Outcome?
}
