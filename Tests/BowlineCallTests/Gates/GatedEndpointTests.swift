import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Gates before a source of endpoints", .timeLimit(.minutes(1)))
struct GatedEndpointTests {
    /// A client with gates that balances over a sequence of lists.
    private struct Gated {
        let lists: AsyncStream<[ServiceEndpoint]>.Continuation
        let harness: BalancingHarness
        private let gates: ServiceGates
        private let pipeline: Next

        init(_ resilience: (inout ResilienceOptions) -> Void) throws {
            let (stream, lists) = AsyncStream<[ServiceEndpoint]>.makeStream()
            self.lists = lists
            harness = try BalancingHarness(.updates(EndpointUpdates(stream)))
            gates = ServiceGates(clock: harness.clock)
            var options = ResilienceOptions()
            resilience(&options)
            let plan = CallPlan.Gates(gates, options)
            pipeline = try harness.pipeline { $0.gates = plan }
        }

        func get(_ path: String = "users") async throws -> ServiceResponse {
            try await harness.get(
                "https://api.example/v1/\(path)", through: pipeline, context: harness.context(poolAcquire: .seconds(2)))
        }

        func give(_ urls: String...) { lists.yield(urls.map { ServiceEndpoint($0) }) }

        /// Waits until the client has reported this many changes of its endpoints.
        func waitForChanges(_ count: Int) async throws {
            try await eventually("\(count) changes") { harness.recorded.all.count >= count }
        }

        var scope: ScopeSnapshot {
            get throws { try #require(gates.snapshot().scopes.first) }
        }
    }

    @Test("noEndpoint is no failure and no sign of overload, and gives its place in flight back", .tags(.BA9))
    func ignored() async throws {
        let gated = try Gated {
            $0.breaker = BreakerOptions()
            $0.concurrency = ConcurrencyOptions()
            $0.concurrency?.limit = .adaptive(initial: 4, minimum: 1, maximum: 10)
        }
        // The sequence ends without a list, so attempts do not wait.
        gated.lists.finish()
        for _ in 0..<40 {
            let error = await serviceError { try await gated.get() }
            #expect(error?.code == .noEndpoint)
        }
        let scope = try gated.scope
        #expect(scope.admitted == 40)
        #expect(scope.refused == 0)
        #expect(scope.inFlight == 0)
        #expect(scope.breaker.state == .closed)
        #expect(scope.concurrency == ConcurrencySnapshot(limit: 4, inFlight: 0, waiting: 0))
    }

    @Test("A probe of a half-open breaker that gets no endpoint is neither a success nor a failure", .tags(.BA9, .BR4))
    func probe() async throws {
        let gated = try Gated {
            $0.breaker = BreakerOptions()
            $0.breaker?.minimumAttempts = 1
            $0.breaker?.probes = 1
        }
        gated.harness.stub.on(.get, "/broken", always: .respond(.badGateway))
        gated.harness.stub.on(.get, "/users", always: .respond())
        gated.give("http://a.example")
        _ = try await gated.get("broken")
        #expect(try gated.scope.breaker.state == .open)
        gated.give()
        try await gated.waitForChanges(2)
        gated.harness.clock.advance(by: .seconds(6))
        let probe = Task { try await gated.get() }
        try await gated.harness.clock.waitForSleepers()
        #expect(try gated.scope.breaker.state == .halfOpen)
        gated.harness.clock.advance(by: .seconds(2))
        let error = await serviceError { try await probe.value }
        #expect(error?.code == .noEndpoint)
        #expect(try gated.scope.breaker.state == .halfOpen)
        // The next attempt is a probe at once.
        gated.give("http://a.example")
        try await gated.waitForChanges(3)
        let response = try await gated.get()
        #expect(response.status == .ok)
        #expect(try gated.scope.breaker.state == .closed)
    }
}
