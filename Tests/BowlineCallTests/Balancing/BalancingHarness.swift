import BowlineCore
import BowlineTesting
import Metrics

@testable import BowlineCall

/// A client's balancing over a stub transport, with a clock that the test moves.
final class BalancingHarness: Sendable {
    static let base = "https://api.example/v1"

    let stub = StubTransport()
    let listing: ListingTransport
    let clock = TestClock()
    let recorded = RecordedChanges()
    let balancers: Balancers
    private let options: BalancingOptions
    private let seed: UInt64

    init(
        _ endpoints: EndpointSource, base: String? = base, seed: UInt64 = 1,
        further listeners: [any ServiceEventListener] = [], _ configure: (inout BalancingOptions) -> Void = { _ in }
    ) throws {
        listing = ListingTransport(stub)
        var options = BalancingOptions()
        options.endpoints = endpoints
        configure(&options)
        self.options = options
        self.seed = seed
        balancers = Balancers(
            base: try base.map { try ServiceURL($0) }, transport: listing,
            events: EventDispatch([recorded] + listeners, clock: clock), clock: clock,
            random: SeededRandom(seed: seed).source())
    }

    /// Balances over these base URLs.
    convenience init(urls: [String], seed: UInt64 = 1, _ configure: (inout BalancingOptions) -> Void = { _ in }) throws
    {
        try self.init(.fixed(urls.map { ServiceEndpoint($0) }), seed: seed, configure)
    }

    /// The pipeline of a call. Nothing is retried unless `configure` says so.
    func pipeline(_ configure: (inout TestRoad) -> Void = { _ in }) throws -> Next {
        let road = TestRoad {
            $0.clock = clock
            $0.balancing = balancers.attempts(options)
            $0.retry.backoff.base = .nanoseconds(1)
            configure(&$0)
        }
        return try road.over(listing)
    }

    func request(_ url: String, method: HTTPRequest.Method = .get) throws -> ServiceRequest {
        var request = ServiceRequest(method: method, url)
        request.url = try ServiceURL(url)
        return request
    }

    func context(deadline: Duration? = nil, poolAcquire: Duration? = .seconds(10)) -> RequestContext {
        var timeouts = Timeouts()
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        timeouts.poolAcquire = poolAcquire
        return RequestContext(
            deadline: deadline.map { Deadline(clock.now.advanced(by: $0)) }, timeouts: timeouts,
            call: CallRecord(admitted: clock.now, clock: clock))
    }

    /// Sends a GET to this URL.
    func get(
        _ url: String = "https://api.example/v1/users", through pipeline: Next? = nil, context: RequestContext? = nil
    ) async throws -> ServiceResponse {
        let pipeline = try pipeline ?? self.pipeline()
        return try await pipeline(request(url), context: context ?? self.context())
    }

    /// As ``get(_:through:context:)``, and moves the clock over the waits between attempts.
    func getRetrying(
        _ url: String = "https://api.example/v1/users", attempts: Int = 3,
        _ configure: (inout TestRoad) -> Void = { _ in }
    ) async throws -> ServiceResponse {
        let pipeline = try pipeline {
            $0.retry.maximumAttempts = attempts
            $0.retry.budget = nil
            configure(&$0)
        }
        let done = Gate()
        let task = Task {
            defer { done.open() }
            return try await get(url, through: pipeline)
        }
        try await eventually("the call to end") {
            if !done.isOpen { clock.advanceToNextDeadline() }
            return done.isOpen
        }
        return try await task.value
    }

    /// The URLs that were sent, in order, with their queries.
    var sent: [String] { stub.calls.map { $0.request.url?.absoluteString ?? "none" } }
    /// The addresses that attempts were given to, in order.
    var addresses: [String] { stub.calls.map { $0.context.placement?.address?.description ?? "none" } }

    /// The attempts in flight of all endpoints.
    var inFlight: Int { balancers.snapshot().flatMap(\.endpoints).reduce(0) { $0 + $1.inFlight } }
}

/// Keeps the changes of endpoints as text.
final class RecordedChanges: ServiceEventListener {
    private let list = Guarded<[String]>([])

    var all: [String] { list.withLock { $0 } }

    func endpointsChanged(_ origin: Origin, _ change: EndpointChange) {
        let text =
            switch change {
            case .updated(let count): "updated \(count)"
            case .ignored(let problem): "ignored \(problem)"
            case .sourceEnded: "ended"
            case .sourceFailed(let error): "failed \(type(of: error))"
            case .ejected(let endpoint, let length): "ejected \(endpoint) \(length.logText)"
            case .restored(let endpoint): "restored \(endpoint)"
            case .panicChanged(let isPanic): "panic \(isPanic)"
            }
        list.withLock { $0.append("\(origin.host): \(text)") }
    }
}

/// A stub transport that can send to chosen addresses. By default every host has an address of its own, which is known.
final class ListingTransport: AddressListing {
    private struct State {
        var known = KnownAddresses.notChoosable
        var found: Result<[IPAddress]?, any Error> = .success(nil)
        var kept: [[IPAddress]] = []
        var lookUps = 0
        var questions: [String] = []
    }

    private let state = Guarded(State())
    private let stub: StubTransport
    /// Look-ups wait here.
    let gate = Gate(isOpen: true)

    init(_ stub: StubTransport) {
        self.stub = stub
    }

    /// Makes these addresses known without a wait.
    func know(_ addresses: [String]) {
        state.withLock { $0.known = .known(addresses.compactMap { IPAddress($0) }) }
    }

    func know(_ known: KnownAddresses) {
        state.withLock { $0.known = known }
    }

    /// Sets the answer of look-ups. The answer is known after a look-up.
    func find(_ addresses: [String]) {
        state.withLock { $0.found = .success(addresses.compactMap { IPAddress($0) }) }
    }

    func find(_ error: any Error) {
        state.withLock { $0.found = .failure(error) }
    }

    var lookUps: Int { state.withLock { $0.lookUps } }
    /// The hosts that ``knownAddresses(of:now:)`` was asked about.
    var questions: [String] { state.withLock { $0.questions } }
    /// The addresses of each call of ``keepOnly(_:of:)``.
    var kept: [[String]] { state.withLock { $0.kept.map { $0.map(\.description) } } }

    func addresses(of origin: Origin, deadline: Deadline?) async throws -> [IPAddress]? {
        state.withLock { $0.lookUps += 1 }
        try await gate.wait()
        return try state.withLock { state in
            let found = try state.found.get()
            if let found { state.known = .known(found) }
            return found
        }
    }

    func knownAddresses(of origin: Origin, now: MonotonicInstant) -> KnownAddresses {
        state.withLock { state in
            state.questions.append(origin.host)
            return state.known
        }
    }

    func keepOnly(_ addresses: [IPAddress], of origin: Origin) {
        state.withLock { $0.kept.append(addresses) }
    }

    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        try await stub.send(request, context: context)
    }
}
