internal import BowlineCall
internal import BowlineTesting
internal import Testing

@testable import Bowline
@testable import BowlineTrust

/// A client with all policies on keeps a bounded amount of state.
@Suite("A client with everything on", .timeLimit(.minutes(2)))
struct EverythingOnTests {
    /// Answers after 1 to 20 ms; one of 50 requests with 503, and one of 70 with a failure.
    private final class Service: ServiceTransport {
        private let count = Guarded(0)

        func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
            let number = count.withLock { count in
                count += 1
                return count
            }
            let clock = context.clock
            try await clock.sleep(until: clock.now.advanced(by: .milliseconds(1 + number % 20)), tolerance: nil)
            if number.isMultiple(of: 70) { throw ServiceError(.connectionClosed, "closed", progress: .ambiguous) }
            return ServiceResponse(status: number.isMultiple(of: 50) ? .serviceUnavailable : .ok)
        }
    }

    /// The sizes of all tables of a client.
    private struct Sizes: Hashable, CustomStringConvertible {
        let scopes: Int
        let budgets: Int
        let latencies: Int
        let endpoints: Int

        init(_ client: ServiceClient) {
            let snapshot = client.resilience.snapshot()
            scopes = snapshot.scopes.count
            budgets = client.core.retryBudgets.count
            latencies = client.core.hedgingLatencies.count
            endpoints = snapshot.balancers.flatMap(\.endpoints).count
        }

        init(scopes: Int, budgets: Int, latencies: Int, endpoints: Int) {
            self.scopes = scopes
            self.budgets = budgets
            self.latencies = latencies
            self.endpoints = endpoints
        }

        var description: String {
            "\(scopes) scopes, \(budgets) budgets, \(latencies) latencies, \(endpoints) endpoints"
        }
    }

    private static func makeClient(_ time: VirtualTime) throws -> ServiceClient {
        try ServiceClient(baseURL: "http://host0.test", transport: Service()) { configuration in
            configuration.clock = time.clock
            configuration.random = time.random
            configuration.resilience = .standard
            configuration.resilience.rate = RateOptions {
                $0.perSecond = 10_000
                $0.burst = 1_000
            }
            configuration.resilience.hedging = HedgingOptions()
            configuration.resilience.balancing = BalancingOptions {
                $0.endpoints = .fixed((0..<5).map { ServiceEndpoint("http://end\($0).test") })
            }
            configuration.authentication = SimulationPlan.Tokens(delay: .milliseconds(1), lifetime: .seconds(1))
                .authentication(time)
        }
    }

    /// Makes a call to a scope. Returns whether it was answered with 200.
    private static func call(_ client: ServiceClient, host: Int, scope: String?) async -> Bool {
        let response = try? await client.get("http://host\(host).test/thing") { $0.policyScope = scope }
        return response?.status == .ok
    }

    /// Makes the calls from `range`, 100 at a time. Returns how many were answered with 200.
    private static func makeCalls(
        _ range: Range<Int>, _ client: ServiceClient, _ place: @escaping @Sendable (Int) -> (host: Int, scope: String?)
    ) async -> Int {
        await withTaskGroup(of: Int.self) { group in
            for worker in 0..<100 {
                group.addTask {
                    var good = 0
                    for number in stride(from: range.lowerBound + worker, to: range.upperBound, by: 100) {
                        let (host, scope) = place(number)
                        if await call(client, host: host, scope: scope) { good += 1 }
                    }
                    return good
                }
            }
            return await group.reduce(0, +)
        }
    }

    // The memory of the process is not compared: Swift Testing keeps a backtrace of each error that is thrown, and each
    // cancelled wait throws one.
    @Test("10,000 calls over 50 scopes: no table of the client grows")
    func manyCalls() async throws {
        let (good, sizes, counts) = try await withVirtualTime(seed: 1) { time in
            let client = try Self.makeClient(time)
            var good = 0
            var sizes: [Sizes] = []
            for round in 0..<5 {
                good += await Self.makeCalls((round * 2_000)..<((round + 1) * 2_000), client) { number in
                    (number % 10, ["a", "b", "c", "d", nil][number / 10 % 5])
                }
                sizes.append(Sizes(client))
            }
            let counts = PoliciesRun.counts(of: client.resilience.snapshot())
            await client.shutdown(within: .seconds(1))
            return (good, sizes, counts)
        }
        let expected = Sizes(scopes: 50, budgets: 10, latencies: 50, endpoints: 5)
        #expect(sizes == Array(repeating: expected, count: 5))
        #expect(good > 9_800)
        #expect(counts.count == 4 * 50 + 5)
        #expect(counts.filter { $0.count != 0 } == [])
    }

    @Test("5,000 scopes: at most 1,024 are kept, and of these the scope that is in use all the time")
    func manyScopes() async throws {
        let (sizes, hot, most) = try await withVirtualTime(seed: 2) { time in
            let client = try Self.makeClient(time)
            var most = 0
            for round in 0..<50 {
                _ = await Self.makeCalls((round * 100)..<((round + 1) * 100), client) { (1 + $0, "\($0)") }
                _ = await Self.call(client, host: 0, scope: "hot")
                most = max(most, client.resilience.snapshot().scopes.count)
            }
            let snapshot = client.resilience.snapshot()
            let hot = snapshot.scope(PolicyScope(origin: try ServiceURL("http://host0.test").origin, name: "hot"))
            return (Sizes(client), hot?.admitted, most)
        }
        #expect(most <= ServiceGates.maximumScopes)
        #expect(most > ServiceGates.maximumScopes / 2)
        #expect((hot ?? 0) >= 50)
        #expect(sizes.scopes <= ServiceGates.maximumScopes)
        #expect(sizes.budgets <= RetryBudgets.maximumOrigins)
        #expect(sizes.latencies <= HedgingLatencies.maximumScopes)
        #expect(sizes.endpoints == 5)
    }

    @Test("Scopes that are cold for ten minutes are forgotten when others come, but not one that is isolated")
    func coldScopes() async throws {
        let (before, after) = try await withVirtualTime(seed: 3) { time in
            let client = try Self.makeClient(time)
            _ = await Self.makeCalls(0..<600, client) { (0, "cold \($0)") }
            try client.resilience.isolate(origin: "http://host0.test", scope: "cold 7")
            let before = client.resilience.snapshot().scopes.compactMap(\.scope.name)
            try await time.sleep(for: .seconds(601))
            _ = await Self.makeCalls(0..<600, client) { (0, "warm \($0)") }
            return (before, client.resilience.snapshot().scopes.compactMap(\.scope.name))
        }
        #expect(before.count > 300)
        #expect(before.allSatisfy { $0.hasPrefix("cold") })
        #expect(after.filter { $0.hasPrefix("cold") } == ["cold 7"])
        #expect(after.count > 300)
    }
}
