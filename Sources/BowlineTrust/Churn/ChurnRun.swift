internal import Bowline
internal import BowlineTesting

/// A run of several minutes in which callers cancel and servers misbehave at random. At its end, it checks which
/// resources are left.
final class ChurnRun: Sendable {
    private struct State: Sendable {
        var nextCall = 0
        var tally = ChurnTally()
        var samples: [ChurnSample] = []
    }

    /// The total timeout of each call, over all its attempts.
    private static let total = Duration.seconds(2)
    /// How much later than its deadline a call may end on a busy machine.
    private static let lateness = Duration.seconds(1)
    /// The largest growth of the used memory during the run, in KiB. The samples need memory, and event loops keep
    /// memory for later tasks.
    private static let memoryLimit = 4096
    /// How long to wait until the servers' callbacks and the kernel have closed the last descriptors.
    private static let patience = Duration.seconds(10)

    private let seed: UInt64
    private let callers: Int
    private let servers: ChurnServers
    private let client: ServiceClient
    private let began: MonotonicInstant
    private let end: MonotonicInstant
    private let state = Guarded(State())
    private let clock = MonotonicClock()
    private let tasks = TaskCensus()

    private init(seed: UInt64, callers: Int, duration: Duration, servers: ChurnServers) throws {
        self.seed = seed
        self.callers = callers
        self.servers = servers
        client = try ServiceClient {
            $0.timeouts.connect = .seconds(1)
            $0.timeouts.poolAcquire = .seconds(1)
            $0.timeouts.responseHead = .milliseconds(500)
            $0.timeouts.bodyIdle = .milliseconds(500)
            $0.timeouts.total = Self.total
            $0.retry.maximumAttempts = 2
            // A short time, so that the pools are in their steady state after the warm-up.
            $0.pool.idleTimeout = .seconds(5)
            $0.pool.maximumIdlePerOrigin = 4
            $0.pool.maximumLifetime = .seconds(20)
            $0.tls.trustRoots = .pem(TestCertificates.authority)
            $0.tls.serverName = "localhost"
        }
        began = MonotonicClock().now
        end = began.advanced(by: duration)
    }

    /// Runs a churn, and measures which resources are left afterwards.
    static func run(seed: UInt64, origins: Int, callers: Int, duration: Duration) async throws -> ChurnReport {
        // Runs a short churn first, so that the baseline includes what the process opens only once: event loops,
        // certificates, the resolver.
        _ = try await churn(seed: seed, origins: 5, callers: 2, duration: .seconds(1))
        try await Task.sleep(for: .milliseconds(200))
        let baseline = (descriptors: ProcessFigures.openDescriptors(), memory: ProcessFigures.allocatedKiB())
        let (run, leftovers) = try await churn(seed: seed, origins: origins, callers: callers, duration: duration)
        let left = [await descriptorsLeft(above: baseline.descriptors), await memoryLeft(above: baseline.memory)]
        return run.report(leftovers + left.compactMap { $0 })
    }

    /// Starts servers and a client, runs the churn, and stops the client and the servers.
    private static func churn(
        seed: UInt64, origins: Int, callers: Int, duration: Duration
    ) async throws -> (ChurnRun, leftovers: [String]) {
        let servers = try await ChurnServers.start(origins, seed: seed)
        do {
            let run = try ChurnRun(seed: seed, callers: callers, duration: duration, servers: servers)
            await run.call()
            let leftovers = await run.shutdown()
            await servers.stop()
            return (run, leftovers)
        } catch {
            await servers.stop()
            throw error
        }
    }

    private func report(_ leftovers: [String]) -> ChurnReport {
        let (samples, tally) = state.withLock { ($0.samples, $0.tally) }
        return ChurnReport(
            seed: seed, callers: callers, samples: samples, tally: tally, callLimit: Self.total + Self.lateness,
            leftovers: leftovers)
    }

