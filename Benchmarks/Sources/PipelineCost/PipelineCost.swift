import AllocationCount
import Bowline

/// What the default pipeline adds to a request over the bare transport: CPU time and allocations.
///
/// `PipelineCost [--limit-microseconds 1.5] [--limit-allocations 10]`. The transport answers from memory, so that what is
/// measured is the road in front of it: admission, the pipeline, the response's way back. One client has every behaviour
/// switched off, the other is as `ServiceClient(baseURL:)` makes it; they run in turn, and the median of the differences
/// counts.
@main
enum PipelineCost {
    static let rounds = 9
    static let requests = 100_000

    static func main() async throws {
        let limits = try Limits(CommandLine.arguments.dropFirst())
        let bare = try ServiceClient(baseURL: "http://127.0.0.1", transport: MemoryTransport()) {
            $0.retry = .never
            $0.redirect = .never
            $0.decompression = .off
        }
        let full = try ServiceClient(baseURL: "http://127.0.0.1", transport: MemoryTransport())
        // On an event loop, as the requests that are measured against the rivals are.
        let (bareCosts, fullCosts) = try await full.withEventLoopExecutor {
            _ = try await cost(of: bare)
            _ = try await cost(of: full)
            var bareCosts: [Cost] = []
            var fullCosts: [Cost] = []
            for _ in 0..<rounds {
                bareCosts.append(try await cost(of: bare))
                fullCosts.append(try await cost(of: full))
            }
            return (bareCosts, fullCosts)
        }
        await bare.shutdown()
        await full.shutdown()
        let time = median(zip(fullCosts, bareCosts).map { $0.microseconds - $1.microseconds })
        let allocations = median(zip(fullCosts, bareCosts).map { $0.allocations - $1.allocations })
        print("per request, \(requests) requests, median of \(rounds) rounds; the transport answers from memory")
        print("| | CPU µs | allocations |")
        print("|---|---|---|")
        row("every behaviour off", median(bareCosts.map(\.microseconds)), median(bareCosts.map(\.allocations)))
        row("default pipeline", median(fullCosts.map(\.microseconds)), median(fullCosts.map(\.allocations)))
        row("**the pipeline's own**", time, allocations)
        try limits.check(microseconds: time, allocations: allocations)
    }

    private static func row(_ name: String, _ microseconds: Double, _ allocations: Double) {
        let hasCount = allocation_count() >= 0
        print("| \(name) | \(rounded(microseconds)) | \(hasCount ? rounded(allocations) : "not counted here") |")
    }

    private static func cost(of client: ServiceClient) async throws -> Cost {
        let time = cpuMicroseconds()
        let allocated = allocation_count()
        for _ in 0..<requests {
            let response = try await client.get("orders/42")
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
