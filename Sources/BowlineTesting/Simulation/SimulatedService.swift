public import BowlineCore

/// A service in virtual time: replicas with workers, queues, latencies and faults, behind a `ServiceTransport`.
///
/// ```swift
/// try await withVirtualTime(seed: 1) { time in
///     let service = SimulatedService(time) { $0.workTime = .exponential(mean: .milliseconds(20)) }
///     service.schedule(.refused, from: .seconds(5), until: .seconds(10))
///     let client = try ServiceClient(baseURL: service.baseURL, transport: service) {
///         $0.clock = time.clock
///         $0.random = time.random
///     }
///     …
///     print(service.totals.good)
/// }
/// ```
/// The limits of a request end it as at a real connection: the deadline, `timeouts.attempt` and `.responseHead`. A
/// caller that has given up leaves its request at the service, unless
/// ``SimulatedReplica/finishesAbandonedRequests`` is false. To test single answers, use ``StubTransport``.
public final class SimulatedService: ServiceTransport {
    /// Which replica gets a request that names none: its URL has the service's host, and no balancer has chosen an
    /// address.
    public enum Distribution: Sendable, Hashable, CaseIterable {
        /// One replica after the other, as a load balancer does.
        case roundRobin
        /// Any replica, with the same probability.
        case random
        /// The first replica, as a client that always uses the first address.
        case first
    }

    /// The host of ``baseURL``.
    public let host: String
    /// The number of replicas.
    public let replicaCount: Int
    private let time: VirtualTime
    private let distribution: Distribution
    private let driver: SimulatedServiceDriver
    private let state: Guarded<State>

    private struct State: Sendable {
        var listed: [Int]
        var nextReplica = 0
        var random: SeededRandom
        /// How many requests each replica got.
        var requests: [Int]
    }

    /// Makes a service.
    ///
    /// - Parameters:
    ///   - time: The virtual time that it runs on. The clients that use the service must have its clock.
    ///   - host: The service's host. Replica 0 has also the host `0.` and this host, and so on. Default `service.test`.
    ///   - replicas: The number of replicas; 1 to 250. Default 1.
    ///   - distribution: Which replica gets a request that names none. Default `.roundRobin`.
    ///   - tick: The length of a ``SimulatedTick``. Default 100 ms.
    ///   - configure: Sets the options of all replicas. To change single ones, use
    ///     ``change(replicas:_:)``.
    public init(
        _ time: VirtualTime, host: String = "service.test", replicas: Int = 1,
        distribution: Distribution = .roundRobin, tick: Duration = .milliseconds(100),
        _ configure: (inout SimulatedReplica) -> Void = { _ in }
    ) {
        self.time = time
        self.host = host
        self.distribution = distribution
        var options = SimulatedReplica()
        configure(&options)
        let count = min(max(replicas, 1), 250)
        replicaCount = count
        driver = SimulatedServiceDriver(
            time, SimulatedServiceMachine(Array(repeating: options, count: count), tick: tick, now: time.now),
            random: time.makeRandom("service \(host)"))
        state = Guarded(
            State(
                listed: Array(0..<count), random: time.makeRandom("distribution \(host)"),
                requests: Array(repeating: 0, count: count)))
        time.loop.addReporter { [weak driver, host] in
            let count = driver?.waitingCount ?? 0
            return count > 0 ? "\(count) requests at \(host)" : nil
        }
    }

    // MARK: Addresses

    /// The URL of the service. ``Distribution`` decides which replica gets a request.
    public var baseURL: String { "http://\(host)" }

    /// The URL of each replica.
    public var replicaURLs: [String] { (0..<replicaCount).map { "http://\($0).\(host)" } }

    /// The replicas as endpoints for `resilience.balancing`.
    public var endpoints: [ServiceEndpoint] { replicaURLs.map { ServiceEndpoint($0) } }

    /// The address of each replica: `10.0.0.1` and so on. A client that balances over addresses gets the addresses of
    /// ``listedReplicas``.
    public var addresses: [IPAddress] { (0..<replicaCount).map { Self.address(of: $0) } }

    /// The replicas whose addresses a look-up of the host's name finds. At first all.
    public var listedReplicas: [Int] {
        get { state.withLock { $0.listed } }
        set {
            let listed = newValue.filter { 0..<replicaCount ~= $0 }
            state.withLock { $0.listed = listed }
        }
    }

