internal import BowlineCore

/// Distributes the attempts for one origin over its endpoints.
///
/// One lock guards the machine. It is held for a transition; events are delivered after it.
final class Balancer: Sendable {
    /// The origin that the requests name.
    let origin: Origin
    private let machine: Guarded<BalancerStateMachine>
    private let options: BalancingOptions
    private let surroundings: BalancingSurroundings

    /// - Parameter options: The options for changes that belong to no attempt. Each attempt has its own.
    init(_ origin: Origin, _ options: BalancingOptions, _ surroundings: BalancingSurroundings) {
        self.origin = origin
        self.options = options
        self.surroundings = surroundings
        machine = Guarded(BalancerStateMachine(firstNumber: surroundings.numbers.next()))
    }

    /// Replaces the list of endpoints.
    func replace(by listings: [EndpointListing]) {
        let now = surroundings.clock.now
        let changes = machine.withLock { $0.endpointsReplaced(by: listings, at: now, options) }
        report([.updated(count: listings.count)] + changes)
    }

    /// Chooses an endpoint for an attempt; nil: there is none.
    func choose(for context: RequestContext, _ options: BalancingOptions) -> PlacedAttempt? {
        let visited = context.call.visitedEndpoints
        let avoided = visited.numbers(inHop: context.hop)
        let (now, random) = (surroundings.clock.now, surroundings.random())
        let (placed, changes) = machine.withLock { machine -> (PlacedAttempt?, [EndpointChange]) in
            let choice = machine.choose(at: now, random: random, avoiding: avoided, options)
            let placed = choice.pass.map { PlacedAttempt(self, $0, machine.endpoints[$0.index].place, options) }
            return (placed, choice.changes)
        }
        report(changes)
        if let placed { visited.add(placed.pass.number, inHop: context.hop) }
        return placed
    }

    /// Gives an attempt to the endpoint that `url` belongs to; nil: there is none, or it gets no attempts now.
    func choose(_ url: ServiceURL, for context: RequestContext, _ options: BalancingOptions) -> PlacedAttempt? {
        let now = surroundings.clock.now
        let placed = machine.withLock { machine -> PlacedAttempt? in
            guard let index = machine.index(ofEndpointWith: url) else { return nil }
            let pass = machine.choose(machine.endpoints[index].number, at: now)
            return pass.map { PlacedAttempt(self, $0, machine.endpoints[index].place, options) }
        }
        if let placed { context.call.visitedEndpoints.add(placed.pass.number, inHop: context.hop) }
        return placed
    }

    /// Returns the base URL of the endpoint that `url` belongs to; nil: there is none.
    func base(of url: ServiceURL) -> ServiceURL? {
        machine.withLock { machine in
            guard let index = machine.index(ofEndpointWith: url) else { return nil }
            return machine.endpoints[index].place.url
        }
    }

    /// Records the end of an attempt.
    func attemptEnded(_ placed: PlacedAttempt, _ outcome: AttemptOutcome, wasSent: Bool) {
        let now = surroundings.clock.now
        let result =
            wasSent ? BalancerResult(outcome, elapsed: placed.pass.began.duration(to: now)) : .ignored
        report(machine.withLock { $0.attemptEnded(placed.pass, result, at: now, placed.options) })
    }

    /// Reports an event of the source of the endpoints.
    func report(_ changes: [EndpointChange]) {
        guard !changes.isEmpty, let events = surroundings.events else { return }
        for change in changes { events.resilience { $0.endpointsChanged(origin, change) } }
    }

    /// Whether an attempt is in flight.
    var isBusy: Bool { machine.withLock { $0.endpoints.contains { $0.pending > 0 } } }

    func snapshot() -> BalancerSnapshot {
        let now = surroundings.clock.now
        return machine.withLock { machine in
            BalancerSnapshot(
                origin: origin, isPanicking: machine.isPanicking, endpoints: machine.snapshot(at: now, options))
        }
    }
}

/// An attempt, and the endpoint that it was given to.
struct PlacedAttempt: Sendable {
    let balancer: Balancer
    let pass: BalancerPass
    let place: BalancedEndpoint
    /// The options of the client that sends the attempt.
    let options: BalancingOptions

    init(_ balancer: Balancer, _ pass: BalancerPass, _ place: BalancedEndpoint, _ options: BalancingOptions) {
        self.balancer = balancer
        self.pass = pass
        self.place = place
        self.options = options
    }
}

extension BalancedEndpoint {
    /// The base URL; nil: the endpoint is an address.
    var url: ServiceURL? {
        if case .url(let url) = self { url } else { nil }
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
