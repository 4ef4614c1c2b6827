internal import BowlineCore

/// What the gate does with an attempt that enters.
struct ConcurrencyEntry: Equatable, Sendable {
    enum Decision: Equatable, Sendable {
        /// The attempt is in flight. Call `left` when it has ended.
        case admitted
        /// The attempt waits. Unless `left` admits or expires it, or an entry displaces it, call `waitEnded` at `until`
        /// and refuse the attempt with this reason.
        case waits(until: MonotonicInstant, thenRefused: GateRefusal.Reason)
        /// The attempt does not go. `retryAfter`: when the queue is expected to be empty; nil: not known.
        case refused(GateRefusal.Reason, retryAfter: Duration?)
    }

    var decision: Decision
    /// An attempt with a lower priority that gives its place in the queue to this one. Refuse it with `shed`.
    var displaced: ConcurrencyStateMachine.Ticket?
}

/// The end of an attempt that was in flight.
enum ConcurrencySample: Sendable {
    /// The service did the work. `latency` is the time since the attempt was admitted.
    case success(latency: Duration)
    /// The service is overloaded: 429, 503, or a refused connection.
    case overload(latency: Duration)
    /// A timeout or the call's deadline ended the attempt. It is a sign of overload only if the attempt had more time
    /// than attempts usually need.
    case timedOut(latency: Duration)
    /// Says nothing about the service: cancelled, refused by another gate, or an error that is no sign of overload.
    case ignored
}

/// The waiting attempts that go or end after an attempt has left.
struct ConcurrencyRelease: Equatable, Sendable {
    /// Admitted, in this order. They are in flight now.
    var admitted: [ConcurrencyStateMachine.Ticket] = []
    /// Not admitted, because their wait ended before: refuse them as `waitEnded` would have.
    var expired: [ConcurrencyStateMachine.Ticket] = []
}

/// Decides which attempts to a scope are in flight, which wait, and which are refused.
struct ConcurrencyStateMachine: ~Copyable {
    /// The number of an attempt. The driver gives each attempt a new number.
    typealias Ticket = UInt64

    private(set) var inFlight = 0
    private var adaptive: AdaptiveLimit
    private var options: ConcurrencyOptions
    private var queue = AttemptQueue()

    init(_ options: ConcurrencyOptions) {
        self.options = options
        adaptive = AdaptiveLimit(initial: 20)
        if case .adaptive(let initial, _, _) = options.limit { adaptive = AdaptiveLimit(initial: Double(initial)) }
    }

    /// How many attempts may be in flight.
    var limit: Int {
        switch options.limit {
        case .fixed(let limit): max(1, limit)
        case .adaptive: max(1, Int(adaptive.value))
        }
    }

    /// How many attempts wait.
    var waiting: Int { queue.count }

    /// An attempt wants to go.
    mutating func enter(
        _ ticket: Ticket, priority: RequestPriority, at now: MonotonicInstant, deadline: MonotonicInstant?,
        _ options: ConcurrencyOptions
    ) -> ConcurrencyEntry {
        self.options = options
        if inFlight < limit, waiting == 0 {
            inFlight += 1
            return ConcurrencyEntry(decision: .admitted)
        }
        var until = now.advanced(by: options.maximumWait)
        var reason = GateRefusal.Reason.waitTooLong
        if let deadline, deadline < until { (until, reason) = (deadline, .deadline) }
        guard until > now else { return ConcurrencyEntry(decision: .refused(reason, retryAfter: nil)) }
        if priority == .sheddable, waiting >= (options.maximumWaiting + 1) / 2 {
            return ConcurrencyEntry(decision: .refused(.shed, retryAfter: nil))
        }
        var displaced: Ticket?
        if waiting >= options.maximumWaiting {
            guard options.maximumWaiting > 0, let last = queue.last, last.priority < priority else {
                return ConcurrencyEntry(decision: .refused(.queueFull, retryAfter: nil))
            }
            queue.remove(last.ticket)
            displaced = last.ticket
        }
        queue.append(AttemptQueue.Waiting(ticket: ticket, priority: priority, until: until))
        return ConcurrencyEntry(decision: .waits(until: until, thenRefused: reason), displaced: displaced)
    }

    /// An attempt that was in flight has ended.
    mutating func left(_ sample: ConcurrencySample, at now: MonotonicInstant) -> ConcurrencyRelease {
        if case .adaptive(_, let minimum, let maximum) = options.limit {
            adaptive.attemptEnded(
                sample, inFlight: inFlight, at: now, .init(minimum: Double(minimum), maximum: Double(maximum)))
        }
        inFlight -= 1
        var release = ConcurrencyRelease()
        while inFlight < limit, let first = queue.first {
            queue.remove(first.ticket)
            if first.until > now {
                inFlight += 1
                release.admitted.append(first.ticket)
            } else {
                release.expired.append(first.ticket)
            }
        }
        return release
    }

    /// The wait of an attempt has reached its limit, or the attempt was cancelled.
    ///
    /// - Returns: true: the attempt was waiting, and is no longer. false: `left` has admitted it (then call `left`) or
    ///   expired it, or an entry has displaced it.
    mutating func waitEnded(_ ticket: Ticket, at now: MonotonicInstant) -> Bool {
        queue.remove(ticket)
    }
}
