internal import BowlineCore

/// An attempt on its way through the gates: what it wants, and what it has got so far.
struct GateVisit: Sendable {
    let scope: PolicyScope
    let priority: RequestPriority
    let deadline: MonotonicInstant?
    /// The attempt waits for the rate gate at most until this instant.
    var rateWaitEnds = MonotonicInstant.distantFuture
    /// The attempt's number while it waits, in a queue or for its turn.
    var ticket: UInt64 = 0
    /// When the attempt entered the queue, and how long it waited for the limit of concurrency before that.
    var queued = MonotonicInstant.distantFuture
    var waited = Duration.zero
    /// The gate for which the attempt waits.
    var gate = ServiceGate.rate
    /// The reason of the refusal if the wait reaches its limit.
    var thenRefused = GateRefusal.Reason.waitTooLong
    /// The attempt's turn at the rate gate.
    var reservation: RateReservation?
    /// The attempt's token, if a store keeps the tokens.
    var token: SuppliedToken?
}

/// The next step of an attempt at the gates.
enum GateStep: Sendable {
    case admitted(GatePass)
    case refused(GateRefusal)
    /// The visit has ended: the call was cancelled, or a shutdown's deadline ended it.
    case abandoned
    /// The attempt waits for this instant, or for the signal. Continue with ``ScopeGates/woke(_:_:at:_:_:)``.
    case sleeps(GateTurn, until: MonotonicInstant)
    /// The attempt waits in a queue, at most until this instant. Continue with
    /// ``ScopeGates/turnEnded(_:_:at:_:_:)``.
    case queued(GateTurn, until: MonotonicInstant)
}

/// A signal for an attempt that waits: ended when ``ScopeGates`` has settled an attempt in a queue, or when the program
/// has opened the gate by hand. A lock guards what was decided.
typealias GateTurn = SharedWork<Void>

/// An admission by all gates. Give it back with the attempt's report.
struct GatePass: Sendable {
    /// The scope's gates. They are in use until the pass is given back, so that they are not forgotten.
    let gates: ScopeGates
    /// When the attempt was admitted.
    let admitted: MonotonicInstant
    /// Whether the attempt counts for the limit of concurrency.
    let hasSlot: Bool
    /// nil: there was no breaker.
    let breaker: BreakerPass?
}

/// The reason why a wait at a gate ended.
enum GateWaitEnd: Sendable {
    /// The time of a turn has come, or the attempt was settled, or the wait has reached its limit.
    case due
    /// The client began to shut down, and the attempt is a retry.
    case draining
    /// The calling task was cancelled, or a shutdown's deadline ended the call.
    case abandoned
}

/// The actions of the driver after a step, outside the lock. Most steps have none, so an empty value is one word.
struct GateEffects {
    final class Content {
        /// Signals to end, in order.
        var turns: [GateTurn] = []
        var transition: BreakerTransition?
        /// The new limit of concurrency, if it has changed.
        var limit: Int?
        var ask: TokenSupplyStateMachine.Ask?
        var timer: TokenSupplyStateMachine.Timer?
    }

    /// nil: there are no effects.
    private(set) var content: Content?

    /// Changes the effects.
    mutating func add(_ change: (Content) -> Void) {
        let content = content ?? Content()
        change(content)
        self.content = content
    }
}
