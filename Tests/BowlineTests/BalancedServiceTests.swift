import Bowline
import BowlineTesting
import Testing

/// Balancing over a simulated service in virtual time.
@Suite("A client that balances over the replicas of a service", .timeLimit(.minutes(2)))
struct BalancedServiceTests {
    /// The results of the calls of one run.
    private struct Results: Sendable {
        var latencies: [Duration] = []
        var failed = 0
        var requests = 0

        func percentile(_ share: Double) -> Duration {
            let sorted = latencies.sorted()
            return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
        }
    }

    /// Sends calls at a steady rate, without waiting for their responses.
    private static func run(
        _ time: VirtualTime, _ client: ServiceClient, rate: Int, seconds: Int
    ) async throws -> Results {
        try await withThrowingTaskGroup(of: Duration?.self) { group in
            var results = Results()
            for number in 0..<(rate * seconds) {
                try await time.sleep(untilElapsed: .microseconds(number * 1_000_000 / rate))
                group.addTask {
                    let began = time.now
                    do {
                        let response = try await client.get("x")
                        return response.status == .ok ? began.duration(to: time.now) : nil
                    } catch {
                        return nil
                    }
                }
            }
            for try await latency in group {
                if let latency { results.latencies.append(latency) } else { results.failed += 1 }
            }
            return results
        }
    }

    private static func client(
        _ time: VirtualTime, _ service: SimulatedService, _ endpoints: EndpointSource = .addresses,
        _ configure: (inout ClientConfiguration) -> Void = { _ in }
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: service.baseURL, transport: service) {
            $0.clock = time.clock
            $0.random = time.random
            var balancing = BalancingOptions()
            balancing.endpoints = endpoints
            $0.resilience.balancing = balancing
            configure(&$0)
        }
    }

    @Test(
        "With one of five replicas ten times slower, the 99th percentile stays near that of five equal ones",
        .tags(.BA1))
    func slowReplica() async throws {
        func run(slow: Bool) async throws -> Results {
            try await withVirtualTime(seed: 1) { time in
                let service = SimulatedService(time, replicas: 5) {
                    $0.workTime = .exponential(mean: .milliseconds(10))
                }
                if slow { service.change(replicas: [0]) { $0.workTime = .exponential(mean: .milliseconds(100)) } }
                let client = try Self.client(time, service)
                var results = try await Self.run(time, client, rate: 200, seconds: 15)
                results.requests = service.ticks(of: 0).reduce(0) { $0 + $1.offered }
                await client.shutdown()
                return results
            }
        }
        let (healthy, slow) = (try await run(slow: false), try await run(slow: true))
        #expect(healthy.failed == 0)
        #expect(slow.failed == 0)
        #expect(healthy.requests > 400)
        #expect(slow.requests < 60, "\(slow.requests)")
        #expect(slow.percentile(0.99) < healthy.percentile(0.99) * 1.3)
    }

    @Test(
        "A replica that refuses connections is ejected; no call fails, and after its return it gets requests again",
        .tags(.BA3))
    func refusingReplica() async throws {
        let (results, during, after) = try await withVirtualTime(seed: 2) { time in
            let service = SimulatedService(time, replicas: 5)
            service.schedule(.refused, from: .seconds(2), until: .seconds(7), replicas: [3])
            let client = try Self.client(time, service)
            let results = try await Self.run(time, client, rate: 100, seconds: 30)
            let ticks = service.ticks(of: 3)
            // Ticks of 100 ms.
            let during = ticks.dropFirst(20).prefix(50).reduce(0) { $0 + $1.offered }
            let after = ticks.dropFirst(250).reduce(0) { $0 + $1.offered }
            await client.shutdown()
            return (results, during, after)
        }
        #expect(results.failed == 0)
        #expect(during <= 10, "\(during)")
        #expect((50...150).contains(after), "\(after)")
    }

    @Test(
        "Replicas with base URLs of their own share the requests by their weights; one that leaves the list gets none",
        .tags(.BA2))
    func baseURLs() async throws {
        let counts = try await withVirtualTime(seed: 3) { time in
            let service = SimulatedService(time, replicas: 3) { $0.workTime = .exponential(mean: .milliseconds(10)) }
            var endpoints = service.replicaURLs.map { ServiceEndpoint($0) }
            endpoints[0].weight = 2
            let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
            source.yield(endpoints)
            let client = try Self.client(time, service, .updates(EndpointUpdates(lists)))
            _ = try await Self.run(time, client, rate: 200, seconds: 10)
            let first = (0..<3).map { replica in service.ticks(of: replica).reduce(0) { $0 + $1.offered } }
            source.yield(Array(endpoints.dropFirst()))
            try await time.settle()
            for _ in 0..<200 { _ = try await client.get("x") }
            let then = (0..<3).map { replica in service.ticks(of: replica).reduce(0) { $0 + $1.offered } }
            await client.shutdown()
            return (first, then)
        }
        #expect(counts.0.reduce(0, +) == 2000)
        #expect((800...1200).contains(counts.0[0]), "\(counts.0)")
        #expect((350...650).contains(counts.0[1]), "\(counts.0)")
        #expect(counts.1[0] == counts.0[0])
        #expect(counts.1.reduce(0, +) == 2200)
    }

    @Test("The same seed gives the same run", .tags(.VT3))
    func deterministic() async throws {
        func run() async throws -> [Int] {
            try await withVirtualTime(seed: 7) { time in
                let service = SimulatedService(time, replicas: 4) {
                    $0.workTime = .exponential(mean: .milliseconds(20))
                }
                service.schedule(.failing(share: 0.3, SimulatedAnswer(.internalServerError)), from: .seconds(1))
                let client = try Self.client(time, service)
                _ = try await Self.run(time, client, rate: 100, seconds: 5)
                await client.shutdown()
                return (0..<4).flatMap { service.ticks(of: $0).map(\.offered) }
            }
        }
        let (first, second) = (try await run(), try await run())
        #expect(first == second)
        #expect(first.reduce(0, +) >= 500)
    }
}

#if os(Linux)
    @Suite("A client that balances over the addresses of a host, over sockets", .timeLimit(.minutes(1)))
    struct BalancedSocketTests {
        @Test("Each address gets requests, and has a pool of its own", .tags(.BA13))
        func addresses() async throws {
            try await withLoopbackServer { first in
                try await withLoopbackServer { second in
                    try await Relay.with(on: "127.0.0.2", port: first.port, to: second.port) { _, port in
                        first.respond { _ in .reply(200, body: "first") }
                        second.respond { _ in .reply(200, body: "second") }
                        let addresses = ["127.0.0.1", "127.0.0.2"].compactMap { IPAddress($0) }
                        let client = try ServiceClient(baseURL: "http://api.test:\(port)") {
                            $0.proxy = .none
                            $0.resolver = FixedAddresses(["api.test": addresses], otherwise: nil)
                            $0.resilience.balancing = BalancingOptions()
                        }
                        var texts: [String: Int] = [:]
                        for _ in 0..<40 { texts[try await client.get("x").text(), default: 0] += 1 }
                        // The relay makes the second address slower, so it may get one request only.
                        #expect((texts["first"] ?? 0) >= 1, "\(texts)")
                        #expect((texts["second"] ?? 0) >= 1, "\(texts)")
                        let pools = client.pool.snapshot().origins.compactMap { $0.address?.description }
                        #expect(Set(pools) == ["127.0.0.1", "127.0.0.2"])
                        let report = await client.shutdown(within: .seconds(5))
                        #expect(report.isClean)
                    }
                }
            }
        }
    }
#endif
