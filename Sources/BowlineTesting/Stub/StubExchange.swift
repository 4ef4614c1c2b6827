internal import BowlineCore

/// One request at a stub: bounds what it waits for by the limits of its context, as the pooled transport does.
struct StubExchange: Sendable {
    /// What the request is doing while it waits.
    enum Stage {
        /// An answer that leaves the request unsent.
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

    /// An instant at which the request fails, and with what.
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

    /// What bounds the wait for a response head; nil: nothing does.
    ///
    /// - Parameter sent: When the request had been sent whole; nil: it has not been.
    func headLimit(sent: MonotonicInstant? = nil) -> Limit? {
        if let sent, let most = context.timeouts.responseHead, sent.advanced(by: most) < deadline.instant {
            return Limit(
                instant: sent.advanced(by: most), code: .responseHeadTimeout, message: TimeLimitMessage.responseHead)
        }
        return deadlineLimit(hasHead: false)
    }

    /// What bounds the wait for the next chunk of the response's body, which begins now; nil: nothing does.
    func chunkLimit() -> Limit? {
        if let most = context.timeouts.bodyIdle {
            let instant = context.clock.now.advanced(by: most)
            if instant < deadline.instant(hasHead: true) {
                return Limit(instant: instant, code: .bodyIdleTimeout, message: TimeLimitMessage.responseBody)
            }
        }
        return deadlineLimit(hasHead: true)
    }

    /// The request's deadline, with the attempt's own limit until there is a head.
    func deadlineLimit(hasHead: Bool) -> Limit? {
        let instant = deadline.instant(hasHead: hasHead)
        guard instant < .distantFuture else { return nil }
        return Limit(
            instant: instant, code: deadline.code(hasHead: hasHead), message: deadline.message(hasHead: hasHead))
    }

    func hasPassed(_ limit: Limit) -> Bool { limit.instant <= context.clock.now }

    /// The error of a request whose limit has passed.
    func failure(_ limit: Limit, phase: RequestPhase, progress: RequestProgress) -> ServiceError {
        var error = ServiceError(
            limit.code, limit.message, progress: progress, attempts: context.attempt, origin: origin, phase: phase)
        error.elapsed = deadline.started.duration(to: context.clock.now)
        return error
    }

    // MARK: Waiting

    /// The result of `work`, which runs in a task of its own.
    ///
    /// - Throws: the limit's error once it has passed, and `forciblyClosed` when the stub is closed; `work` is then cancelled
    ///   and not waited for. So it is when the calling task is cancelled, which is `CancellationError`. What `work` throws.
    func run<Value: Sendable>(
        until limit: Limit?, _ stage: Stage, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let outcome = StubOutcome<Value>()
        let flight = Flight<Void>()
        let task = Task { [clock = context.clock] in
            do {
                let value = try await work()
                outcome.note(.success(value), at: clock.now)
            } catch {
                outcome.note(.failure(error), at: clock.now)
            }
            flight.end(.success(()))
        }
        let number = waits.begin {
            flight.end(.failure(StubTransport.closed(progress: stage.progress)))
            task.cancel()
        }
        defer { waits.end(number) }
        do {
            try await flight.value(until: limit?.instant, clock: context.clock, call: context.call)
        } catch is Flight<Void>.LimitPassed {
            task.cancel()
            guard let limit else { throw CancellationError() }
            throw failure(limit, phase: stage.phase, progress: stage.progress)
        } catch is Flight<Void>.ForciblyClosed {
            task.cancel()
            throw StubTransport.closed(progress: stage.progress)
        } catch {
            task.cancel()
            throw error
        }
        // The work is over; once its task is too, what it held is free.
        await task.value
        guard let (result, ended) = outcome.take() else { throw CancellationError() }
        // Work that has moved a test's clock past the limit has taken that time.
        if let limit, limit.instant <= ended { throw failure(limit, phase: stage.phase, progress: stage.progress) }
        return try result.get()
    }

    /// Waits as long as the answer says.
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
            // One sleeper, for the earlier of both: a test that moves to the clock's next deadline cannot miss it.
            guard let limit, limit.instant <= end else {
                return try await run(until: nil, stage) { try await clock.sleep(until: end, tolerance: nil) }
            }
            try await run(until: nil, stage) { try await clock.sleep(until: limit.instant, tolerance: nil) }
            throw failure(limit, phase: stage.phase, progress: stage.progress)
        }
    }

    private func isOwn(_ clock: any ServiceClock) -> Bool {
        if let clock = clock as? TestClock, let own = context.clock as? TestClock { return clock === own }
        return clock is MonotonicClock && context.clock is MonotonicClock
    }
}

/// What a piece of work came to, and when. Apart from its flight, whose timers keep that a moment longer than the work.
private final class StubOutcome<Value: Sendable>: Sendable {
    private struct End: Sendable {
        let result: Result<Value, any Error>
        let instant: MonotonicInstant
    }

    private let end = Guarded(End?.none)

    func note(_ result: Result<Value, any Error>, at instant: MonotonicInstant) {
        end.withLock { $0 = End(result: result, instant: instant) }
    }

    /// Takes it out; nil if the work has not ended.
    func take() -> (result: Result<Value, any Error>, instant: MonotonicInstant)? {
        end.withLock { $0.take() }.map { ($0.result, $0.instant) }
    }
}

/// What the requests at a stub wait for now, so that closing it ends them.
final class StubWaits: Sendable {
    private struct State: Sendable {
        var isClosed = false
        var ends: [Int: @Sendable () -> Void] = [:]
        var nextNumber = 0
    }

    private let state = Guarded(State())

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// - Parameter end: Ends the wait; called once, when the stub is closed, at once if it is.
    /// - Returns: what ``end(_:)`` wants.
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
            return Array(state.ends.values)
        }
        for end in ends { end() }
    }
}
