import Bowline
import BowlineTesting
import NIOCore
import Testing

/// A whole client in virtual time: its own tasks stay on the thread, and the same seed gives the same run.
@Suite("A client in virtual time", .timeLimit(.minutes(10)))
struct VirtualTimeClientTests {
    /// Calls through an outage, a brown-out and a slow replica. Returns a line for each call and decision.
    @Sendable private static func scenario(_ time: VirtualTime) async throws -> String {
        let service = SimulatedService(time, replicas: 3, distribution: .random) {
            $0.workers = 4
            $0.workTime = .exponential(mean: .milliseconds(20))
            $0.latency = .uniform(.milliseconds(1)...(.milliseconds(3)))
        }
        service.schedule(.refused, from: .milliseconds(300), until: .milliseconds(600), replicas: [0, 1])
        service.schedule(
            .failing(share: 0.5, SimulatedAnswer(.serviceUnavailable, retryAfter: .milliseconds(100))),
            from: .milliseconds(700), until: .milliseconds(1000))
        service.schedule(.slow(by: 20), from: .milliseconds(500), until: .milliseconds(900), replicas: [2])
        let client = try ServiceClient(baseURL: service.baseURL, transport: service) {
            $0.clock = time.clock
            $0.random = time.random
            $0.timeouts.attempt = .milliseconds(200)
            $0.timeouts.total = .seconds(2)
            $0.retry.onDecision = { decision in
                time.note("\(decision.method) \(decision.attempt) \(decision.cause) \(decision.verdict)")
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                try? await time.sleep(for: .milliseconds(20))
                group.addTask {
                    do {
                        let response = try await client.get("orders/\(number)")
                        time.note("\(number): \(response.status.code) by \(response.connection?.peer ?? "")")
                    } catch {
                        time.note("\(number): \((error as? ServiceError)?.code.rawValue ?? "cancelled")")
                    }
                }
            }
        }
        let report = await client.shutdown(within: .seconds(1))
        time.note("shut down: \(report.isClean), \(time.jobsRun) jobs")
        return (time.trace + service.ticks.map { "\($0)" }).joined(separator: "\n")
    }

    @Test("The same seed gives the same run of a client, byte for byte, 1,000 times", .tags(.VT3))
    func deterministic() async throws {
        let first = try await withVirtualTime(seed: 11, Self.scenario)
        #expect(first.contains("connectionRefused"))
        #expect(first.contains("59: 200"))
        #expect(first.contains("shut down: true"))
        var same = 0
        for _ in 0..<1000 where try await withVirtualTime(seed: 11, Self.scenario) == first { same += 1 }
        #expect(same == 1000)
    }

    @Test("In the order of the seed, the run of a client repeats, and differs from seed to seed", .tags(.VT3))
    func shuffled() async throws {
        var runs: Set<String> = []
        for seed in 0..<20 as Range<UInt64> {
            let run = try await withVirtualTime(seed: seed, order: .shuffled, Self.scenario)
            #expect(try await withVirtualTime(seed: seed, order: .shuffled, Self.scenario) == run)
            runs.insert(run)
        }
        #expect(runs.count == 20)
    }

    /// Counts how often it was called on the thread of virtual time, and elsewhere.
    private final class Threads: Sendable {
        private let counts = Guarded((inside: 0, outside: 0))
        var isAlwaysInside: Bool { counts.withLock { $0.outside == 0 && $0.inside > 0 } }
        var count: Int { counts.withLock { $0.inside + $0.outside } }

        func note() {
            let isInside = InheritedExecutor.current != nil
            counts.withLock { counts in
                if isInside { counts.inside += 1 } else { counts.outside += 1 }
            }
        }
    }

    @Test("The tasks that a client makes itself stay on the thread: token, body, middleware, shutdown", .tags(.VT2))
    func oneThread() async throws {
        let threads = Threads()
        let (status, report, elapsed) = try await withVirtualTime { time in
            let stub = StubTransport()
            stub.on(.post, "/orders") { _ in
                threads.note()
                try await time.sleep(for: .seconds(1))
                threads.note()
                return .respond(.created)
            }
            let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
                $0.clock = time.clock
                $0.random = time.random
                $0.authentication = BearerAuthentication {
                    threads.note()
                    try await time.sleep(for: .seconds(2))
                    threads.note()
                    return BearerToken("t")
                }
            }
            let chunks = AsyncStream<ByteBuffer> { continuation in
                continuation.yield(ByteBuffer(string: "a"))
                continuation.finish()
            }
            let body = RequestBody.stream(
                chunks.map { chunk in
                    threads.note()
                    return chunk
                })
            let response = try await client.send(.post("orders", body: body))
            let report = await client.shutdown(within: .seconds(5))
            return (response.status, report, time.elapsed)
        }
        #expect(threads.isAlwaysInside)
        #expect(threads.count == 5)
        #expect(status == .created)
        #expect(report.isClean)
        #expect(elapsed == .seconds(3))
    }

    @Test("A shutdown's deadline ends calls on virtual time")
    func shutdown() async throws {
        let (report, codes, elapsed) = try await withVirtualTime { time in
            let service = SimulatedService(time)
            service.schedule(.silent, from: .zero)
            let client = try ServiceClient(baseURL: service.baseURL, transport: service) {
                $0.clock = time.clock
                $0.retry = .never
            }
            let calls = (0..<3).map { number in time.startTask { try await client.get("orders/\(number)") } }
            try await time.sleep(for: .seconds(1))
            let report = await client.shutdown(within: .seconds(4))
            var codes: [ServiceError.Code?] = []
            for call in calls {
                let error = await #expect(throws: ServiceError.self) { try await call.value }
                codes.append(error?.code)
            }
            return (report, codes, time.elapsed)
        }
        #expect(report.forced.count == 3)
        #expect(codes == [.forciblyClosed, .forciblyClosed, .forciblyClosed])
        #expect(elapsed == .seconds(5))
        #expect(report.duration == .seconds(4))
    }

    @Test("20,000 calls of a simulated minute: all are answered, and the load is what arithmetic says", .tags(.VT5))
    func minute() async throws {
        let (good, load, elapsed) = try await withVirtualTime(seed: 2) { time in
            let service = SimulatedService(time, replicas: 5, tick: .seconds(1)) {
                $0.workers = 8
                $0.workTime = .exponential(mean: .milliseconds(75))
            }
            let client = try ServiceClient(baseURL: service.baseURL, transport: service) {
                $0.clock = time.clock
                $0.random = time.random
            }
            let good = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20_000 {
                    try? await time.sleep(for: .milliseconds(3))
                    group.addTask { (try? await client.get("orders"))?.status == .ok }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            return (good, service.totals(from: .seconds(1), until: .seconds(59)).load, time.elapsed)
        }
        #expect(good == 20_000)
        // 333 calls per second × 75 ms ÷ 40 workers
        #expect(abs(load - 0.625) < 0.02)
        #expect(elapsed >= .seconds(60))
        #expect(elapsed < .seconds(62))
    }
}
