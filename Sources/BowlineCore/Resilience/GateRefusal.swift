/// A gate of `configuration.resilience`.
public enum ServiceGate: String, Sendable, Hashable, CaseIterable {
    /// `resilience.rate`, and `Retry-After` shared by all calls.
    case rate
    /// `resilience.concurrency`.
    case concurrency
    /// `resilience.breaker`.
    case breaker
}

/// An attempt that a gate has refused. Nothing of it was sent.
public struct GateRefusal: Sendable, Hashable {
    /// The reason of a refusal.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        /// The breaker is open.
        case open
        /// The breaker was opened by hand (`isolate`).
        case isolated
        /// The breaker is half open, and all its probes are in flight.
        case probing
        /// The wait would be longer than the gate's `maximumWait`.
        case waitTooLong
        /// The wait would pass the call's deadline.
        case deadline
        /// Too many attempts wait already.
        case queueFull
        /// The attempt has the priority `.sheddable`, or a lower one than the attempts that wait, and the queue is
        /// filling up.
        case shed
        /// The service has asked for a longer pause than attempts wait for.
        case closedByService
        /// The client is shutting down.
        case draining
    }

    /// The gate that refused the attempt.
    public let gate: ServiceGate
    /// The scope of the gate.
    public let scope: PolicyScope
    /// Why the attempt was refused.
    public let reason: Reason
    /// After which time another attempt may be admitted, as far as the gate knows; nil: not known.
    public let retryAfter: Duration?

    package init(gate: ServiceGate, scope: PolicyScope, reason: Reason, retryAfter: Duration?) {
        self.gate = gate
        self.scope = scope
        self.reason = reason
        self.retryAfter = retryAfter
    }
}

/// The state of a circuit breaker.
public enum BreakerState: String, Sendable, Hashable, CaseIterable {
    /// Attempts go.
    case closed
    /// Attempts are refused.
    case open
    /// A few attempts go, to find out whether the service has recovered.
    case halfOpen
    /// Attempts are refused until `reset` is called.
    case isolated
}
