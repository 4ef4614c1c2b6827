import Foundation
import Synchronization

/// A client that a driver measures.
public protocol BenchmarkClient: Sendable {
    /// The client's name and relevant versions, for the table.
    static var name: String { get }

    init(_ work: Work) throws

    /// Sends one request and reads the whole response.
    ///
    /// - Returns: the status, and the length of the body after decompression.
    func send() async throws -> (status: Int, bytes: Int)

    /// Opens this many idle connections. Only for the client whose pool is measured.
    func open(_ connections: Int) async throws

    /// Runs the workers in the place that the command line asks for.
    func place(_ workers: @escaping @Sendable @concurrent () async throws -> Void) async throws

    func shutdown() async throws
}

extension BenchmarkClient {
    public func open(_ connections: Int) async throws { throw Misuse() }

    public func place(_ workers: @escaping @Sendable @concurrent () async throws -> Void) async throws {
        try await workers()
    }
}

/// Drives a client by the command line, prints the costs as one line of JSON, and ends the process.
public func drive<Client: BenchmarkClient>(_ type: Client.Type) -> Never {
    // Do not use an asynchronous `main`: valgrind fails when such a `main` gives up its thread.
    let isDone = DispatchSemaphore(value: 0)
    let status = Guarded<Int32>(0)
    Task.detached {
        let ended = await run(type)
        status.withLock { $0 = ended }
        isDone.signal()
    }
    isDone.wait()
    exit(status.withLock { $0 })
}

private func run<Client: BenchmarkClient>(_ type: Client.Type) async -> Int32 {
    do {
        let work = try Work(CommandLine.arguments.dropFirst())
        let client = try Client(work)
        let failed =
            switch work.mode {
            case .requests: try await measureRequests(client, work)
            case .idle: try await holdConnections(client, work)
            case .drain: try await measureDrain(client, work)
            }
        try await client.shutdown()
        return failed == 0 ? 0 : 1
    } catch {
        FileHandle.standardError.write(Data("\(error)\n".utf8))
        return 64
    }
}

private func measureRequests<Client: BenchmarkClient>(_ client: Client, _ work: Work) async throws -> Int {
    let taken = Guarded(Taken(latencies: [UInt32](repeating: 0, count: work.count)))
    if work.idle > 0 { try await client.open(work.idle) }
    try await client.place {
        _ = await runWorkers(client, work, count: work.warmup, keeping: nil)
        let resident = residentKibibytes()
        let before = Usage.now
        let result = await runWorkers(client, work, count: work.count, keeping: taken)
        let cost = Usage.now - before
        taken.withLock { taken in
            taken.result = result
            taken.cost = cost
            taken.resident = resident
            taken.peak = peakKibibytes()
        }
    }
    return taken.withLock { taken in
        taken.latencies.sort()
        print(taken.report(of: Client.name, work))
        return taken.result.failed
    }
}

/// The result of the measured requests.
private struct Taken {
    /// One latency for each request, in nanoseconds.
    var latencies: [UInt32]
    var result = Result()
    var cost = Usage(wall: 0, processor: 0)
    /// The resident memory before the measured requests, and the process's peak after them, in KiB.
    var resident = 0
    var peak = 0

    struct Result: Sendable {
        var failed = 0
        var bytes = 0
    }

    func report(of name: String, _ work: Work) -> String {
        func percentile(_ share: Double) -> String {
            let rank = min(latencies.count - 1, Int(share * Double(latencies.count)))
            return String(format: "%.1f", Double(latencies[rank]) / 1000)
        }
        return """
            {"client": "\(name)", "requests": \(work.count), "failed": \(result.failed), "bytes": \(result.bytes), \
            "seconds": \(cost.wall), "cpu": \(cost.processor), "p50": \(percentile(0.5)), "p99": \(percentile(0.99)), \
            "p999": \(percentile(0.999)), "max": \(percentile(1)), "allocations": null, "before": \(resident), "peak": \(peak)}
            """
    }
}

private func runWorkers<Client: BenchmarkClient>(
    _ client: Client, _ work: Work, count: Int, keeping taken: Guarded<Taken>?
) async -> Taken.Result {
    let next = Counter()
    return await withTaskGroup(of: Taken.Result.self) { group in
        for _ in 0..<min(work.inFlight, count) {
            group.addTask {
                var result = Taken.Result()
                var latencies: [(index: Int, nanoseconds: UInt32)] = []
                latencies.reserveCapacity(count / work.inFlight * 2)
                while let index = next.take(below: count) {
                    let start = Usage.nanoseconds
                    do {
                        let answer = try await client.send()
                        result.bytes += answer.bytes
                        if answer.status != 200 || answer.bytes != work.expected ?? answer.bytes { result.failed += 1 }
                    } catch {
                        if result.failed == 0 { FileHandle.standardError.write(Data("\(error)\n".utf8)) }
                        result.failed += 1
                    }
                    latencies.append((index, UInt32(clamping: Usage.nanoseconds - start)))
                }
                taken?.withLock { [latencies] taken in
                    for each in latencies { taken.latencies[each.index] = each.nanoseconds }
                }
                return result
            }
        }
        return await group.reduce(into: Taken.Result()) { sum, result in
            sum.failed += result.failed
            sum.bytes += result.bytes
        }
    }
}

private func holdConnections<Client: BenchmarkClient>(_ client: Client, _ work: Work) async throws -> Int {
    var alone = work
    alone.inFlight = 1
    let first = await runWorkers(client, alone, count: 1, keeping: nil)
    let before = residentKibibytes()
    var all = work
    all.inFlight = work.count
    let result = await runWorkers(client, all, count: work.count, keeping: nil)
    try await Task.sleep(for: .seconds(1))
    let failed = first.failed + result.failed
    print(
        """
        {"client": "\(Client.name)", "connections": \(work.count), "failed": \(failed), "before": \(before), \
        "after": \(residentKibibytes())}
        """
    )
    fflush(nil)
    while readLine() != nil {}
    return failed
}

/// Sends `count` requests at once. When a line on standard input confirms that all are in flight, shuts the client down
/// and measures how long the shutdown takes after the last response.
private func measureDrain<Client: BenchmarkClient>(_ client: Client, _ work: Work) async throws -> Int {
    var alone = work
    alone.inFlight = 1
    let first = await runWorkers(client, alone, count: 1, keeping: nil)
    let before = residentKibibytes()
    let during = Guarded(0)
    let lastEnd = Guarded(0)
    let drained = Guarded(0)
    try await client.place {
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<work.count {
                group.addTask {
                    var one = work
                    one.inFlight = 1
                    let result = await runWorkers(client, one, count: 1, keeping: nil)
                    let now = Usage.nanoseconds
                    lastEnd.withLock { $0 = max($0, now) }
                    return result.failed
                }
            }
            await lineOfInput()
            let resident = residentKibibytes()
            during.withLock { $0 = resident }
            try await client.shutdown()
            let now = Usage.nanoseconds
            drained.withLock { $0 = now }
            let failed = try await group.reduce(0, +)
            guard failed == 0 else { throw Failed(count: failed) }
        }
    }
    let milliseconds = Double(drained.withLock { $0 } - lastEnd.withLock { $0 }) / 1_000_000
    print(
        """
        {"client": "\(Client.name)", "inFlight": \(work.count), "failed": \(first.failed), "before": \(before), \
        "during": \(during.withLock { $0 }), "drained": \(milliseconds)}
        """
    )
    return first.failed
}

private struct Failed: Error {
    let count: Int
}

/// Waits on its own thread for a line of standard input.
private func lineOfInput() async {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            _ = readLine()
            continuation.resume()
        }
    }
}