    static func address(of replica: Int) -> IPAddress { IPAddress(v4: 0x0A00_0001 + UInt32(replica)) }

    // MARK: What it does

    /// How many requests per second the replicas can process together, without faults.
    public var capacity: Double {
        driver.read { machine, _ in (0..<machine.replicaCount).reduce(0) { $0 + machine.options(of: $1).capacity } }
    }

    /// Changes the options of replicas now. To change them later, use ``change(at:replicas:_:)``.
    ///
    /// - Parameters:
    ///   - replicas: The numbers of the replicas, from 0; nil: all.
    ///   - change: Changes the options.
    public func change(replicas: [Int]? = nil, _ change: (inout SimulatedReplica) -> Void) {
        let numbers = replicas?.filter { 0..<replicaCount ~= $0 } ?? Array(0..<replicaCount)
        driver.perform { machine, random, now in
            numbers.flatMap { machine.change($0, now: now, random: &random, change) }
        }
    }

    /// Changes the options of replicas later.
    ///
    /// - Parameters:
    ///   - instant: When, since the begin of the run.
    ///   - replicas: The numbers of the replicas, from 0; nil: all.
    ///   - change: Changes the options.
    public func change(
        at instant: Duration, replicas: [Int]? = nil, _ change: @escaping @Sendable (inout SimulatedReplica) -> Void
    ) {
        time.schedule(at: VirtualTime.start.advanced(by: instant)) { self.change(replicas: replicas, change) }
    }

    /// Makes something go wrong for some time.
    ///
    /// - Parameters:
    ///   - fault: What goes wrong.
    ///   - from: When it begins, since the begin of the run.
    ///   - until: When it ends, since the begin of the run; nil: never.
    ///   - replicas: The numbers of the replicas, from 0; nil: all.
    public func schedule(
        _ fault: SimulatedFault, from: Duration, until: Duration? = nil, replicas: [Int]? = nil
    ) {
        let start = VirtualTime.start
        let scheduled = ScheduledFault(
            fault: fault, from: start.advanced(by: from), until: until.map { start.advanced(by: $0) },
            replicas: replicas)
        driver.perform { machine, _, now in machine.scheduleFault(scheduled, now: now) }
        let place = replicas.map { " at \($0)" } ?? ""
        time.schedule(at: scheduled.from) { [time, host] in time.note("\(host): \(fault)\(place) begins") }
        if let end = scheduled.until {
            time.schedule(at: end) { [time, host] in time.note("\(host): \(fault)\(place) ends") }
        }
    }

    /// Sets a quota for all replicas together; nil: none. At first there is none.
    public func setQuota(_ quota: SimulatedQuota?) {
        driver.read { machine, now in machine.setQuota(quota, now: now) }
    }

    // MARK: The record

    /// What the service did until now, tick by tick, all replicas together.
    public var ticks: [SimulatedTick] {
        let all = (0..<replicaCount).map { ticks(of: $0) }
        guard var sum = all.first else { return [] }
        for ticks in all.dropFirst() {
            for (index, tick) in zip(sum.indices, ticks) { sum[index].add(tick) }
        }
        return sum
    }

    /// What one replica did until now, tick by tick; empty: there is no such replica.
    public func ticks(of replica: Int) -> [SimulatedTick] {
        guard 0..<replicaCount ~= replica else { return [] }
        return driver.read { machine, now in machine.ticks(of: replica, now: now) }
    }

    /// What the service did from one instant until another, as one tick. The bounds are rounded to whole ticks.
    ///
    /// - Parameters:
    ///   - from: The begin, since the begin of the run.
    ///   - until: The end, since the begin of the run; nil: now.
    public func totals(from: Duration = .zero, until: Duration? = nil) -> SimulatedTick {
        let chosen = ticks.filter { tick in tick.start >= from && until.map { tick.start < $0 } != false }
        var total = SimulatedTick(
            start: chosen.first?.start ?? from, length: chosen.reduce(.zero) { $0 + $1.length })
        for tick in chosen { total.add(tick) }
        total.queued = chosen.last?.queued ?? 0
        total.longestQueue = chosen.map(\.longestQueue).max() ?? 0
        return total
    }

    /// What the service did until now, as one tick.
    public var totals: SimulatedTick { totals() }

