import Bowline
import BowlineTesting
import Testing

/// The complete examples of virtual time in Docs/Testing.md. They are run.
@Suite("Examples of virtual time", .timeLimit(.minutes(5)))
struct TestingVirtualTimeSnippets {
    @Test("No call is lost in an outage of five seconds")
    func outage() async throws {
        try await withVirtualTime(seed: 1) { time in
            // 20 workers that need 20 ms for a request: up to 1,000 requests per second.
            let service = SimulatedService(time) {
                $0.workers = 20
                $0.workTime = .exponential(mean: .milliseconds(20))
            }
            service.schedule(.refused, from: .seconds(5), until: .seconds(10))

            // The policy under test.
            let client = try ServiceClient(baseURL: service.baseURL, transport: service) {
                $0.clock = time.clock
                $0.random = time.random
                $0.retry.maximumAttempts = 12
                $0.retry.baseDelay = .milliseconds(200)
                $0.retry.budget = nil
                $0.timeouts.total = .seconds(120)
            }

            // 50 calls per second, for 15 seconds.
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<750 {
                    try await time.sleep(for: .milliseconds(20))
                    group.addTask { try await client.get("orders").status.code }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(statuses == Array(repeating: 200, count: 750))
            let outage = service.totals(from: .seconds(5), until: .seconds(10))
            #expect(outage.good == 0)
            // Without retries it would be 250. This policy makes several times as many.
            #expect((500...2500).contains(outage.refused))
            await client.shutdown()
        }
    }

    @Test("An hour of polling, in an instant")
    func polling() async throws {
        let polls = try await withVirtualTime { time in
            let stub = StubTransport()
            stub.on(.get, "/state", always: .respond(body: "ready"))
            let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
                $0.clock = time.clock
            }
            while time.elapsed < .seconds(3600) {
                _ = try await client.get("state").text()
                try await time.sleep(for: .seconds(60))
            }
            return stub.calls.count
        }
        #expect(polls == 60)
    }

    static func otherThreads(_ time: VirtualTime, _ client: ServiceClient) async throws {
        let file = try await time.holdingClock {
            try await ReadMe.text()  // reads a file, on another thread
        }
        let call = time.startTask { try await client.get("slow") }  // not Task { … }
        try await time.sleep(for: .seconds(5))
        call.cancel()
        time.note("cancelled while \(file.count) bytes were read")
    }

    private enum ReadMe {
        static func text() async throws -> String { "" }
    }
}
