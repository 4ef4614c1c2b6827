package import Synchronization

/// The record of one call, from its admission to the end of its response body. A shutdown's report uses it.
package final class CallRecord: ResponseBodyObserver {
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
    /// The numbers of requests to the transport and of its responses and failures.
    private let sends = Atomic(0)
    private let resends = Atomic(0)
    private let returned = Atomic(0)
    private let countsReturns = Atomic(false)
    /// Bodies that the transport has sent in part and may send again.
    private let heldBodies = Guarded<[RequestBody]>([])
    private let holdsBodies = Atomic(false)
    /// nil: no attempt was balanced yet.
    private let visited = Guarded<VisitedEndpoints?>(nil)

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

    /// Makes the error of a call that ends at its own deadline or at a shutdown's deadline, while the call is outside
    /// the transport.
    package func failure(_ code: ServiceError.Code, _ message: String) -> ServiceError {
        var failure = ServiceError(code, message, progress: assumedProgress, attempts: attempt, phase: .pipeline)
        failure.requestsSent = requestsSent
        return failure
    }

    /// As ``failure(_:_:)``, for a shutdown's deadline.
    package var forciblyClosed: ServiceError {
        failure(.forciblyClosed, "cut off by a shutdown's deadline in phase \(phase), attempt \(attempt)")
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
        registry?.callEnded(self)
        if holdsBodies.load(ordering: .relaxed) { abandonHeldBodies() }
    }

    /// Whether the call is over. Always false if no registry counts the call.
    var isOver: Bool { registry != nil && slot.load(ordering: .relaxed) < 0 }

    /// Whether the client has begun to shut down. Then no optional work, such as a retry, is begun.
    package var isDraining: Bool { registry?.isDraining ?? false }

    /// Sleeps until `instant`. Returns false as soon as the client begins to shut down.
    func sleepUnlessDraining(until instant: MonotonicInstant) async throws -> Bool {
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
                await registry.waitForDrainToBegin()
                return false
            }
            defer { group.cancelAll() }
            let isDue = try await group.next() ?? true
            // `waitForDrainToBegin` also returns when it is cancelled.
            try Task.checkCancellation()
            return isDue
        }
    }

    /// The call's phase now.
    package var phase: RequestPhase {
        RequestPhase(rawValue: UInt8(truncatingIfNeeded: progress.load(ordering: .relaxed))) ?? .pipeline
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

    /// The endpoints that the call has used. Made on first use, by the first balanced attempt.
    package var visitedEndpoints: VisitedEndpoints {
        visited.withLock { visited in
            if let visited { return visited }
            let made = VisitedEndpoints()
            visited = made
            return made
        }
    }

    // MARK: Requests in the transport

    /// How many requests were sent for the call: each attempt of each hop that was given to a transport, and each
    /// resend by the transport.
    package var requestsSent: Int {
        sends.load(ordering: .relaxed) + resends.load(ordering: .relaxed)
    }

    /// Counts a resend by the transport.
    package func sentAgain() {
        resends.add(1, ordering: .relaxed)
    }

    /// Counts a request that is given to a transport: from now on the service may see it.
    package func transportBegan() {
        sends.add(1, ordering: .relaxed)
    }

    /// Counts a response that a transport returned. The transport still delivers the rest of the body, and ends the
    /// body at the deadline.
    package func transportAnswered(_ response: ServiceResponse, attempt: Int) {
        guard countsReturns.load(ordering: .relaxed) else { return }
        let (_, returned) = returned.add(1, ordering: .relaxed)
        // Middleware may have several requests in flight. The call is outside the transport only when all have
        // returned.
        guard returned == sends.load(ordering: .relaxed), response.body.isInMemory else { return }
        enter(.pipeline, attempt: attempt)
    }

    /// Counts a request that a transport failed.
    ///
    /// - Returns: `error`, with the number of requests that were sent for the call.
    package func transportFailed(_ error: any Error) -> any Error {
        if countsReturns.load(ordering: .relaxed) { returned.add(1, ordering: .relaxed) }
        guard var failure = error as? ServiceError else { return error }
        failure.requestsSent = requestsSent
        return failure
    }

    /// Keeps a body that the transport may send again. If it is not sent again, the body is abandoned when the call
    /// ends, even if middleware has replaced the response.
    package func hold(_ body: RequestBody) {
        heldBodies.withLock { $0.append(body) }
        holdsBodies.store(true, ordering: .sequentiallyConsistent)
        if isOver { abandonHeldBodies() }
    }

    /// Removes a body from the kept bodies, because it is being sent again. From now on the exchange that sends the
    /// body must abandon it. That can be after the call's end, because an upload can go on after an early response.
    package func takeBack(_ body: RequestBody) {
        guard holdsBodies.load(ordering: .relaxed) else { return }
        heldBodies.withLock { $0.removeAll { $0.isSameStream(as: body) } }
    }

    @inline(never)
    private func abandonHeldBodies() {
        let bodies = heldBodies.withLock { bodies in
            defer { bodies = [] }
            return bodies
        }
        for body in bodies { body.abandon() }
    }

    /// Makes the call count the transport's responses and failures. ``isInTransport`` needs these counts.
    package func countReturns() {
        countsReturns.store(true, ordering: .relaxed)
    }

    /// Whether the call is in the transport. Then the transport ends the call at its deadline. The value is exact only
    /// after ``countReturns()``. Without it, the value is also true for a call that has its response already.
    package var isInTransport: Bool {
        guard phase != .pipeline, phase != .backoff else { return false }
        let returned = returned.load(ordering: .relaxed)
        return returned == 0 || returned < sends.load(ordering: .relaxed)
    }

    /// The furthest progress that the request may have made. It is for errors that do not come from the transport,
    /// because only the transport knows the exact progress.
    private var assumedProgress: RequestProgress {
        if phase == .receivingBody { return .responseStarted }
        return sends.load(ordering: .relaxed) > 0 ? .ambiguous : .neverSent
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
