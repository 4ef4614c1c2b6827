/// The context of a request: its deadline, limits and attempt number, and the call it belongs to.
public struct RequestContext: Sendable {
    /// When the whole request must have ended; nil: no limit.
    public var deadline: Deadline?
    /// The number of this attempt, from 1. Begins at 1 again after each redirect.
    public var attempt: Int
    /// The limits in force: the client's limits, unless the request overrides them.
    public var timeouts: Timeouts
    /// The record of the call; of a hedge, its own record.
    package private(set) var call: CallRecord
    /// The origins of the call's earlier hops, if redirects were followed. The origin of this hop may be less trusted.
    package var earlierOrigins: [Origin] = []
    /// The record of the attempt; nil: the attempt has no user middleware.
    package var record: AttemptRecord?
    /// Whether the caller sent the request to an origin other than the client's. Then the request has none of the
    /// client's own fields. Set only if the client has such fields and user middleware.
    package var callerChoseOtherOrigin = false

    /// Where the attempt goes, if a balancer has chosen, and whether it is a hedge; nil: the transport chooses, and the
    /// attempt is no hedge. One reference, because few attempts have it.
    package var placement: AttemptPlacement?

    package init(deadline: Deadline?, attempt: Int = 1, timeouts: Timeouts, call: CallRecord) {
        self.deadline = deadline
        self.attempt = attempt
        self.timeouts = timeouts
        self.call = call
    }

    /// Makes a context, to test a middleware or a transport without a client.
    ///
    /// - Parameters:
    ///   - deadline: When the whole request must have ended, on `clock`; nil: no limit.
    ///   - attempt: The attempt's number, from 1.
    ///   - timeouts: The limits in force.
    ///   - clock: The clock of the context. A test passes a `TestClock`.
    public init(
        deadline: Deadline? = nil, attempt: Int = 1, timeouts: Timeouts = Timeouts(),
        clock: any ServiceClock = MonotonicClock()
    ) {
        self.init(deadline: deadline, attempt: attempt, timeouts: timeouts, call: CallRecord(clock: clock))
    }

    /// The client's clock (`configuration.clock`): ``deadline`` and every wait are measured on it.
    public var clock: any ServiceClock { call.clock }

    /// Whether this attempt is a hedge: it was sent although an attempt with the same number is still in flight. See
    /// `Docs/Resilience.md`.
    public var isHedge: Bool { call.hedge > 0 }
}

extension RequestContext {
    /// Begins the hop after a redirect from `origin`. Its attempts are counted from 1.
    package mutating func beginHop(from origin: Origin) {
        earlierOrigins.append(origin)
        attempt = 1
    }

    /// Returns the context of a hedge of this attempt. It has a record of its own, and the same attempt number.
    ///
    /// - Parameter number: The number of the hedge, from 1.
    package func hedge(_ number: Int) -> RequestContext {
        var context = self
        context.call = CallRecord(hedge: number, of: call)
        context.placement = AttemptPlacement(isHedge: true)
        return context
    }

    /// How many redirects of the call were followed before this hop.
    package var hop: Int { earlierOrigins.count }

    /// Suspends until `instant`, or until the client begins to shut down. Use it in middleware that waits before it
    /// goes on. During the wait the request's phase is `backoff`.
    ///
    /// - Parameter instant: The time at which the wait ends, on ``clock``. If this time has passed, the function
    ///   returns at once.
    /// - Returns: whether `instant` was reached; false: the client has begun to shut down. In this case begin nothing
    ///   that takes more time.
    /// - Throws: `CancellationError` at once when the task is cancelled.
    public func sleep(until instant: MonotonicInstant) async throws -> Bool {
        call.enter(.backoff, attempt: attempt)
        defer { call.enter(.pipeline, attempt: attempt) }
        return try await call.sleepUnlessDraining(until: instant)
    }

    /// Suspends for `duration`, as ``sleep(until:)`` does.
    ///
    /// ```swift
    /// guard try await context.sleep(for: .seconds(2)) else { return response }
    /// ```
    /// - Parameter duration: How long to suspend, on ``clock``. With zero or less, the function returns at once.
    /// - Returns: whether the time has passed; false: the client has begun to shut down.
    /// - Throws: `CancellationError` at once when the task is cancelled.
    public func sleep(for duration: Duration) async throws -> Bool {
        try await sleep(until: clock.now.advanced(by: duration))
    }
}
