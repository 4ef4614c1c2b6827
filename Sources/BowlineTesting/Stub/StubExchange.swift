internal import BowlineCore

/// One request at a stub. Limits its waits by the limits of its context, as the pooled transport does.
struct StubExchange: Sendable {
    /// The activity that the request waits in.
    enum Stage {
        /// Waiting for an answer that leaves the request unsent.
        case connecting
        case sendingBody
        case awaitingHead
        case receivingBody

        var phase: RequestPhase {
            switch self {
            case .connecting: .connecting
            case .sendingBody: .sending
            case .awaitingHead: .awaitingHead
            case .receivingBody: .receivingBody
            }
        }

        var progress: RequestProgress {
            switch self {
            case .connecting: .neverSent
            case .sendingBody, .awaitingHead: .ambiguous
            case .receivingBody: .responseStarted
            }
        }
    }

    /// An instant at which the request fails, and the error's code and message.
    struct Limit: Sendable {
        let instant: MonotonicInstant
        let code: ServiceError.Code
        let message: String
    }

    let context: RequestContext
    private let origin: String
    private let deadline: AttemptDeadline
    private let waits: StubWaits

    init(context: RequestContext, origin: Origin, waits: StubWaits) {
        self.context = context
        self.origin = origin.description
        self.waits = waits
        deadline = AttemptDeadline(
            deadline: context.deadline, limit: context.timeouts.attempt, started: context.clock.now)
    }

    // MARK: Limits

    /// Returns the limit of the wait for a response head; nil: no limit.
    ///
    /// - Parameter sent: When the whole request had been sent; nil: it has not been sent.
    func headLimit(sent: MonotonicInstant? = nil) -> Limit? {
        if let sent, let most = context.timeouts.responseHead, sent.advanced(by: most) < deadline.instant {
            return Limit(
                instant: sent.advanced(by: most), code: .responseHeadTimeout, message: TimeLimitMessage.responseHead)
        }
        return deadlineLimit(hasHead: false)
    }

    /// Returns the limit of the wait for the response body's next chunk, which begins now; nil: no limit.
    func chunkLimit() -> Limit? {
        if let most = context.timeouts.bodyIdle {
            let instant = context.clock.now.advanced(by: most)
            if instant < deadline.instant(hasHead: true) {
                return Limit(instant: instant, code: .bodyIdleTimeout, message: TimeLimitMessage.responseBody)
            }
        }
        return deadlineLimit(hasHead: true)
    }

    /// Returns the request's deadline. Before the head, the attempt's own limit counts too.
    func deadlineLimit(hasHead: Bool) -> Limit? {
        let instant = deadline.instant(hasHead: hasHead)
        guard instant < .distantFuture else { return nil }
        return Limit(
            instant: instant, code: deadline.code(hasHead: hasHead), message: deadline.message(hasHead: hasHead))
    }

    func hasPassed(_ limit: Limit) -> Bool { limit.instant <= context.clock.now }

    /// Returns the error of a request whose limit has passed.
    func failure(_ limit: Limit, phase: RequestPhase, progress: RequestProgress) -> ServiceError {
        var error = ServiceError(
            limit.code, limit.message, progress: progress, attempts: context.attempt, origin: origin, phase: phase)
        error.elapsed = deadline.started.duration(to: context.clock.now)
        return error
    }

    // MARK: Waiting

