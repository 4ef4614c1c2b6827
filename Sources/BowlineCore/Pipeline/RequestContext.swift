package import Synchronization

/// What is known about a request besides what it asks: its place in time, and the call it belongs to.
public struct RequestContext: Sendable {
    /// When the whole request has to be over; nil: no limit.
    public var deadline: Deadline?
    /// Which attempt this is, from 1; from 1 again after each redirect.
    public var attempt: Int
    /// The limits in force: the client's with the request's own over them.
    public var timeouts: Timeouts
    /// The call, as the lifecycle counts it.
    package let call: CallRecord
    /// Where earlier hops of the call were sent, if redirects were followed: what was trusted there need not be now.
    package var earlierOrigins: [Origin] = []
    /// The caller sent the request to another origin than the client's, so it has none of the client's own fields. Known only
    /// to clients that have such fields and middleware of the user's.
    package var beganElsewhere = false

    package init(deadline: Deadline?, attempt: Int = 1, timeouts: Timeouts, call: CallRecord) {
        self.deadline = deadline
        self.attempt = attempt
        self.timeouts = timeouts
        self.call = call
    }

    /// Makes a context, for testing a middleware or a transport by itself.
    ///
    /// - Parameters:
    ///   - deadline: When the whole request has to be over, on `clock`; nil: no limit.
    ///   - attempt: Which attempt it is, from 1.
    ///   - timeouts: The limits in force.
    ///   - clock: Tells the time; a test gives a `TestClock`.
    public init(
        deadline: Deadline? = nil, attempt: Int = 1, timeouts: Timeouts = Timeouts(),
        clock: any ServiceClock = MonotonicClock()
    ) {
        self.init(deadline: deadline, attempt: attempt, timeouts: timeouts, call: CallRecord(clock: clock))
    }

    /// The client's clock (`configuration.clock`): ``deadline`` and every wait are measured on it.
    public var clock: any ServiceClock { call.clock }
}

extension RequestContext {
    /// Counts on: the attempt after this one, or after the last of those that an outcome counts, if they are more.
    package mutating func beginAttempt(after attempts: Int = 0) {
        let made = max(attempt, attempts, 0)
        // Middleware may have set any number.
        attempt = made == .max ? made : made + 1
    }

    /// A redirect leads on from `origin`: the attempts of the next hop are counted from 1.
    package mutating func beginHop(from origin: Origin) {
        earlierOrigins.append(origin)
        attempt = 1
    }

    /// How many redirects of the call were followed before this.
    package var hop: Int { earlierOrigins.count }

    /// Suspends until `instant`, but not longer than the client takes new work: for middleware that waits before it goes
    /// on. What the request is doing meanwhile is called its backoff.
    ///
    /// - Parameter instant: When to go on, on ``clock``; one that has passed returns at once.
    /// - Returns: whether `instant` was reached; false: the client has begun to shut down, and nothing that would take more
    ///   time should be begun.
    /// - Throws: `CancellationError` at once when the task is cancelled.
    public func sleep(until instant: MonotonicInstant) async throws -> Bool {
        call.enter(.backoff, attempt: attempt)
        defer { call.enter(.pipeline, attempt: attempt) }
        return try await call.sleep(until: instant)
    }

    /// Suspends for `duration`, as ``sleep(until:)`` does.
    ///
    /// ```swift
    /// guard try await context.sleep(for: .seconds(2)) else { return response }
    /// ```
    /// - Parameter duration: How long, on ``clock``; zero or less returns at once.
    /// - Returns: whether the time is over; false: the client has begun to shut down.
    /// - Throws: `CancellationError` at once when the task is cancelled.
    public func sleep(for duration: Duration) async throws -> Bool {
        try await sleep(until: clock.now.advanced(by: duration))
    }
}

