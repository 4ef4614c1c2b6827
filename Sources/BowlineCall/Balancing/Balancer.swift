internal import BowlineCore

/// Distributes the attempts for one origin over its endpoints.
///
/// One lock guards the machine. It is held for a transition; events are delivered after it.
final class Balancer: Sendable {
    /// The origin that the requests name.
    let origin: Origin
    private let state: Guarded<State>
    private let options: BalancingOptions
    private let surroundings: BalancingSurroundings
    /// Makes the choices differ between balancers and programs. The machine makes new numbers of it for each choice: a
    /// number of the system for each choice would cost a system call.
    private let random: Double

    private struct State {
        var machine: BalancerStateMachine
        /// The targets of the machine's endpoints, in their order.
        var targets: [EndpointTarget] = []
    }

    /// - Parameter options: The options for changes that belong to no attempt. Each attempt has its own.
    init(_ origin: Origin, _ options: BalancingOptions, _ surroundings: BalancingSurroundings) {
        self.origin = origin
        self.options = options
        self.surroundings = surroundings
        random = surroundings.random()
        state = Guarded(State(machine: BalancerStateMachine(firstNumber: surroundings.numbers.next())))
    }

    /// Replaces the list of endpoints.
    func replace(by listings: [EndpointListing]) {
        let now = surroundings.now
        let targets = listings.map { EndpointTarget($0.place, of: origin) }
        let changes = state.withLock { state in
            state.targets = targets
            return state.machine.endpointsReplaced(by: listings, at: now, options)
        }
        report([.updated(count: listings.count)] + changes)
    }

    /// Chooses an endpoint for an attempt; nil: there is none.
    func choose(for context: RequestContext, _ options: BalancingOptions) -> PlacedAttempt? {
        let avoided = context.call.visitedEndpoints(inHop: context.hop)
        let now = surroundings.now
        let (placed, changes) = state.withLock { state -> (PlacedAttempt?, [EndpointChange]) in
            let choice = state.machine.choose(at: now, random: random, avoiding: avoided, options)
            return (choice.pass.map { PlacedAttempt(self, $0, state.targets[$0.index]) }, choice.changes)
        }
        if !changes.isEmpty { report(changes) }
        note(placed, context)
        return placed
    }

    /// Gives an attempt to the endpoint that `url` belongs to; nil: there is none, or it gets no attempts now.
    func choose(_ url: ServiceURL, for context: RequestContext) -> PlacedAttempt? {
        let now = surroundings.now
        let placed = state.withLock { state -> PlacedAttempt? in
            guard let index = state.machine.index(ofEndpointWith: url) else { return nil }
            let pass = state.machine.choose(state.machine.endpoints[index].number, at: now)
            return pass.map { PlacedAttempt(self, $0, state.targets[index]) }
        }
        note(placed, context)
        return placed
    }

    private func note(_ placed: PlacedAttempt?, _ context: RequestContext) {
        guard let placed else { return }
        context.call.addVisitedEndpoint(placed.pass.number, inHop: context.hop)
    }

    /// Returns the base URL of the endpoint that `url` belongs to; nil: there is none.
    func base(of url: ServiceURL) -> ServiceURL? {
        state.withLock { state in
            guard let index = state.machine.index(ofEndpointWith: url) else { return nil }
            return state.machine.endpoints[index].place.url
        }
    }

    /// Records the end of an attempt.
    func attemptEnded(
        _ placed: PlacedAttempt, _ outcome: AttemptOutcome, wasSent: Bool, _ options: BalancingOptions
    ) {
        let now = surroundings.now
        let result =
            wasSent ? BalancerResult(outcome, elapsed: placed.pass.began.duration(to: now)) : .ignored
        let changes = state.withLock { $0.machine.attemptEnded(placed.pass, result, at: now, options) }
        if !changes.isEmpty { report(changes) }
    }

    /// Reports an event of the source of the endpoints.
    func report(_ changes: [EndpointChange]) {
        guard !changes.isEmpty, let events = surroundings.events else { return }
        for change in changes { events.resilience { $0.endpointsChanged(origin, change) } }
    }

    /// Whether an attempt is in flight.
    var isBusy: Bool { state.withLock { $0.machine.endpoints.contains { $0.pending > 0 } } }

    func snapshot() -> BalancerSnapshot {
        let now = surroundings.now
        return state.withLock { state in
            BalancerSnapshot(
                origin: origin, isPanicking: state.machine.isPanicking,
                endpoints: state.machine.snapshot(at: now, options))
        }
    }
}

/// An attempt, and the endpoint that it was given to.
struct PlacedAttempt: Sendable {
    let balancer: Balancer
    let pass: BalancerPass
    let target: EndpointTarget

    init(_ balancer: Balancer, _ pass: BalancerPass, _ target: EndpointTarget) {
        self.balancer = balancer
        self.pass = pass
        self.target = target
    }
}

extension BalancerStateMachine {
    /// Returns the place of the endpoint that `url` belongs to: the origin is the same, and the path is below that of
    /// the base URL. If several endpoints have this origin, the one with the longest such path.
    func index(ofEndpointWith url: ServiceURL) -> Int? {
        var (found, longest) = (Int?.none, -1)
        for (index, endpoint) in endpoints.enumerated() {
            guard let base = endpoint.place.url, base.origin == url.origin else { continue }
            let length = url.path(below: base) == nil ? 0 : base.path.utf8.count
            if length > longest { (found, longest) = (index, length) }
        }
        return found
    }
}