    /// Runs `work` in its own task, and returns its result.
    /// This method cancels `work`, without waiting for it, in three cases: the limit passes, the stub or the call is
    /// closed by force, or the calling task is cancelled.
    ///
    /// - Throws: the limit's error; `forciblyClosed` when the stub or the call is closed by force; `CancellationError`
    ///   when the calling task is cancelled; the errors of `work`.
    func run<Value: Sendable>(
        until limit: Limit?, _ stage: Stage, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let outcome = StubOutcome<Value>()
        let shared = SharedWork<Void>()
        let task = Task.inheriting { [clock = context.clock] in
            do {
                let value = try await work()
                outcome.note(.success(value), at: clock.now)
            } catch {
                outcome.note(.failure(error), at: clock.now)
            }
            shared.end(.success(()))
        }
        let number = waits.begin {
            shared.end(.failure(StubTransport.closed(progress: stage.progress)))
            task.cancel()
        }
        defer { waits.end(number) }
        do {
            try await shared.value(until: limit?.instant, clock: context.clock, call: context.call)
        } catch is SharedWork<Void>.LimitPassed {
            task.cancel()
            guard let limit else { throw CancellationError() }
            throw failure(limit, phase: stage.phase, progress: stage.progress)
        } catch is SharedWork<Void>.ForciblyClosed {
            task.cancel()
            throw StubTransport.closed(progress: stage.progress)
        } catch {
            task.cancel()
            throw error
        }
        // The work has ended. When its task has ended too, its captured values are released.
        await task.value
        guard let (result, ended) = outcome.take() else { throw CancellationError() }
        // If the work itself has moved a test's clock past the limit, the limit has passed.
        if let limit, limit.instant <= ended { throw failure(limit, phase: stage.phase, progress: stage.progress) }
        return try result.get()
    }

    /// Waits for a gate or a pause of the answer.
    func wait(for wait: StubAnswer.Wait, until limit: Limit?, _ stage: Stage) async throws {
        switch wait {
        case .gate(let gate):
            guard !gate.isOpen else { return }
            try await run(until: limit, stage) { try await gate.wait() }
        case .pause(let pause, let clock):
            let end = clock.now.advanced(by: pause)
            guard isOwn(clock) else {
                return try await run(until: limit, stage) { try await clock.sleep(until: end, tolerance: nil) }
            }
            // Use one sleeper, for the earlier of the two instants, so that a test that moves the clock to the next
            // deadline cannot miss it.
            guard let limit, limit.instant <= end else {
                return try await run(until: nil, stage) { try await clock.sleep(until: end, tolerance: nil) }
            }
            try await run(until: nil, stage) { try await clock.sleep(until: limit.instant, tolerance: nil) }
            throw failure(limit, phase: stage.phase, progress: stage.progress)
        }
    }

    private func isOwn(_ clock: any ServiceClock) -> Bool {
        if let clock = clock as? TestClock, let own = context.clock as? TestClock { return clock === own }
        if let clock = clock as? VirtualClock, let own = context.clock as? VirtualClock { return clock === own }
        return clock is MonotonicClock && context.clock is MonotonicClock
    }
}

/// The result of a piece of work, and when it ended. It is separate from the ``SharedWork``, because its timers keep
/// it a moment longer than the work.
private final class StubOutcome<Value: Sendable>: Sendable {
    private struct End: Sendable {
        let result: Result<Value, any Error>
        let instant: MonotonicInstant
    }

    private let end = Guarded(End?.none)

    func note(_ result: Result<Value, any Error>, at instant: MonotonicInstant) {
        end.withLock { $0 = End(result: result, instant: instant) }
    }

    /// Takes the result out; nil if the work has not ended.
    func take() -> (result: Result<Value, any Error>, instant: MonotonicInstant)? {
        end.withLock { $0.take() }.map { ($0.result, $0.instant) }
    }
}

/// The present waits of the requests at a stub. Closing the stub ends them.
final class StubWaits: Sendable {
    private struct State: Sendable {
        var isClosed = false
        var ends: [Int: @Sendable () -> Void] = [:]
        var nextNumber = 0
    }

    private let state = Guarded(State())

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// - Parameter end: Ends the wait. It is called when the stub is closed, or at once if it is closed already.
    /// - Returns: the number to pass to ``end(_:)``.
    func begin(_ end: @escaping @Sendable () -> Void) -> Int {
        let (number, isClosed) = state.withLock { state in
            state.nextNumber += 1
            if !state.isClosed { state.ends[state.nextNumber] = end }
            return (state.nextNumber, state.isClosed)
        }
        if isClosed { end() }
        return number
    }

    func end(_ number: Int) {
        state.withLock { _ = $0.ends.removeValue(forKey: number) }
    }

    func close() {
        let ends = state.withLock { state in
            state.isClosed = true
            defer { state.ends = [:] }
            return state.ends.sorted { $0.key < $1.key }.map(\.value)
        }
        for end in ends { end() }
    }
}
