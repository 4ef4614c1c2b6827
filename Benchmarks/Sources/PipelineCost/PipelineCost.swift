import AllocationCount
import BenchmarkPlatform
import Bowline
import Dispatch

/// Measures the cost that the default pipeline adds to a request on the bare transport: CPU time and allocations.
///
/// `PipelineCost [--limit-microseconds 1.5] [--limit-allocations 10]`. The transport answers from memory, so that only
/// the path around it is measured: admission, the pipeline, and the response's way back. Three runs alternate: the bare
/// transport, a client with all behaviours off, and a client that `ServiceClient(baseURL:)` makes. The result is the
/// median of the differences between the third run and the first.
///
/// `PipelineCost policies …` measures the resilience policies instead: see ``PolicyCost``.
@main
enum PipelineCost {
    static let rounds = 9
    static let requests = 100_000

    static func main() {
        // Do not use an asynchronous `main`: valgrind fails when such a `main` gives up its thread.
        let isDone = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                let words = CommandLine.arguments.dropFirst()
                if words.first == "policies" {
                    try await PolicyCost(words.dropFirst()).measure()
                } else {
                    try await measure(Limits(words))
                }
            } catch {
                // Do not throw further: when `main` throws, Swift ends the program with a crash.
                print("PipelineCost: \(error)")
                exit(1)
            }
            isDone.signal()
        }
        isDone.wait()
    }

    private static func measure(_ limits: Limits) async throws {
        let transport = MemoryTransport()
        let base = try ServiceURL("http://127.0.0.1/v1")
        let reference = "customers/4711/orders/42"
        let quiet = try ServiceClient(baseURL: "http://127.0.0.1/v1", transport: transport) {
            $0.retry = .never
            $0.redirect = .never
            $0.decompression = .off
        }
        let full = try ServiceClient(baseURL: "http://127.0.0.1/v1", transport: transport)
        let runs: [@Sendable () async throws -> ServiceResponse] = [
            {
                // A transport needs the URL, so the bare run has to make it too.
                var request = ServiceRequest.get(reference)
                request.url = try base.resolving(reference)
                return try await transport.send(request, context: RequestContext())
            },
            { try await quiet.get(reference) },
            { try await full.get(reference) },
        ]
        // Run on an event loop, like the requests that are measured against the other clients.
        let costs = try await full.withEventLoopExecutor {
            var costs = [[Cost]](repeating: [], count: runs.count)
            for round in 0...rounds {
                for (index, run) in runs.enumerated() {
                    let cost = try await cost(of: run)
                    // The first round warms up.
                    if round > 0 { costs[index].append(cost) }
                }
            }
            return costs
        }
        await quiet.shutdown()
        await full.shutdown()
        let time = median(zip(costs[2], costs[0]).map { $0.microseconds - $1.microseconds })
        let allocations = median(zip(costs[2], costs[0]).map { $0.allocations - $1.allocations })
        print("per request, \(requests) requests, median of \(rounds) rounds; the transport answers from memory")
        print("| | CPU µs | allocations |")
        print("|---|---|---|")
        for (name, costs) in zip(["bare transport", "client, behaviours off", "client, defaults"], costs) {
            row(name, median(costs.map(\.microseconds)), median(costs.map(\.allocations)))
        }
        row("**added to the bare transport**", time, allocations)
        try limits.check(microseconds: time, allocations: allocations)
    }

    private static func row(_ name: String, _ microseconds: Double, _ allocations: Double) {
        let hasCount = allocation_count() >= 0
        print("| \(name) | \(rounded(microseconds)) | \(hasCount ? rounded(allocations) : "not counted here") |")
    }

    private static func cost(of run: @Sendable () async throws -> ServiceResponse) async throws -> Cost {
        let time = cpuMicroseconds()
        let allocated = allocation_count()
        for _ in 0..<requests {
            let response = try await run()
            guard try await response.body.collect(upTo: 4096).readableBytes == 1024 else {
                throw Failure(text: "the response is not whole")
            }
        }
        return Cost(
            microseconds: (cpuMicroseconds() - time) / Double(requests),
            allocations: Double(allocation_count() - allocated) / Double(requests)
        )
    }

    private static func median(_ values: [Double]) -> Double {
        values.sorted()[values.count / 2]
    }
}

struct Cost {
    let microseconds: Double
    let allocations: Double
}

struct Failure: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
}

func rounded(_ value: Double) -> String {
    "\((value * 100).rounded() / 100)"
}
