import AllocationCount
import BenchmarkPlatform
import Bowline

/// Measures what each resilience policy adds to a call that neither waits nor fails.
///
/// - `PipelineCost policies count URL N` sends N requests through each policy, between two calls of
///   `measured_part_begins`, and prints the allocations per request. callgrind counts the instructions of each part.
/// - `PipelineCost policies time URL` prints the nanoseconds of CPU time per request: for each policy the least of
///   many rounds, in which the policies take turns.
///
/// Each line has the policy's name and the number. URL is a file of 1 KB on a server that listens on 127.0.0.1 and
/// 127.0.0.2. Only the policies for addresses use it, because only a real transport has addresses. All others use a
/// transport that answers from memory.
struct PolicyCost {
    private enum Measurement {
        case count(Int)
        case time
    }

    private let measurement: Measurement
    private let server: ServiceURL

    init(_ words: some Collection<String>) throws {
        let words = Array(words)
        switch words.first {
        case "count" where words.count == 3:
            guard let count = Int(words[2]), count > 0 else { throw Failure(text: "no number: \(words[2])") }
            measurement = .count(count)
        case "time" where words.count == 2: measurement = .time
        default: throw Failure(text: "usage: PipelineCost policies count URL N, or: policies time URL")
        }
        server = try ServiceURL(words[1])
    }

    func measure() async throws {
        let transport = MemoryTransport()
        for group in [try memoryRuns(transport), try socketRuns()] {
            switch measurement {
            case .count(let number): try await count(number, group)
            case .time: try await time(group)
            }
            for run in group { await run.client.shutdown() }
        }
    }

    // MARK: Policies

    /// A client with some policies.
    private struct Run: Sendable {
        let name: String
        let client: ServiceClient
        let reference: String
        /// How many requests a round of the measurement of time has.
        let round: Int

        /// Sends requests one after another. If the client has event loops, on the first of them, like the requests
        /// that are measured against the other clients.
        func send(_ count: Int) async throws {
            guard let executor = client.eventLoopExecutors.first else { return try await sendHere(count) }
            try await withTaskExecutorPreference(executor) { try await sendHere(count) }
        }

        private func sendHere(_ count: Int) async throws {
            for _ in 0..<count {
                let response = try await client.get(reference)
                guard try await response.body.collect(upTo: 4096).readableBytes == 1024 else {
                    throw Failure(text: "\(name): the response is not whole")
                }
            }
        }
    }

    private func memoryRuns(_ transport: MemoryTransport) throws -> [Run] {
        func run(_ name: String, _ choose: (inout ResilienceOptions) -> Void) throws -> Run {
            let client = try ServiceClient(baseURL: "http://127.0.0.1/v1", transport: transport) {
                choose(&$0.resilience)
            }
            return Run(name: name, client: client, reference: "customers/4711/orders/42", round: 5000)
        }
        return [
            try run("off") { _ in },
            try run("rate") {
                var rate = RateOptions()
                (rate.perSecond, rate.burst) = (1_000_000, 1_000_000)
                $0.rate = rate
            },
            try run("concurrency, fixed") {
                var concurrency = ConcurrencyOptions()
                concurrency.limit = .fixed(100)
                $0.concurrency = concurrency
            },
            try run("concurrency, adaptive") { $0.concurrency = ConcurrencyOptions() },
            try run("breaker") { $0.breaker = BreakerOptions() },
            try run("standard") { $0 = .standard },
            try run("rate and standard") {
                $0 = .standard
                var rate = RateOptions()
                (rate.perSecond, rate.burst) = (1_000_000, 1_000_000)
                $0.rate = rate
            },
            try run("balancing, base URLs") {
                var balancing = BalancingOptions()
                let urls = ["http://127.0.0.1/v1", "http://127.0.0.2/v1", "http://127.0.0.3/v1"]
                balancing.endpoints = .fixed(urls.map { ServiceEndpoint($0) })
                $0.balancing = balancing
            },
            try run("hedging") {
                var hedging = HedgingOptions()
                // The hedge is prepared and never sent.
                hedging.delay = .percentile(0.95, atLeast: .milliseconds(250))
                $0.hedging = hedging
            },
        ]
    }

    private func socketRuns() throws -> [Run] {
        guard let one = IPAddress("127.0.0.1"), let other = IPAddress("127.0.0.2") else {
            throw Failure(text: "these are addresses")
        }
        let base = "http://service.test:\(server.origin.port)"
        func run(_ name: String, _ choose: (inout ResilienceOptions) -> Void) throws -> Run {
            let client = try ServiceClient(baseURL: base) {
                $0.resolver = FixedAddresses(["service.test": [one, other]], otherwise: nil)
                choose(&$0.resilience)
            }
            return Run(name: name, client: client, reference: server.path, round: 500)
        }
        return [
            try run("off, sockets") { _ in },
            try run("balancing, addresses") { $0.balancing = BalancingOptions() },
        ]
    }

    // MARK: Measurements

    private static let warmUp = 300
    private static let rounds = 60

    private func count(_ number: Int, _ runs: [Run]) async throws {
        for run in runs {
            try await run.send(Self.warmUp)
            measured_part_begins()
            let before = allocation_count()
            try await run.send(number)
            let allocations = allocation_count() - before
            measured_part_begins()
            print("\(run.name): \(Double(allocations) / Double(number))")
        }
    }

    private func time(_ runs: [Run]) async throws {
        var least = [Double](repeating: .infinity, count: runs.count)
        for round in 0...Self.rounds {
            for (index, run) in runs.enumerated() {
                let began = cpuMicroseconds()
                try await run.send(run.round)
                let nanoseconds = (cpuMicroseconds() - began) * 1000 / Double(run.round)
                // The first round warms up.
                if round > 0 { least[index] = min(least[index], nanoseconds) }
            }
        }
        for (run, nanoseconds) in zip(runs, least) { print("\(run.name): \(nanoseconds)") }
    }
}
