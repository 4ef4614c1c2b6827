internal import BowlineCore

/// Drives the machine of a ``SimulatedService``: it holds the callers that wait, the timers and the tasks.
final class SimulatedServiceDriver: Sendable {
    typealias Machine = SimulatedServiceMachine

    private struct Caller: Sendable {
        let continuation: CheckedContinuation<Machine.Outcome, any Error>
        /// Ends the wait at its limit.
        var limit: VirtualTimer?
    }

    private struct State: Sendable {
        var machine: Machine
        var random: SeededRandom
        var callers: [Machine.RequestID: Caller] = [:]
        var responses: [Machine.RequestID: Task<Void, any Error>] = [:]
        var lastID = 0
        var isClosed = false
    }

    /// Closed together with the service.
    let waits = StubWaits()
    private let time: VirtualTime
    private let state: Guarded<State>

    init(_ time: VirtualTime, _ machine: Machine, random: SeededRandom) {
        self.time = time
        state = Guarded(State(machine: machine, random: random))
    }

    /// The number of callers that wait for an answer.
    var waitingCount: Int { state.withLock { $0.callers.count } }

    /// Uses the machine without any effect.
    func read<Result: Sendable>(_ body: (inout Machine, _ now: MonotonicInstant) -> Result) -> Result {
        let now = time.now
        return state.withLock { body(&$0.machine, now) }
    }

    /// Lets the machine decide, and does what it decided.
    func perform(_ body: (inout Machine, inout SeededRandom, _ now: MonotonicInstant) -> [Machine.Effect]) {
        let now = time.now
        apply(state.withLock { body(&$0.machine, &$0.random, now) })
    }

    /// Sends a request to its replica, and waits for the end.
    ///
    /// - Throws: the error of the limit that has passed; `forciblyClosed`; `CancellationError` when the task is
    ///   cancelled.
    func send(_ call: SimulatedCall, identity: String?, _ exchange: StubExchange) async throws -> Machine.Outcome {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let record = call.context.call
        var registration: Int?
        defer { record.removeForcedCloseHandler(registration) }
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            if let failure = store(continuation, id) { return .failure(failure) }
            registration = record.onForcedClose { self.leave(id, Self.closed) }
            if let limit = exchange.headLimit(sent: time.now) { setLimit(limit, of: id, exchange) }
            perform { machine, random, now in
                machine.sent(id, call, identity: identity, now: now, random: &random)
            }
            return nil
        } onCancel: {
            leave(id, CancellationError())
        }
    }

    /// Ends all waits.
    func close() {
        let ids = state.withLock { state in
            state.isClosed = true
            return state.callers.keys.sorted()
        }
        for id in ids { leave(id, Self.closed) }
        waits.close()
    }

    private static var closed: ServiceError {
        ServiceError(.forciblyClosed, "the simulated service was closed", progress: .ambiguous)
    }

    /// - Returns: why the wait does not begin; nil: it begins.
    private func store(
        _ continuation: CheckedContinuation<Machine.Outcome, any Error>, _ id: Machine.RequestID
    ) -> (any Error)? {
        state.withLock { state in
            if Task.isCancelled { return CancellationError() }
            if state.isClosed {
                return ServiceError(.forciblyClosed, "the simulated service was closed", progress: .neverSent)
            }
            state.callers[id] = Caller(continuation: continuation)
            return nil
        }
    }

    private func setLimit(_ limit: StubExchange.Limit, of id: Machine.RequestID, _ exchange: StubExchange) {
        let timer = time.schedule(at: limit.instant) {
            self.leave(id, exchange.failure(limit, phase: .awaitingHead, progress: .ambiguous))
        }
        let isWaiting = state.withLock { state in
            state.callers[id]?.limit = timer
            return state.callers[id] != nil
        }
        if !isWaiting { timer.cancel() }
    }

    /// The caller gives up with this error.
    private func leave(_ id: Machine.RequestID, _ error: any Error) {
        guard let caller = state.withLock({ $0.callers.removeValue(forKey: id) }) else { return }
        caller.limit?.cancel()
        perform { machine, random, now in machine.gaveUp(id, now: now, random: &random) }
        caller.continuation.resume(throwing: error)
    }

    private func apply(_ effects: [Machine.Effect]) {
        for effect in effects {
            switch effect {
            case .schedule(let event, let instant):
                time.schedule(at: instant) {
                    self.perform { machine, random, now in machine.happened(event, now: now, random: &random) }
                }
            case .end(let id, let outcome):
                let caller = state.withLock { $0.callers.removeValue(forKey: id) }
                caller?.limit?.cancel()
                caller?.continuation.resume(returning: outcome)
            case .respond(let id, let life, let call): respond(id, life, call)
            case .cancelResponse(let id): state.withLock { $0.responses.removeValue(forKey: id) }?.cancel()
            }
        }
    }

    /// Runs the replica's own closure in a task.
    private func respond(_ id: Machine.RequestID, _ life: Int, _ call: SimulatedCall) {
        guard let respond = read({ machine, _ in machine.options(of: call.replica).respond }) else { return }
        let task = time.startTask {
            var answer: SimulatedAnswer
            do {
                answer = try await respond(call)
            } catch {
                answer = SimulatedAnswer(.internalServerError)
            }
            self.state.withLock { $0.responses[id] = nil }
            let made = answer
            self.perform { machine, random, now in
                machine.responded(id, life: life, made, now: now, random: &random)
            }
        }
        state.withLock { $0.responses[id] = task }
    }
}
