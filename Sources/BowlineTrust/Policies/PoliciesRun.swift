internal import Bowline
internal import BowlineTesting
internal import Logging

/// Runs a client of one plan over services in memory, on virtual time. The same plan gives the same run.
struct PoliciesRun: Sendable {
    /// Longer than anything that a client leaves behind. With a store of tokens, the timer for the next token of this
    /// process's own share may be far away, and goes on after the client's end.
    private static func aftermath(_ plan: PoliciesPlan) -> Duration {
        plan.store == nil ? .seconds(60) : .seconds(3_600)
    }

    let plan: PoliciesPlan

    init(_ plan: PoliciesPlan) {
        self.plan = plan
    }

    /// Runs the plan.
    ///
    /// - Throws: `VirtualTimeFailure` if a call never ends; the errors of making the client.
    func run() async throws -> PoliciesRecord {
        let plan = plan
        let order: VirtualTime.JobOrder = plan.isShuffled ? .shuffled : .arrival
        return try await withVirtualTime(seed: plan.seed, order: order, limit: SimulationRun.longest) { time in
            var record = try await Self.run(plan, PoliciesLog(time))
            // The client is released now.
            try await time.sleep(for: Self.aftermath(plan))
            record.remains.sleepers = time.clock.sleeperCount
            record.trace = time.trace
            return record
        }
    }

    private static func run(_ plan: PoliciesPlan, _ log: PoliciesLog) async throws -> PoliciesRecord {
        let service = PoliciesService(log, plan)
        let client = try makeClient(plan, log, service)
        let caller = try PoliciesCaller(plan, log, client: client)
        var record = PoliciesRecord(plan: plan)
        record.shutdown = await withTaskGroup(of: SimulationShutdownRecord?.self) { group in
            for call in plan.calls {
                group.addTask {
                    await caller.make(call)
                    return nil
                }
            }
            for hand in plan.hands {
                group.addTask {
                    await move(hand, client, log)
                    return nil
                }
            }
            if let planned = plan.shutdown {
                group.addTask { await planned.perform(on: client, log.time) { log.add(.drainBegan) } }
            }
            return await group.reduce(nil) { $0 ?? $1 }
        }
        try await log.time.settle()
        record.counts = counts(of: client.resilience.snapshot())
        await client.shutdown(within: .seconds(5))
        await record.remains.add(stateOf: client)
        record.calls = caller.records
        record.arrivals = service.arrivals
        record.steps = log.steps
        record.figures = log.figures
        return record
    }

    /// Opens or resets a breaker, at its time.
    private static func move(_ hand: PoliciesPlan.Hand, _ client: ServiceClient, _ log: PoliciesLog) async {
        try? await log.time.sleep(untilElapsed: hand.at)
        let origin = client.baseURL?.origin.description ?? ""
        do {
            if hand.isolates {
                try client.resilience.isolate(origin: origin, scope: hand.scope)
            } else {
                try client.resilience.reset(origin: origin, scope: hand.scope)
            }
            log.time.note("caller: \(hand.isolates ? "isolates" : "resets") \(origin) \(hand.scope ?? "-")")
        } catch {
            log.time.note("caller: cannot move a breaker by hand: \(error)")
        }
    }

    /// The counts that must be zero when no call is in flight.
    static func counts(of snapshot: ResilienceSnapshot) -> [PoliciesCount] {
        var counts: [PoliciesCount] = []
        for scope in snapshot.scopes {
            counts.append(PoliciesCount(what: "attempts in flight in \(scope.scope)", count: scope.inFlight))
            counts.append(PoliciesCount(what: "attempts that wait in \(scope.scope)", count: scope.waiting))
            guard let limits = scope.concurrency else { continue }
            counts.append(PoliciesCount(what: "attempts with a slot in \(scope.scope)", count: limits.inFlight))
            counts.append(PoliciesCount(what: "attempts in the queue of \(scope.scope)", count: limits.waiting))
        }
        for endpoint in snapshot.balancers.flatMap(\.endpoints) {
            counts.append(PoliciesCount(what: "attempts in flight at \(endpoint.endpoint)", count: endpoint.inFlight))
        }
        return counts
    }

    // MARK: The client

    private static func makeClient(
        _ plan: PoliciesPlan, _ log: PoliciesLog, _ service: PoliciesService
    ) throws -> ServiceClient {
        let time = log.time
        return try ServiceClient(baseURL: PoliciesPlan.origin(of: plan.hosts[0]), transport: service) { configuration in
            configuration.clock = time.clock
            configuration.random = time.random
            configuration.retry = plan.retry
            configuration.timeouts = plan.timeouts
            configuration.redirect.maximum = plan.redirects
            configuration.resilience = plan.resilience
            configuration.telemetry.events = [log]
            configuration.telemetry.logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
            if let store = plan.store { configuration.resilience.rate?.store = PoliciesStore(log, store) }
            if let tokens = plan.tokens { configuration.authentication = tokens.authentication(time) }
            if plan.hasMiddleware { configuration.middleware.perAttempt = [PoliciesMiddleware(log: log)] }
            if let endpoints = plan.endpoints {
                configuration.resilience.balancing = plan.balancing
                configuration.resilience.balancing?.endpoints = source(endpoints, time)
            }
        }
    }

    private static func source(_ endpoints: PoliciesPlan.Endpoints, _ time: VirtualTime) -> EndpointSource {
        guard !endpoints.lists.isEmpty else { return .fixed(endpoints.all) }
        let (lists, found) = AsyncStream.makeStream(of: [ServiceEndpoint].self)
        for (place, list) in endpoints.lists.enumerated() {
            time.schedule(at: time.now.advanced(by: list.at)) {
                found.yield(list.numbers.map { endpoints.all[$0] })
                if place == endpoints.lists.count - 1 { found.finish() }
            }
        }
        return .updates(EndpointUpdates(lists))
    }
}