/// One call from admission to the end of its response body: what a shutdown reports about it.
package final class CallRecord: ResponseBodyObserver {
    /// Where the call is counted, and its place there. A response that somebody keeps keeps this, and with it no connection
    /// but its own.
    private let registry: (any CallRegistry)?
    package let slot = Atomic(-1)
    /// What events call it; 0 until the first of them.
    package let number = Atomic(0)
    /// When it was admitted.
    package let admitted: MonotonicInstant
    /// The client's clock.
    package let clock: any ServiceClock
    package let method: String
    /// The target's template, or its path.
    package let target: String
    /// Whether errors may say ``target``: it is a template, or the user wants paths there.
    package let isTargetNamed: Bool
    /// What the call was answered with, for the errors of the body. `ServiceResponse.comesOut(of:decoding:)` sets it.
    // Safety: written once, before the response is handed to whoever reads its body; read only by way of that body.
    @exclusivity(unchecked) nonisolated(unsafe) var answer: (status: Int, fields: ReceivedFields)?
    private let progress: Atomic<UInt32>
    /// What passed between the pipeline and the transport: `CallRecord+Transport.swift`.
    let sends = Atomic(0)
    let resends = Atomic(0)
    let returned = Atomic(0)
    let lastFailure = Atomic(0)
    let isWatched = Atomic(false)
    /// Bodies of which the transport has sent a part, and that may yet be sent again: `CallRecord+Transport.swift`.
    let heldBodies = Guarded<[RequestBody]>([])
    let holdsBodies = Atomic(false)

    package init(
        admitted: MonotonicInstant = MonotonicInstant(nanoseconds: 0), method: String = "", target: String = "",
        isTargetNamed: Bool = false, registry: (any CallRegistry)? = nil, clock: any ServiceClock = MonotonicClock()
    ) {
        self.registry = registry
        self.admitted = admitted
        self.clock = clock
        self.method = method
        self.target = target
        self.isTargetNamed = isTargetNamed
        progress = Atomic(UInt32(RequestPhase.pipeline.rawValue) | 1 << 8)
    }

    /// What ends a call that a shutdown's deadline, or the request's, finds outside the transport.
    package func failure(_ code: ServiceError.Code, _ message: String) -> ServiceError {
        var failure = ServiceError(code, message, progress: assumedProgress, attempts: attempt, phase: .pipeline)
        failure.requestsSent = requestsSent
        return failure
    }

    /// As ``failure(_:_:)``, for a shutdown's deadline.
    package var forciblyClosed: ServiceError {
        failure(.forciblyClosed, "cut off by a shutdown's deadline in phase \(phase), attempt \(attempt)")
    }

    /// Calls `strike` when a shutdown's deadline ends what is left, at once if it has; for whoever waits for something that
    /// may never come.
    ///
    /// - Returns: What ``keepOn(_:)`` wants; nil: there is nothing to take back.
    package func whenCutOff(_ strike: @escaping @Sendable () -> Void) -> Int? {
        registry?.whenClosing(self, strike)
    }

    /// What was waited for has come.
    package func keepOn(_ number: Int?) {
        if let number { registry?.forget(number) }
    }

    /// The call is over: its body was consumed, given up or failed, or there never was one.
    package func responseBodyEnded() {
        registry?.callEnded(self)
        if holdsBodies.load(ordering: .relaxed) { abandonHeldBodies() }
    }

    /// Whether the call is over, and was counted.
    var isOver: Bool { registry != nil && slot.load(ordering: .relaxed) < 0 }

    /// Whether its client has begun to shut down: nothing that could be left undone is begun.
    package var isDraining: Bool { registry?.isDraining ?? false }

    fileprivate func sleep(until instant: MonotonicInstant) async throws -> Bool {
        guard let registry else {
            try await clock.sleep(until: instant, tolerance: nil)
            return true
        }
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [clock] in
                try await clock.sleep(until: instant, tolerance: nil)
                return true
            }
            group.addTask {
                await registry.waitForDrain()
                return false
            }
            defer { group.cancelAll() }
            let isOver = try await group.next() ?? true
            // A cancelled wait for the drain ends like one that has begun.
            try Task.checkCancellation()
            return isOver
        }
    }

    /// What the call is doing now.
    package var phase: RequestPhase {
        RequestPhase(rawValue: UInt8(truncatingIfNeeded: progress.load(ordering: .relaxed))) ?? .pipeline
    }

    /// The attempt under way, from 1.
    package var attempt: Int {
        Int(progress.load(ordering: .relaxed) >> 8)
    }

    /// Notes what the call is doing.
    package func enter(_ phase: RequestPhase, attempt: Int) {
        progress.store(
            UInt32(phase.rawValue) | UInt32(truncatingIfNeeded: min(attempt, 0xFF_FFFF)) << 8, ordering: .relaxed
        )
    }
}

/// Who counts calls in flight.
package protocol CallRegistry: AnyObject, Sendable {
    /// Counts `call` no more; called again for the same call, does nothing.
    func callEnded(_ call: CallRecord)
    /// Whether the end has begun.
    var isDraining: Bool { get }
    /// Returns when the end has begun, or the task is cancelled.
    func waitForDrain() async
    /// Calls `strike` when the deadline of the end has passed and `call` is cut off; at once, and returns nil, if it has.
    func whenClosing(_ call: CallRecord, _ strike: @escaping @Sendable () -> Void) -> Int?
    /// Does not call what was registered under this number.
    func forget(_ number: Int)
}