    /// Runs the callers and takes a sample each second until the time is over and the last call has ended.
    private func call() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<callers { group.addTask { await self.work() } }
            group.addTask { await self.measure() }
            await group.waitForAll()
        }
    }

    private func work() async {
        while clock.now < end {
            let number = state.withLock { state in
                state.nextCall += 1
                return state.nextCall
            }
            let call = ChurnCall(seed: seed, number: number, origins: servers.count)
            try? await Task.sleep(for: call.pause)
            let start = clock.now
            let outcome = await outcome(of: call)
            let duration = start.duration(to: clock.now)
            state.withLock { $0.tally.add(outcome, after: duration) }
        }
    }

    /// Makes a call, and cancels it at the time that its plan says.
    private func outcome(of call: ChurnCall) async -> ChurnTally.Outcome {
        guard let cancelledAfter = call.cancelledAfter else { return await send(call) }
        return await withTaskGroup(of: ChurnTally.Outcome?.self) { group in
            group.addTask { await self.send(call) }
            group.addTask {
                try? await Task.sleep(for: cancelledAfter)
                return nil
            }
            var outcome = ChurnTally.Outcome.cancelled
            for await ended in group {
                // The task that ends first cancels the other.
                group.cancelAll()
                if let ended { outcome = ended }
            }
            return outcome
        }
    }

    private func send(_ call: ChurnCall) async -> ChurnTally.Outcome {
        await tasks.counting { await self.sendOnce(call) }
    }

    private func sendOnce(_ call: ChurnCall) async -> ChurnTally.Outcome {
        do {
            var request = ServiceRequest(method: call.method, servers.url(call))
            if call.bodyBytes > 0 {
                request.body = .bytes(ByteBuffer(repeating: 0x62, count: call.bodyBytes))
            }
            let response = try await client.send(request)
            try await read(response, call.reading)
            return .succeeded
        } catch is CancellationError {
            return .cancelled
        } catch let error as ServiceError {
            return .failed(error.code.rawValue)
        } catch {
            return .failed("\(type(of: error))")
        }
    }

    private func read(_ response: ServiceResponse, _ reading: ChurnReading) async throws {
        switch reading {
        case .whole: for try await _ in response.body {}
        case .beginning:
            var chunks = response.body.makeAsyncIterator()
            _ = try await chunks.next()
        case .discard: response.body.discard()
        case .drop: break
        }
    }

    private func measure() async {
        var next = began
        while true {
            next = next.advanced(by: .seconds(1))
            guard next <= end else { return }
            try? await clock.sleep(until: next, tolerance: nil)
            let sample = await sample()
            state.withLock { $0.samples.append(sample) }
        }
    }

    private func sample() async -> ChurnSample {
        let snapshot = client.pool.snapshot()
        var sample = ChurnSample()
        sample.seconds = began.duration(to: clock.now).inSeconds
        sample.calls = state.withLock { $0.tally.ended }
        sample.memoryKiB = ProcessFigures.allocatedKiB() ?? ProcessFigures.residentKiB() ?? 0
        sample.descriptors = ProcessFigures.openDescriptors() ?? 0
        sample.threads = ProcessFigures.threads() ?? 0
        sample.tasks = tasks.count
        sample.inFlight = await inFlight()
        sample.active = snapshot.active
        sample.idle = snapshot.idle
        sample.dialling = snapshot.dialling
        sample.waiting = snapshot.waiting
        sample.streams = snapshot.streams
        sample.pools = snapshot.origins.count
        return sample
    }

    /// How many calls the client counts as in flight.
    private func inFlight() async -> Int {
        for await progress in client.shutdownProgress { return progress.inFlight }
        return 0
    }

    /// Shuts the client down. All calls have ended, so nothing may be in flight.
    ///
    /// - Returns: descriptions of what is left; empty if nothing is.
    private func shutdown() async -> [String] {
        var leftovers: [String] = []
        // After the caller drops a response, the client takes a moment to read its rest or to close its connection.
        try? await eventually("no call in flight", within: Self.total) { await inFlight() == 0 }
        let count = await inFlight()
        if count > 0 { leftovers.append("\(count) calls are in flight though all have ended") }
        let report = await client.shutdown(within: .seconds(3))
        if !report.isClean { leftovers.append("the shutdown was \(report)") }
        try? await eventually("no task of a call", within: Self.patience) { tasks.count == 0 }
        if tasks.count > 0 { leftovers.append("\(tasks.count) calls have left tasks") }
        let snapshot = client.pool.snapshot()
        if snapshot.active + snapshot.idle + snapshot.dialling + snapshot.waiting + snapshot.streams > 0 {
            leftovers.append("the pool has \(snapshot) after the shutdown")
        }
        return leftovers
    }

    /// Waits until the program uses about as much memory as before the run. Returns a description of the excess if the
    /// memory stays above that.
    private static func memoryLeft(above baseline: Int?) async -> String? {
        guard let baseline else { return nil }
        try? await eventually("the memory of before", within: patience) {
            (ProcessFigures.allocatedKiB() ?? 0) - baseline <= memoryLimit
        }
        let left = (ProcessFigures.allocatedKiB() ?? 0) - baseline
        return left > memoryLimit ? "\(left) KiB of memory are held that were not before the run (\(baseline))" : nil
    }

    /// Waits until as many descriptors are open as before the run. Returns a description of the excess if it stays.
    private static func descriptorsLeft(above baseline: Int?) async -> String? {
        guard let baseline else { return nil }
        try? await eventually("the descriptors of before", within: patience) {
            (ProcessFigures.openDescriptors() ?? 0) <= baseline
        }
        let left = (ProcessFigures.openDescriptors() ?? 0) - baseline
        return left > 0 ? "\(left) descriptors are open that were not before the run (\(baseline))" : nil
    }
}
