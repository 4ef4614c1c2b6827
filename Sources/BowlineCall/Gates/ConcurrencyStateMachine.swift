internal import BowlineCore

/// Decides which attempts to a scope are in flight, which wait, and which are refused.
///
/// The limit is fixed, or follows the service: see ``AdaptiveLimit``. Attempts that cannot go at once wait, each
/// priority in its own FIFO queue. An attempt that ends admits the oldest attempt of the highest priority. A lower
/// priority is served only while no higher one waits: if the service never has room for it, it never goes.
///
/// Sheddable attempts are refused when half of `maximumWaiting` wait. When all of it waits, an attempt takes the place
/// of the newest attempt with the lowest priority, if its own priority is higher: this one would have been served last.
///
/// An attempt waits at most for `maximumWait`. It also stops waiting when its deadline leaves less time than attempts
/// usually take, because the service's work would be lost. An attempt that is very unlikely to be admitted in time, at
/// twice the rate at which attempts have ended since the queue was last empty, is refused at once.
///
/// Each attempt has a ticket. The states of a ticket:
///
/// | ticket | input | result | next |
/// |---|---|---|---|
/// | new | enterWithRoom | admitted | inFlight |
/// | new | enterAtLimit | waits | waiting |
/// | new | enterTooLate | refused | ended |
/// | new | enterFullQueue | refused | ended |
/// | waiting | otherLeft | admitted | inFlight |
/// | waiting | otherLeftTooLate | expired | ended |
/// | waiting | higherPriorityEntered | displaced | ended |
/// | waiting | waitEnded | true | ended |
/// | inFlight | left | nothing | ended |
/// | inFlight | waitEnded | false | inFlight |
/// | ended | waitEnded | false | ended |
///
/// What the gate does with an attempt, by the number of those that wait:
///
/// | gate | priority | result |
/// |---|---|---|
/// | free | critical, normal, sheddable | admitted |
/// | atLimit | critical, normal, sheddable | waits |
/// | waiting | critical, normal, sheddable | waits |
/// | halfFull | critical, normal | waits |
/// | halfFull | sheddable | shed |
/// | fullOfSheddable | critical, normal | displaces |
/// | fullOfSheddable | sheddable | shed |
/// | fullOfNormal | critical | displaces |
/// | fullOfNormal | normal | queueFull |
/// | fullOfNormal | sheddable | shed |
/// | fullOfCritical | critical, normal | queueFull |
/// | fullOfCritical | sheddable | shed |
///
/// The options come with each attempt, because derived clients share the gate. The latest ones set the limit. A raised
/// limit admits waiting attempts when the next attempt ends.
struct ConcurrencyStateMachine: ~Copyable {
    /// The number of an attempt. The driver gives each attempt a new number.
    typealias Ticket = UInt64

    /// How much faster than expected the queue may be served before an attempt is refused wrongly.
    private static let certainty = 2

    private(set) var inFlight = 0
    private var setting: ConcurrencyOptions.Limit
    /// Used from the first time on that an adaptive limit is asked for. Not optional: a call on an optional value copies
    /// it.
    private var adaptive = AdaptiveLimit(initial: 1)
    private var hasAdaptive = false
    private var queue = AttemptQueue()
    private var drain = QueueDrain()
    private var expected = ExpectedLatency()

    init(_ options: ConcurrencyOptions) {
        setting = options.limit
        use(options.limit)
    }

    /// How many attempts may be in flight; at least 1.
    var limit: Int {
        switch setting {
        case .fixed(let limit): return max(1, limit)
        case .adaptive(_, let minimum, let maximum):
            let bounds = Self.bounds(minimum, maximum)
            return Int(max(bounds.minimum, min(adaptive.value, bounds.maximum)))
        }
    }

    /// How many attempts wait.
    var waiting: Int { queue.count }

    /// An attempt wants to go.
    ///
    /// - Parameters:
    ///   - deadline: When the attempt must have ended; nil: no limit.
    ///   - waited: How long the attempt has waited here before.
    ///   - options: The options of this attempt.
    mutating func enter(
        _ ticket: Ticket, priority: RequestPriority, at now: MonotonicInstant, deadline: MonotonicInstant?,
        waited: Duration = .zero, _ options: ConcurrencyOptions
    ) -> ConcurrencyEntry {
        use(options.limit)
        if queue.isEmpty, inFlight < limit {
            inFlight += 1
            return ConcurrencyEntry(decision: .admitted)
        }
        let (until, reason) = endOfWait(at: now, deadline: deadline, options.maximumWait - waited)
        guard until > now, !isHopeless(priority, at: now, until: until) else { return refused(reason, at: now) }
        guard options.maximumWaiting > 0 else { return refused(.queueFull, at: now) }
        if priority == .sheddable, waiting >= options.maximumWaiting - waiting { return refused(.shed, at: now) }
        var entry = ConcurrencyEntry(decision: .waits(until: until, thenRefused: reason))
        if waiting >= options.maximumWaiting {
            guard let last = queue.last, last.priority < priority else { return refused(.queueFull, at: now) }
            queue.remove(last.ticket)
            entry.displaced = last.ticket
        }
        queue.append(AttemptQueue.Waiting(ticket: ticket, priority: priority, until: until))
        return entry
    }

