internal import Bowline
internal import BowlineCore
internal import BowlineTesting
internal import BowlineTransport
internal import Logging

/// The parts of one simulation: the service, the network, and the client with its listeners.
// Safety: used on the simulation's thread only.
final class SimulationWorld: @unchecked Sendable {
    /// Longer than any delay of a peer or a path.
    private static let aftermath = Duration.seconds(60)

    let time: VirtualTime
    let plan: SimulationPlan
    let service: SimulationService
    let network: SimulationNetwork
    private let events: SimulationEvents
    private let inspector: SimulationInspector
    private var shutdown: SimulationShutdownRecord?
    /// The pools. nil: there is no client, or it was released.
    private(set) weak var transport: PooledTransport?

    init(_ time: VirtualTime, _ plan: SimulationPlan) {
        self.time = time
        self.plan = plan
        let service = SimulationService(time, calls: plan.calls, hasTokens: plan.tokens != nil) {
            plan.act($0, arrival: $1)
        }
        self.service = service
        network = SimulationNetwork(time, plan) { channel, address in
            try Self.addPeer(to: channel, address, service, time, plan)
        }
        events = SimulationEvents(time) { number in
            plan.retry.maximumAttempts > 1 && plan.calls.indices.contains(number) && !plan.calls[number].isDerived
        }
        inspector = SimulationInspector(time, plan)
    }

    private static func addPeer(
        to channel: SimulationChannel, _ address: SimulationAddress, _ service: SimulationService, _ time: VirtualTime,
        _ plan: SimulationPlan
    ) throws {
        guard address.isHTTP2 else {
            return try SimulationHTTP1Peer(service, channel: channel, keepAlive: plan.keepAlive).add()
        }
        try SimulationHTTP2Peer(
            service, channel: channel, random: time.makeRandom("peer \(channel.number)"), streams: plan.streams
        ).add()
    }

    /// Makes the client, runs `body`, and shuts the client down.
    ///
    /// - Returns: the record, complete except for ``addRemains(to:)``. The client is released.
    func withClient(
        _ body: (ServiceClient, SimulationCaller) async throws -> Void
    ) async throws -> SimulationRecord {
        let transport = try PooledTransport(options: transportOptions())
        self.transport = transport
        for loop in network.loops.loops {
            loop.afterTurn = { [weak transport, inspector] in
                if let transport { inspector.check(transport.snapshot()) }
            }
        }
        let client = try makeClient(transport)
        let caller = try SimulationCaller(time, plan, client: client, events: events)
        try await body(client, caller)
        // Every call has ended, so this shutdown does not wait for calls.
        await client.shutdown(within: .seconds(5))
        return await record(caller, transport, client)
    }

    private func record(
        _ caller: SimulationCaller, _ transport: PooledTransport, _ client: ServiceClient
    ) async -> SimulationRecord {
        var record = SimulationRecord(plan: plan)
        record.calls = caller.records
        record.steps = events.steps
        record.executions = service.executions
        record.executionsUnchanged = service.executionsUnchanged
        record.arrivals = service.arrivals
        record.problems = service.problems
        record.poolViolations = inspector.violations
        record.shutdown = shutdown
        record.figures = events.figures.merging(service.reactions) { $0 + $1 }
        record.figures["refused connects"] = network.figures.refusedConnects
        record.figures["silent connects"] = network.figures.silentConnects
        record.figures["cut connections"] = network.figures.cuts
        record.figures["dark connections"] = network.figures.dark
        let snapshot = transport.snapshot()
        record.remains.pooled =
            snapshot.idle + snapshot.active + snapshot.dialling + snapshot.waiting + snapshot.streams
        await record.remains.add(stateOf: client)
        return record
    }

    /// Waits until everything that the released client has left behind would have ended. Adds what is left, and the
    /// trace.
    func addRemains(to record: inout SimulationRecord) async throws {
        try await time.sleep(for: Self.aftermath)
        network.closePeers()
        try await time.sleep(for: Self.aftermath)
        record.remains.channels = network.openChannels
        record.remains.sleepers = time.clock.sleeperCount
        if transport != nil { record.poolViolations.append("the transport was not released") }
        record.trace = time.trace
    }

    // MARK: The client

    private func transportOptions() -> TransportOptions {
        var options = TransportOptions()
        options.pool = plan.pool
        options.connection = plan.connection
        options.http2 = plan.http2
        options.proxy = .none
        options.connectTimeout = plan.timeouts.connect
        options.clock = time.clock
        options.random = time.makeRandom("transport").source()
        options.resolver = SimulationResolver(time: time, plan: plan)
        options.variable = { _ in nil }
        options.network = network
        options.events = EventDispatch([events], clock: time.clock)
        return options
    }

    private func makeClient(_ transport: PooledTransport) throws -> ServiceClient {
        try ServiceClient(transport: transport) { configuration in
            configuration.retry = plan.retry
            configuration.timeouts = plan.timeouts
            configuration.connection.replayLimit = plan.connection.replayLimit
            configuration.clock = time.clock
            configuration.random = time.random
            configuration.telemetry.events = [events]
            if let tokens = plan.tokens {
                configuration.authentication = tokens.authentication(time)
                configuration.authenticatedOrigins = plan.hosts.map { "http://\($0):\(SimulationPlan.port)" }
            }
            configuration.telemetry.logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        }
    }

    // MARK: The shutdown

    /// Shuts the client down as planned, and records the report.
    func shutDown(_ client: ServiceClient, _ planned: SimulationPlan.Shutdown) async {
        shutdown = await planned.perform(on: client, time) { self.events.add(.drainBegan) }
    }
}

/// Resolves the names of a plan's hosts, after a delay.
private struct SimulationResolver: ServiceResolver {
    let time: VirtualTime
    let plan: SimulationPlan

    func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        if plan.lookUp > .zero { try await time.sleep(for: plan.lookUp) }
        return ResolvedAddresses(plan.addresses(of: host).filter { $0.family == family })
    }
}
