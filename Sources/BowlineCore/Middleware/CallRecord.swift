package import Synchronization

/// The record of one call, from its admission to the end of its response body. A shutdown's report uses it.
///
/// While a hedge is in flight, a call has several attempts in flight. Each hedge then has a record of its own, with its
/// phase, so that an error names the phase of its own attempt. The first attempt uses the record of the call. A hedge's
/// record counts requests and holds bodies in the record of the call.
package final class CallRecord: ResponseBodyObserver {
    /// The number of the hedge, from 1, if this is the record of a hedge; 0: this is the record of a call.
    package let hedge: Int
    /// The record of the call, if this is the record of a hedge; nil: this is the record of a call.
    private let whole: CallRecord?
    /// The registry that counts the call, and the call's slot in it. A response that the caller keeps also keeps the
    /// registry alive, but no connection except its own.
    private let registry: (any CallRegistry)?
    package let slot = Atomic(-1)
    /// The call's number in telemetry events; 0: there was no event yet.
    package let number = Atomic(0)
    /// When the call was admitted.
    package let admitted: MonotonicInstant
    /// The client's clock.
    package let clock: any ServiceClock
    package let method: String
    /// The target's template, or else the path.
    package let target: String
    /// Whether errors may contain ``target``: it is a template, or the user wants paths in errors.
    package let isTargetNamed: Bool
    /// The call's response, for the errors of the body. `ServiceResponse.attach(to:decoding:)` sets it.
    // Safety: written once, before the reader of the body gets the response; read only through that body.
    @exclusivity(unchecked) nonisolated(unsafe) var answer: (status: Int, fields: ReceivedFields)?
    private let progress: Atomic<UInt32>
    /// The numbers of requests to the transport and of its responses and failures. A hedge's record has only the first.
    private let sends = Atomic(0)
    private let resends = Atomic(0)
    private let returned = Atomic(0)
    private let countsReturns = Atomic(false)
    private let held = Guarded(Held())
    private let holdsBodies = Atomic(false)

    private struct Held {
        /// Bodies that the transport has sent in part and may send again.
        var bodies: [RequestBody] = []
        /// The records of the hedges in flight.
        var hedges: [CallRecord] = []
        /// The endpoints that the call and its hedges have used.
        var visited = VisitedEndpoints()
    }

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
        hedge = 0
        whole = nil
        progress = Atomic(UInt32(RequestPhase.pipeline.rawValue) | 1 << 8)
    }

    /// Makes the record of a hedge in a call, and adds it to the hedges in flight of the call.
    ///
    /// - Parameter number: The number of the hedge, from 1.
    package init(hedge number: Int, of call: CallRecord) {
        registry = call.registry
        admitted = call.admitted
        clock = call.clock
        method = call.method
        target = call.target
        isTargetNamed = call.isTargetNamed
        hedge = number
        whole = call
        progress = Atomic(UInt32(RequestPhase.pipeline.rawValue) | UInt32(truncatingIfNeeded: call.attempt) << 8)
        call.held.withLock { $0.hedges.append(self) }
    }

    /// The record of the call: this record, unless it is a hedge's.
    package var wholeCall: CallRecord { whole ?? self }

    /// Makes the error of a call that ends at its own deadline or at a shutdown's deadline, while the call is outside
    /// the transport.
    package func failure(_ code: ServiceError.Code, _ message: String) -> ServiceError {
        var failure = ServiceError(code, message, progress: assumedProgress, attempts: attempt, phase: .pipeline)
        failure.requestsSent = requestsSent
        return failure
    }

    /// As ``failure(_:_:)``, for a shutdown's deadline.
    package var forciblyClosed: ServiceError {
        failure(.forciblyClosed, "cut off by a shutdown's deadline in phase \(furthestPhase), attempt \(attempt)")
    }

    /// Calls `handler` when a shutdown's deadline ends the call, or at once if this deadline has passed. For code that
    /// waits for an event that may never come.
    ///
    /// - Returns: the handler's number for ``removeForcedCloseHandler(_:)``; nil: there is nothing to remove.
    package func onForcedClose(_ handler: @escaping @Sendable () -> Void) -> Int? {
        registry?.onForcedClose(self, handler)
    }

    /// Removes a handler. Called when the awaited event has come.
    package func removeForcedCloseHandler(_ number: Int?) {
        if let number { registry?.removeForcedCloseHandler(number) }
    }

    /// The end of the response body is the end of the call.
    package func responseBodyEnded() {
        end()
    }

    /// Ends the call: it is no longer in flight, and the bodies that it holds are abandoned.
    package func end() {
        if let whole { return whole.end() }
        registry?.callEnded(self)
        if holdsBodies.load(ordering: .relaxed) { abandonHeldBodies() }
    }

    /// Whether the call is over. Always false if no registry counts the call.
    var isOver: Bool { registry != nil && slot.load(ordering: .relaxed) < 0 }

    /// Whether the client has begun to shut down. Then no optional work, such as a retry, is begun.
    package var isDraining: Bool { registry?.isDraining ?? false }

    /// Returns when the client begins to shut down, or when the task is cancelled. Returns at once if no registry counts
    /// the call.
    package func waitForDrainToBegin() async { await registry?.waitForDrainToBegin() }

    /// Sleeps until `instant`. Returns false as soon as the client begins to shut down.
    func sleepUnlessDraining(until instant: MonotonicInstant) async throws -> Bool {
        try await unlessDraining { [clock] in try await clock.sleep(until: instant, tolerance: nil) } != nil
    }

    /// Waits as `wait` does. Returns nil as soon as the client begins to shut down; `wait` is then cancelled.
    package func unlessDraining<Value: Sendable>(
        _ wait: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        guard let registry else { return try await wait() }
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await wait() }
            group.addTask {
                await registry.waitForDrainToBegin()
                return nil
            }
            defer { group.cancelAll() }
            let value = try await group.next() ?? nil
            // `waitForDrainToBegin` also returns when it is cancelled.
            try Task.checkCancellation()
            return value
        }
    }

    /// The call's phase now. While hedges are in flight, the phase of the first attempt. In a hedge's record, the phase
    /// of the hedge.
    package var phase: RequestPhase {
        RequestPhase(rawValue: UInt8(truncatingIfNeeded: progress.load(ordering: .relaxed))) ?? .pipeline
    }

    /// The call's phase now. While hedges are in flight, the furthest phase of all its attempts.
    package var furthestPhase: RequestPhase {
        held.withLock { held in
            held.hedges.reduce(phase) { $1.phase.isFurther(than: $0) ? $1.phase : $0 }
        }
    }

    /// The number of the current attempt, from 1.
    package var attempt: Int {
        Int(progress.load(ordering: .relaxed) >> 8)
    }

    /// Sets the call's phase and attempt.
    package func enter(_ phase: RequestPhase, attempt: Int) {
        progress.store(
            UInt32(phase.rawValue) | UInt32(truncatingIfNeeded: min(attempt, 0xFF_FFFF)) << 8, ordering: .relaxed
        )
    }

    /// Records that an attempt has ended while others are in flight: it has left the transport.
    ///
    /// - Parameter hedge: The number of the hedge; 0: the first attempt.
    package func attemptEnded(hedge: Int) {
        guard hedge > 0 else { return enter(.pipeline, attempt: attempt) }
        held.withLock { held in held.hedges.first { $0.hedge == hedge } }?.enter(.pipeline, attempt: attempt)
    }

    /// Ends the hedges in flight: one attempt's outcome counts, and all others have ended. The phase of that attempt is
    /// the call's phase from now on.
    ///
    /// - Parameters:
    ///   - hedge: The number of the hedge whose outcome counts; 0: the first attempt.
    ///   - phase: The phase to show; nil: the phase of that attempt.
    package func hedgesEnded(winner hedge: Int, phase: RequestPhase?) {
        let winner = held.withLock { held in
            let winner = held.hedges.first { $0.hedge == hedge }
            held.hedges = []
            return winner
        }
        enter(phase ?? (winner ?? self).phase, attempt: attempt)
    }

    // These functions are not one generic function, because another module would call it unspecialised.

    /// The numbers of the endpoints that this hop of the call, with its hedges, has used.
    package func visitedEndpoints(inHop hop: Int) -> [UInt64] {
        wholeCall.held.withLock { $0.visited.numbers(inHop: hop) }
    }

    /// Adds an endpoint that an attempt of this hop is given to.
    package func addVisitedEndpoint(_ number: UInt64, inHop hop: Int) {
        wholeCall.held.withLock { $0.visited.add(number, inHop: hop) }
    }

    /// Records that a redirect leads to an endpoint.
    package func redirected(to url: ServiceURL) {
        wholeCall.held.withLock { $0.visited.redirected(to: url) }
    }

    /// Returns the URL of the redirect that this hop follows, once; nil: it does not lead to an endpoint.
    package func takeRedirect() -> ServiceURL? {
        wholeCall.held.withLock { $0.visited.takeRedirect() }
    }

    // MARK: Requests in the transport

    /// How many requests were sent for the call: each attempt of each hop that was given to a transport, and each
    /// resend by the transport.
    package var requestsSent: Int {
        if let whole { return whole.requestsSent }
        return sends.load(ordering: .relaxed) + resends.load(ordering: .relaxed)
    }

    /// Counts a resend by the transport.
    package func sentAgain() {
        if let whole { return whole.sentAgain() }
        resends.add(1, ordering: .relaxed)
    }

    /// Counts a request that is given to a transport: from now on the service may see it.
    package func transportBegan() {
        sends.add(1, ordering: .relaxed)
        whole?.transportBegan()
    }

    /// Whether a request was given to a transport. In a hedge's record, a request of the hedge.
    package var hasSent: Bool { sends.load(ordering: .relaxed) > 0 }

    /// Counts a response that a transport returned. The transport still delivers the rest of the body, and ends the
    /// body at the deadline.
    package func transportAnswered(_ response: ServiceResponse, attempt: Int) {
        if let whole {
            if response.body.isInMemory { enter(.pipeline, attempt: attempt) }
            return whole.countReturn()
        }
        guard countsReturns.load(ordering: .relaxed) else { return }
        let (_, returned) = returned.add(1, ordering: .relaxed)
        // Middleware may have several requests in flight, and hedges are requests of their own. The call is outside the
        // transport only when all have returned.
        guard returned == sends.load(ordering: .relaxed), response.body.isInMemory else { return }
        enter(.pipeline, attempt: attempt)
    }

    /// Counts a request that a transport failed.
    ///
    /// - Returns: `error`, with the number of requests that were sent for the call.
    package func transportFailed(_ error: any Error) -> any Error {
        if let whole { whole.countReturn() } else { countReturn() }
        guard var failure = error as? ServiceError else { return error }
        failure.requestsSent = requestsSent
        return failure
    }

    private func countReturn() {
        if countsReturns.load(ordering: .relaxed) { returned.add(1, ordering: .relaxed) }
    }

    /// Keeps a body that the transport may send again. If it is not sent again, the body is abandoned when the call
    /// ends, even if middleware has replaced the response.
    package func hold(_ body: RequestBody) {
        if let whole { return whole.hold(body) }
        held.withLock { $0.bodies.append(body) }
        holdsBodies.store(true, ordering: .sequentiallyConsistent)
        if isOver { abandonHeldBodies() }
    }

    /// Removes a body from the kept bodies, because it is being sent again or goes back to the caller. From now on the
    /// exchange that sends the body must abandon it. That can be after the call's end, because an upload can go on
    /// after an early response.
    package func takeBack(_ body: RequestBody) {
        if let whole { return whole.takeBack(body) }
        guard holdsBodies.load(ordering: .relaxed) else { return }
        held.withLock { $0.bodies.removeAll { $0.isSameStream(as: body) } }
    }

    @inline(never)
    private func abandonHeldBodies() {
        let bodies = held.withLock { held in
            defer { held.bodies = [] }
            return held.bodies
        }
        for body in bodies { body.abandon() }
    }

    /// Makes the call count the transport's responses and failures. ``isInTransport`` needs these counts.
    package func countReturns() {
        countsReturns.store(true, ordering: .relaxed)
    }

    /// Whether the call is in the transport, with any of its attempts. Then the transport ends the call at its deadline.
    /// The value is exact only after ``countReturns()``. Without it, the value is also true for a call that has its
    /// response already.
    package var isInTransport: Bool {
        let phase = furthestPhase
        guard phase != .pipeline, phase != .backoff else { return false }
        return (whole ?? self).hasRequestInTransport
    }

    private var hasRequestInTransport: Bool {
        let returned = returned.load(ordering: .relaxed)
        return returned == 0 || returned < sends.load(ordering: .relaxed)
    }

    /// The furthest progress that the request may have made. It is for errors that do not come from the transport,
    /// because only the transport knows the exact progress.
    private var assumedProgress: RequestProgress {
        if furthestPhase == .receivingBody { return .responseStarted }
        return requestsSent > 0 ? .ambiguous : .neverSent
    }
}

extension RequestPhase {
    /// Whether an attempt in this phase is further than one in `other`.
    fileprivate func isFurther(than other: RequestPhase) -> Bool {
        // A wait before another attempt is outside the transport.
        func rank(_ phase: RequestPhase) -> UInt8 { phase == .backoff ? 0 : phase.rawValue }
        return rank(self) > rank(other)
    }
}

/// Counts the calls in flight.
package protocol CallRegistry: AnyObject, Sendable {
    /// Removes `call` from the calls in flight. Does nothing if it was removed before.
    func callEnded(_ call: CallRecord)
    /// Whether the client has begun to shut down.
    var isDraining: Bool { get }
    /// Returns when the client begins to shut down, or when the task is cancelled.
    func waitForDrainToBegin() async
    /// Calls `handler` when the shutdown's deadline ends `call`. If the deadline has passed already, calls `handler` at
    /// once and returns nil.
    func onForcedClose(_ call: CallRecord, _ handler: @escaping @Sendable () -> Void) -> Int?
    /// Removes the handler of this number.
    func removeForcedCloseHandler(_ number: Int)
}