    /// An attempt that was in flight has ended.
    mutating func left(_ sample: ConcurrencySample, at now: MonotonicInstant) -> ConcurrencyRelease {
        assert(inFlight > 0)
        learn(sample, at: now)
        inFlight = max(0, inFlight - 1)
        var release = ConcurrencyRelease()
        guard !queue.isEmpty else { return release }
        drain.attemptEnded(at: now)
        let limit = limit
        while inFlight < limit, let first = queue.first {
            queue.remove(first.ticket)
            if first.until > now {
                inFlight += 1
                release.admitted.append(first.ticket)
            } else {
                release.expired.append(first.ticket)
            }
        }
        if queue.isEmpty { drain.queueEmptied() }
        return release
    }

    /// The wait of an attempt has reached its limit, or the attempt was cancelled.
    ///
    /// - Returns: true: the attempt was waiting, and is no longer. false: `left` has admitted it (then call `left`) or
    ///   expired it, or an entry has displaced it.
    mutating func waitEnded(_ ticket: Ticket, at now: MonotonicInstant) -> Bool {
        guard queue.remove(ticket) else { return false }
        if queue.isEmpty { drain.queueEmptied() }
        return true
    }

    // MARK: Decisions

    private mutating func use(_ limit: ConcurrencyOptions.Limit) {
        setting = limit
        guard !hasAdaptive, case .adaptive(let initial, let minimum, let maximum) = limit else { return }
        let bounds = Self.bounds(minimum, maximum)
        adaptive = AdaptiveLimit(initial: max(bounds.minimum, min(Double(initial), bounds.maximum)))
        hasAdaptive = true
    }

    /// The bounds as the options' ranges allow them. Middleware may set any value, and the value is not checked again.
    private static func bounds(_ minimum: Int, _ maximum: Int) -> AdaptiveLimit.Bounds {
        let least = max(1, min(minimum, 1_000_000))
        return AdaptiveLimit.Bounds(
            minimum: Double(least), maximum: Double(max(least, min(maximum, 1_000_000))))
    }

    /// When the attempt stops waiting, and why it is refused then.
    private func endOfWait(
        at now: MonotonicInstant, deadline: MonotonicInstant?, _ maximumWait: Duration
    ) -> (MonotonicInstant, GateRefusal.Reason) {
        let until = now.advanced(by: maximumWait)
        guard let latest = deadline?.advanced(by: .zero - expected.most), latest < until else {
            return (until, .waitTooLong)
        }
        return (latest, .deadline)
    }

    /// Whether the attempt is very unlikely to be admitted in time.
    private func isHopeless(_ priority: RequestPriority, at now: MonotonicInstant, until: MonotonicInstant) -> Bool {
        guard let interval = drain.interval(at: now) else { return false }
        return interval * (queue.count(from: priority) + 1) > now.duration(to: until) * Self.certainty
    }

    private func refused(_ reason: GateRefusal.Reason, at now: MonotonicInstant) -> ConcurrencyEntry {
        let retryAfter = drain.interval(at: now).map { $0 * waiting }
        return ConcurrencyEntry(decision: .refused(reason, retryAfter: retryAfter))
    }

    private mutating func learn(_ sample: ConcurrencySample, at now: MonotonicInstant) {
        var sample = sample
        switch sample {
        case .success(let latency): expected.add(latency)
        case .timedOut(let latency):
            // A deadline that was too close says nothing about the service.
            if expected.isReached(by: latency) { expected.add(latency) } else { sample = .ignored }
        case .overload, .ignored: break
        }
        guard case .adaptive(_, let minimum, let maximum) = setting else { return }
        adaptive.attemptEnded(sample, inFlight: inFlight, at: now, Self.bounds(minimum, maximum))
    }
}

/// What the gate does with an attempt that enters.
struct ConcurrencyEntry: Equatable, Sendable {
    enum Decision: Equatable, Sendable {
        /// The attempt is in flight. Call `left` when it has ended.
        case admitted
        /// The attempt waits. Unless `left` admits or expires it, or an entry displaces it, call `waitEnded` at `until`
        /// and refuse the attempt with this reason.
        case waits(until: MonotonicInstant, thenRefused: GateRefusal.Reason)
        /// The attempt does not go. `retryAfter`: when those that wait now are expected to be served; nil: not known.
        case refused(GateRefusal.Reason, retryAfter: Duration?)
    }

    var decision: Decision
    /// An attempt with a lower priority whose place in the queue this one has taken. Refuse it with `shed`.
    var displaced: ConcurrencyStateMachine.Ticket?
}

/// The end of an attempt that was in flight. `latency` is the time since the attempt was admitted.
enum ConcurrencySample: Sendable {
    /// The service did the work.
    case success(latency: Duration)
    /// The service is overloaded: 429, 503, or a refused connection.
    case overload(latency: Duration)
    /// A timeout or the call's deadline ended the attempt. It is a sign of overload if the attempt had at least the
    /// time that attempts take on average.
    case timedOut(latency: Duration)
    /// Says nothing about the service: cancelled, refused by another gate, or an error that is no sign of overload.
    case ignored
}

/// The waiting attempts that go or end because an attempt has left.
struct ConcurrencyRelease: Equatable, Sendable {
    /// Admitted, in this order. They are in flight now.
    var admitted: [ConcurrencyStateMachine.Ticket] = []
    /// Not admitted, because their wait ended before. Refuse them with the reason that their entry gave.
    var expired: [ConcurrencyStateMachine.Ticket] = []
}