    /// How often each request with an identity was executed: its work was done and its answer was a success, whether
    /// or not the answer reached the caller.
    public var executions: [String: Int] { driver.read { machine, _ in machine.executionCounts } }

    /// How many executions were repetitions: the same identity was executed before.
    public var repeatedExecutions: Int { executions.values.reduce(0) { $0 + $1 - 1 } }

    // MARK: Requests

    public func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        try Task.checkCancellation()
        guard let clock = context.clock as? VirtualClock, clock === time.clock else {
            throw ServiceError(
                .invalidConfiguration,
                "a simulated service needs the clock of its virtual time: set configuration.clock")
        }
        let url = try request.url ?? ServiceURL(baseURL).appending(request.reference)
        let exchange = StubExchange(context: context, origin: url.origin, waits: driver.waits)
        if let limit = exchange.headLimit(), exchange.hasPassed(limit) {
            throw exchange.failure(limit, phase: .pipeline, progress: .neverSent)
        }
        guard let replica = choose(url.origin, context.placement?.address) else {
            throw failure(.nameResolutionFailed, "the simulated service has no such host", context, url)
        }
        defer { context.call.enter(.pipeline, attempt: context.attempt) }
        if request.body.isSequence || request.body.makeTrailers != nil {
            _ = try await StubTransport.read(request, exchange)
        }
        context.call.enter(.awaitingHead, attempt: context.attempt)
        let call = SimulatedCall(request: request, context: context, replica: replica)
        let identity = driver.read { machine, _ in machine.options(of: replica).identity }
        switch try await driver.send(call, identity: identity(request), exchange) {
        case .answer(let answer):
            request.body.commit()
            return response(answer, replica, context)
        case .refused:
            throw failure(.connectionRefused, "the simulated service refuses connections", context, url)
        case .dropped:
            var error = failure(.connectionClosed, "the simulated service closed the connection", context, url)
            error.progress = .ambiguous
            error.phase = .awaitingHead
            throw error
        }
    }

    @discardableResult
    public func close() async -> Int {
        driver.close()
        return 0
    }

    /// Returns the replica for a request; nil: the host is not one of the service's hosts.
    private func choose(_ origin: Origin, _ address: IPAddress?) -> Int? {
        if origin.host == host {
            if let address { return (0..<replicaCount).first { Self.address(of: $0) == address } }
            return state.withLock { state in
                let among = state.listed.isEmpty ? Array(0..<replicaCount) : state.listed
                switch distribution {
                case .roundRobin:
                    state.nextReplica += 1
                    return among[(state.nextReplica - 1) % among.count]
                case .random: return among[state.random.next(in: 0..<among.count)]
                case .first: return among[0]
                }
            }
        }
        guard origin.host.hasSuffix(".\(host)"), let number = Int(origin.host.dropLast(host.count + 1)) else {
            return nil
        }
        return 0..<replicaCount ~= number ? number : nil
    }

    private func response(_ answer: SimulatedAnswer, _ replica: Int, _ context: RequestContext) -> ServiceResponse {
        let requests = state.withLock { state in
            state.requests[replica] += 1
            return state.requests[replica]
        }
        let connection = ConnectionFacts(
            id: replica + 1, isReused: requests > 1, requests: requests,
            peer: "\(Self.address(of: replica)):80", protocolVersion: .http1_1)
        return ServiceResponse(
            status: answer.status, fields: answer.fields, body: ResponseBody(answer.body),
            facts: ResponseFacts(connection: connection, attempts: context.attempt))
    }

    private func failure(
        _ code: ServiceError.Code, _ message: String, _ context: RequestContext, _ url: ServiceURL
    ) -> ServiceError {
        ServiceError(
            code, message, progress: .neverSent, attempts: context.attempt, origin: url.origin.description,
            phase: .connecting)
    }
}

extension SimulatedService: AddressListing {
    package func addresses(of origin: Origin, deadline: Deadline?) async throws -> [IPAddress]? {
        guard origin.host == host else { return nil }
        return listedReplicas.map { Self.address(of: $0) }
    }

    package func knownAddresses(of origin: Origin, now: MonotonicInstant) -> KnownAddresses {
        origin.host == host ? .known(listedReplicas.map { Self.address(of: $0) }) : .notChoosable
    }

    package func keepOnly(_ addresses: [IPAddress], of origin: Origin) {}
}
