internal import Bowline
internal import BowlineTesting

/// One run of a plan: a service, a client, in most episodes a path with faults, and the records of both sides.
///
/// A route through a proxy begins at the client. The path with faults is between the proxy and the service. Therefore
/// a changed byte is always within TLS, and never changes a message to the proxy.
struct LedgerEpisode: Sendable {
    /// The result of an episode.
    struct Outcome: Sendable {
        let record: LedgerRecord
        /// How often each kind of fault happened on the path.
        let faults: [String: Int]
    }

    private let plan: LedgerPlan
    private let calls: LedgerCalls

    /// - Parameter calls: Records the calls, so that other code can read them during the run.
    init(_ plan: LedgerPlan, calls: LedgerCalls = LedgerCalls()) {
        self.plan = plan
        self.calls = calls
    }

    /// Runs the plan, and waits at most 5 seconds until as many descriptors are open as before.
    ///
    /// - Throws: the errors of starting the service, the path or the client.
    func run() async throws -> Outcome {
        let descriptors = ProcessFigures.openDescriptors()
        let service = LedgerService(plan)
        let server = try await LoopbackServer.start(LedgerService.options(plan))
        service.serve(on: server)
        let (begun, faults) = try await stopping(server) { try await run(against: server) }
        var record = begun
        record.executions = service.executions
        record.malformed = server.problems.filter { $0.contains("malformed request") }
        record.brokenRules = server.problems.filter { $0.contains("broke a rule of HTTP/2") }
        if let descriptors {
            // The event loops close sockets a little later. The judge checks the descriptors that remain.
            try? await eventually("descriptors to be closed", within: .seconds(5)) {
                (ProcessFigures.openDescriptors() ?? 0) <= descriptors
            }
            record.remains.descriptorsBefore = descriptors
            record.remains.descriptorsAfter = ProcessFigures.openDescriptors()
        }
        return Outcome(record: record, faults: faults)
    }

    private func stopping<Result: Sendable>(
        _ server: LoopbackServer, _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            let result = try await body()
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }

    private func run(against server: LoopbackServer) async throws -> (LedgerRecord, [String: Int]) {
        guard let faults = plan.faults else { return (try await run(port: server.port), [:]) }
        return try await FaultProxy.withProxy(port: server.port, plan: faults.plan) { proxy in
            let record = try await run(port: proxy.port)
            return (record, Self.count(proxy.log))
        }
    }

    private func run(port: Int) async throws -> LedgerRecord {
        let authority = "127.0.0.1:\(port)"
        let tasks = TaskCensus()
        let clock = plan.countsTimers ? CountingClock() : nil
        var remains = try await runProgram(at: authority, tasks, clock)
        if let clock {
            // The client is released here.
            try? await eventually("the client's timers to end", within: .seconds(5)) {
                clock.sleeping == 0 && tasks.count == 0
            }
            remains.timers = clock.sleeping
            remains.tasks = tasks.count
        }
        var record = LedgerRecord(calls: calls.all, executions: [], remains: remains, authority: authority)
        record.route = plan.route
        record.isCalm = plan.isCalm
        record.shutdownAt = calls.shutdownAt
        return record
    }

    /// Makes a client, lets the program use it, and releases it.
    private func runProgram(
        at authority: String, _ tasks: TaskCensus, _ clock: CountingClock?
    ) async throws -> LedgerRemains {
        let scheme = plan.wire.isEncrypted ? "https" : "http"
        let program = try LedgerProgram(
            plan, baseURL: "\(scheme)://\(authority)", calls: calls, tasks: tasks, clock: clock)
        return await program.run()
    }

    /// The first words of the proxy's log lines that report a fault.
    private static let faultWords: Set<String> = [
        "cut", "half-close", "pause", "silence", "swallow", "duplicate", "corrupt", "refused", "dial",
    ]

    /// How often each kind of fault is in a log.
    private static func count(_ log: [FaultRecord]) -> [String: Int] {
        log.reduce(into: [:]) { counts, record in
            let word = String(record.what.prefix { $0.isLetter || $0 == "-" })
            if faultWords.contains(word) { counts[word, default: 0] += 1 }
        }
    }
}
