internal import BowlineCore
internal import Synchronization

/// Distributes the attempts for the client's base URL over other base URLs, which a list or a sequence of lists names.
final class ListBalancer: Sendable {
    private struct State {
        /// Whether no further list can come.
        var isFinal = false
        /// Resumed when there is an endpoint again: attempts wait here.
        var arrival: SharedWork<Void>?
    }

    /// The client's base URL.
    let base: ServiceURL
    let balancer: Balancer
    private let source: EndpointSource
    private let surroundings: BalancingSurroundings
    private let reader = EndpointReader()
    private let state = Guarded(State())
    /// Whether the list was taken, or the sequence is being read.
    private let hasBegun = Atomic(false)

    /// - Parameter source: A list or a sequence.
    init(_ source: EndpointSource, base: ServiceURL, _ balancer: Balancer, _ surroundings: BalancingSurroundings) {
        self.source = source
        self.base = base
        self.balancer = balancer
        self.surroundings = surroundings
    }

    /// Takes the list, or begins to read the sequence, if this is the first use.
    func begin() {
        guard !hasBegun.load(ordering: .relaxed), !hasBegun.exchange(true, ordering: .relaxed) else { return }
        switch source {
        case .addresses: break
        case .fixed(let endpoints):
            use(endpoints)
            end()
        case .updates(let updates):
            reader.start(updates) { [weak self] reading in
                guard let self else { return }
                switch reading {
                case .list(let endpoints): use(endpoints)
                case .ended: end(.sourceEnded)
                case .failed(let error): end(.sourceFailed(error))
                }
            }
        }
    }

    /// Ends the reader. The last list stays.
    func close() {
        reader.stop()
    }

    /// Chooses an endpoint for an attempt; nil: there is none.
    func choose(for context: RequestContext, _ options: BalancingOptions) -> PlacedAttempt? {
        // Only a call that has followed a redirect can follow one to an endpoint.
        if context.hop > 0, let redirect = context.call.takeRedirect(),
            let placed = balancer.choose(redirect, for: context)
        {
            return placed
        }
        return balancer.choose(for: context, options)
    }

    /// Waits for an endpoint, at most for `timeouts.poolAcquire` and until the call's deadline. A drain ends the wait of a
    /// retry and of a hedge.
    ///
    /// - Throws: ``ServiceError`` `noEndpoint`, `deadlineExceeded` or `forciblyClosed`; `CancellationError`.
    func waitAndChoose(for context: RequestContext, _ options: BalancingOptions) async throws -> PlacedAttempt {
        let now = surroundings.clock.now
        let own = context.timeouts.poolAcquire.map { now.advanced(by: $0) } ?? .distantFuture
        let limit = min(own, context.deadline?.instant ?? .distantFuture)
        while true {
            // A list that comes after this line ends the wait.
            let arrival = awaitedArrival()
            if let placed = balancer.choose(for: context, options) { return placed }
            guard let arrival else {
                throw failure(.noEndpoint, "the source of endpoints has ended without one", context)
            }
            do {
                try await context.waitUnlessDraining(base.origin) { [surroundings] in
                    try await arrival.value(
                        until: limit == .distantFuture ? nil : limit, clock: surroundings.clock, call: context.call)
                }
            } catch is SharedWork<Void>.LimitPassed {
                throw own <= limit
                    ? failure(.noEndpoint, "the list of endpoints was empty for timeouts.poolAcquire", context)
                    : failure(
                        .deadlineExceeded, "the request's time ended while the list of endpoints was empty", context)
            } catch is SharedWork<Void>.ForciblyClosed {
                throw context.call.forciblyClosed
            }
        }
    }

    /// Returns what the next list ends; nil: no further list can come.
    private func awaitedArrival() -> SharedWork<Void>? {
        state.withLock { state in
            if state.isFinal { return nil }
            if let arrival = state.arrival { return arrival }
            let arrival = SharedWork<Void>()
            state.arrival = arrival
            return arrival
        }
    }

    private func failure(_ code: ServiceError.Code, _ message: String, _ context: RequestContext) -> ServiceError {
        var failure = ServiceError(
            code, message, progress: .neverSent, attempts: context.attempt, origin: base.origin.description,
            phase: .pipeline)
        failure.requestsSent = context.call.requestsSent
        return failure
    }

    private func use(_ endpoints: [ServiceEndpoint]) {
        let list = EndpointList(endpoints)
        balancer.replace(by: list.listings)
        balancer.report(list.problems.map { .ignored(problem: $0) })
        state.withLock { $0.arrival.take() }?.end(.success(()))
    }

    /// No further list comes.
    private func end(_ change: EndpointChange? = nil) {
        let arrival = state.withLock { state in
            state.isFinal = true
            return state.arrival.take()
        }
        if let change { balancer.report([change]) }
        arrival?.end(.success(()))
    }
}
