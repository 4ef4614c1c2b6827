internal import BowlineCore
internal import NIOCore

/// One request on one connection. Passes its results from the connection's event loop to the caller's task.
///
/// The connection reports what arrives, and the caller waits here for it. Either side may end the exchange first; what
/// the other side reports after that is ignored.
final class Exchange: Sendable {
    let request: PreparedRequest
    let connection: any HTTPConnection
    let lease: LeaseFacts
    let resends: Int
    let upload: RequestUpload?
    /// Calls a client's listeners; nil: there are none.
    let events: EventDispatch?
    /// The HTTP/2 stream that carries the request; 0: none yet.
    // Safety: written and read on the connection's event loop only.
    nonisolated(unsafe) var streamID = 0

    var started: MonotonicInstant { request.deadline.started }
    var deadline: AttemptDeadline { request.deadline }
    var timeouts: Timeouts { request.context.timeouts }
    var call: CallRecord { request.context.call }
    var attempt: Int { request.context.attempt }

    /// Whether the connection may have died unnoticed before it was leased: it was idle at some time, or it has carried
    /// other requests. An HTTP/2 connection that was never idle and on which the peer has never answered counts as new.
    var wasPooled: Bool { lease.isReused && connection.hasAnswered || lease.wasIdle }

    private typealias Machine = ExchangeStateMachine<
        UnsafeContinuation<ServiceResponse, any Error>, UnsafeContinuation<ByteBuffer?, any Error>
    >

    private let state: Guarded<Machine>

    /// The facts that the pool knew about the connection when the exchange leased it.
    struct LeaseFacts: Sendable {
        let isReused: Bool
        let uses: Int
        /// Whether the connection was idle at some time before the lease, even if it had never carried a request.
        let wasIdle: Bool
        let leased: MonotonicInstant
    }

    init(
        request: PreparedRequest, connection: any HTTPConnection, lease: LeaseFacts, resends: Int,
        options: ConnectionOptions, events: EventDispatch? = nil
    ) {
        self.request = request
        self.connection = connection
        self.lease = lease
        self.resends = resends
        self.events = events
        upload =
            if case .streamed(let body, let length) = request.upload {
                RequestUpload(body: body, declaredLength: length, replayLimit: options.replayLimit)
            } else { nil }
        state = Guarded(Machine(bufferLimit: options.readBufferLimit))
    }

    // MARK: The caller's side

    /// Starts the exchange and waits for the response head.
    ///
    /// - Throws: ``TransportOutcome``, or `CancellationError`.
    func run() async throws -> ServiceResponse {
        upload?.start(self)
        defer { state.synchronize() }
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { waiter in
                switch state.withLock({ $0.begin(waiter) }) {
                case .start: connection.start(self)
                case .failed(let error):
                    upload?.stop()
                    connection.returnUnused()
                    waiter.resume(throwing: error)
                }
            }
        } onCancel: {
            cancel()
        }
    }

    /// Ends the exchange because the calling task was cancelled.
    func cancel() {
        giveUp(CancellationError(), as: .cancelled) { connection.cancelled(self) }
    }

    /// Ends the exchange because the caller does not want the rest of the body.
    func abandon() {
        giveUp(Self.abandoned, as: .abandoned) { connection.abandoned(self) }
    }

    private func giveUp(_ error: any Error, as reason: RequestEnding, ifActive: () -> Void) {
        let givenUp = state.withLock { $0.giveUp(error) }
        if givenUp.isActive { ifActive() }
        finish(givenUp.ending, head: error, chunk: error, as: reason)
    }

    private static var abandoned: ServiceError {
        ServiceError(
            .bodyAlreadyConsumed, "the response body was given up", progress: .responseStarted, phase: .receivingBody
        )
    }

    /// Claims the body for a reader. A second reader gets an error.
    func beginReading() throws {
        guard state.withLock({ $0.claim() }) else { throw ServiceError.bodyAlreadyConsumed }
    }

    /// Returns the next chunk or the end if it has arrived, else `later`.
    func takeReady() throws -> ReadyChunk {
        // Without this check, a cancelled task would read to the body's end while the peer is faster than the task.
        if Task.isCancelled {
            cancel()
            throw CancellationError()
        }
        switch state.withLock({ $0.next(nil) }) {
        case .chunk(let chunk, let shouldResume, let observer):
            taken(shouldResume, observer)
            return .chunk(chunk)
        case .end(let observer):
            observer?.responseBodyEnded()
            return .end
        case .failed(let error): throw error
        case .wait: return .later
        }
    }

    /// Waits for the next chunk and returns it; nil at the end.
    func waitForNext() async throws -> ByteBuffer? {
        defer { state.synchronize() }
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { waiter in
                switch state.withLock({ $0.next(waiter) }) {
                case .chunk(let chunk, let shouldResume, let observer):
                    taken(shouldResume, observer)
                    waiter.resume(returning: chunk)
                case .end(let observer):
                    observer?.responseBodyEnded()
                    waiter.resume(returning: nil)
                case .failed(let error): waiter.resume(throwing: error)
                case .wait: break
                }
            }
        } onCancel: {
            cancel()
        }
    }

    /// Notifies the connection and the observer, if needed, after the reader has taken a chunk.
    private func taken(_ shouldResume: Bool, _ observer: (any ResponseBodyObserver)?) {
        if shouldResume { connection.resumeReading(self) }
        observer?.responseBodyEnded()
    }

    func observeEnd(_ observer: any ResponseBodyObserver) {
        if !state.withLock({ $0.observe(observer) }) { observer.responseBodyEnded() }
    }

    var trailers: ReceivedFields? {
        state.withLock { $0.trailers }
    }

    // MARK: The connection's side

    /// Whether the exchange is over, so that later bytes do not go to the caller. The caller gave up, the exchange
    /// failed, or the whole response was delivered.
    var isOver: Bool { state.withLock { $0.isOver } }

    /// Delivers a response that has arrived whole.
    func receivedWhole(_ response: ServiceResponse) {
        state.withLock { $0.receivedWhole() }?.resume(returning: response)
    }

    /// Delivers the head. Returns whether the connection must stop reading the socket for now.
    ///
    /// - Parameter step: ``HTTPConnection/resumeReading(_:)`` is called each time the reader has taken this many bytes.
    func receivedHead(_ response: ServiceResponse, first chunk: ByteBuffer?, step: Int = .max) -> Bool {
        guard let delivery = state.withLock({ $0.receivedHead(first: chunk, step: step) }) else { return false }
        delivery.waiter.resume(returning: response)
        return delivery.shouldPause
    }

    /// Delivers or stores more of the body. Returns whether the connection must stop reading the socket for now.
    func received(_ chunk: ByteBuffer) -> Bool {
        switch state.withLock({ $0.received(chunk) }) {
        case .deliver(let waiter):
            waiter.resume(returning: chunk)
            return false
        case .stored(let shouldPause): return shouldPause
        case .ignored: return false
        }
    }

    /// Does ``received(_:)`` and then ``takeTaken()``, under one lock.
    func receivedCounting(_ chunk: ByteBuffer) -> (taken: Int, isPaused: Bool) {
        let (delivery, taken) = state.withLock { ($0.received(chunk), $0.takeTaken()) }
        if case .deliver(let waiter) = delivery { waiter.resume(returning: chunk) }
        return (taken.count, taken.isPaused)
    }

    /// Returns what the reader has taken: see ``ExchangeStateMachine/takeTaken()``.
    func takeTaken() -> (count: Int, isPaused: Bool) {
        state.withLock { $0.takeTaken() }
    }

    /// Applies the decision about the rest of the request's body, which was made when the response's head arrived. The
    /// connection handles the bytes that it has queued.
    func decided(_ decision: UploadDecision, after status: Int) {
        switch decision {
        case .goesOn: request.commitBody(after: status)
        case .stops:
            upload?.stop()
            request.abandonBody(after: status)
        }
    }

    /// Ends the body: all of it has arrived.
    func completed(trailers: ReceivedFields?) {
        let ending = state.withLock { $0.completed(trailers: trailers) }
        // The observer counts the call as ended before the reader sees the end of the body. So if the reader then
        // begins a shutdown, the shutdown does not wait for this call.
        ending.observer?.responseBodyEnded()
        ending.chunk?.resume(returning: nil)
    }

    /// Fails the exchange. Before the head the transport gets the outcome; after the head the reader of the body gets
    /// an error.
    func fail(_ outcome: TransportOutcome) {
        let error = ServiceError(outcome, of: self)
        let ending = state.withLock { $0.fail(error, beforeHead: outcome, isCutOff: outcome.leavesReceivedBytes) }
        finish(ending, head: outcome, chunk: error, as: .failed(error))
    }

    private func finish(
        _ ending: Machine.Ending, head: any Error, chunk: any Error, as reason: RequestEnding
    ) {
        // This is for failures after the head. For a failure before the head, the transport calls the listeners,
        // because only the transport knows whether it resends the request.
        if ending.cutsBody { tell { $0.requestEnded($1, reason) } }
        ending.observer?.responseBodyEnded()
        ending.head?.resume(throwing: head)
        ending.chunk?.resume(throwing: chunk)
    }

    // MARK: Results

    /// Makes the response that the caller gets.
    func response(
        _ head: ResponseHead, body: ResponseBody, arrival: ResponseArrival, stream: Int? = nil
    ) -> ServiceResponse {
        var timings = PhaseTimings()
        timings.started = started
        timings.leased = lease.leased
        timings.sent = arrival.sent
        timings.firstByte = arrival.firstByte
        timings.head = arrival.head
        if lease.uses == 1 { timings.dialTimings = connection.dialTimings }
        let facts = connectionFacts(head.version, stream: stream)
        return ServiceResponse(
            status: head.status,
            receivedFields: head.fields,
            body: body,
            facts: ResponseFacts(
                connection: facts, attempts: attempt, resends: resends, timings: timings,
                informational: arrival.informational
            )
        )
    }

    private func connectionFacts(_ version: ConnectionFacts.ProtocolVersion, stream: Int?) -> ConnectionFacts {
        ConnectionFacts(
            id: connection.id.value,
            isReused: lease.isReused,
            requests: lease.uses,
            peer: connection.peer,
            proxy: connection.proxy,
            protocolVersion: version,
            stream: stream
        )
    }

    /// The facts about this exchange that errors of the response's body contain. They do not keep the exchange alive.
    var responseAttempt: ResponseAttempt {
        ResponseAttempt(
            origin: request.origin, number: attempt, started: started,
            isReused: lease.isReused, clock: connection.sweep.clock
        )
    }

    /// Makes the outcome of a failure, with all that is known about this exchange. Call it on the connection's event
    /// loop.
    func outcome(
        _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        progress: RequestProgress = .neverSent, connection fate: TransportOutcome.Connection = .ordinary
    ) -> TransportOutcome {
        let facts =
            connection.isMultiplexed
            ? connectionFacts(.http2, stream: streamID == 0 ? nil : streamID) : connectionFacts(.http1_1, stream: nil)
        return TransportOutcome(
            code: code, message: message, underlying: underlying, progress: progress, connection: fate,
            phase: call.phase, facts: facts, elapsed: started.duration(to: connection.sweep.now)
        )
    }

    /// Makes the outcome of a request that a shutdown's deadline has cut off.
    func forciblyClosed(progress: RequestProgress) -> TransportOutcome {
        outcome(
            .forciblyClosed, "cut off by a shutdown's deadline in phase \(call.phase), attempt \(attempt)",
            progress: progress
        )
    }
}
