internal import Bowline
internal import BowlinePlatform

/// Runs the episodes of a seed, one after another.
struct LedgerRun: Sendable {
    /// How many failing episodes are described. The run ends after this many.
    private static let failureLimit = 20
    /// How many violations of an episode are described.
    private static let violationLimit = 12
    /// The smallest number of episodes for a memory check. The first quarter of the requests warms the process up.
    private static let episodesForMemory = 50

    let seed: UInt64
    let requests: Int
    /// The number of the only episode to run; nil: as many episodes as the requests need.
    let episode: Int?
    /// How often the only episode runs.
    let times: Int
    let hangAfter: Duration
    /// How much later than its deadline a call may end, in nanoseconds.
    let grace: Int64
    /// The proxies of routes.
    let proxies: [LedgerProxy]

    /// Runs the episodes, and prints the violations and the figures.
    ///
    /// - Returns: whether no rule was violated.
    /// - Throws: the errors of starting a server or a client.
    func run() async throws -> Bool {
        print("seed \(seed)")
        fflush(nil)
        let watchdog = try Watchdog.start()
        var tally = LedgerTally()
        for violation in try await warmUp(watchdog) {
            tally.add(violation.rule)
            print("while the process warms up, \(violation)")
        }
        var failures = 0
        var memory = MemoryGrowth()
        var next = 0
        while failures < Self.failureLimit, let number = episodeNumber(next, tally) {
            next += 1
            let plan = LedgerPlan.drawn(seed: seed, episode: number, proxies: proxies)
            let calls = LedgerCalls()
            watchdog.begin(limit: hangAfter) { Self.hang(plan, calls) }
            let outcome: LedgerEpisode.Outcome
            do {
                outcome = try await LedgerEpisode(plan, calls: calls).run()
            } catch {
                print("\(Self.name(plan)) could not be run\n  \(Self.replay(plan))")
                throw error
            }
            watchdog.end()
            let violations = LedgerJudge.violations(of: outcome.record, grace: grace)
            tally.add(outcome, violations, wire: plan.wire)
            memory.add(requests: tally.requests, of: requests)
            guard !violations.isEmpty else { continue }
            failures += 1
            print(Self.failure(plan, violations))
            fflush(nil)
        }
        if episode == nil, tally.episodes >= Self.episodesForMemory,
            memory.growth > MemoryGrowth.limit(requests: tally.requests)
        {
            tally.add(.memoryGrew)
        }
        print("\n\(tally.description)\n")
        print("\(tally.episodes) episodes, \(tally.requests) requests, seed \(seed); \(memory.description)")
        fflush(nil)
        return tally.violations.isEmpty
    }

    /// The number of the next episode; nil: the run is complete.
    private func episodeNumber(_ next: Int, _ tally: LedgerTally) -> Int? {
        if let episode { return next < times ? episode : nil }
        return tally.requests < requests ? next : nil
    }

    /// Starts the resources that the process keeps: event loops, threads and their descriptors.
    ///
    /// - Returns: the violations, without those that only show that the process is starting.
    private func warmUp(_ watchdog: Watchdog) async throws -> [LedgerViolation] {
        var violations: [LedgerViolation] = []
        for wire in LedgerProtocol.allCases {
            let plan = LedgerPlan.drawn(seed: seed, episode: 0, wire: wire, count: 40, proxies: proxies)
            let calls = LedgerCalls()
            watchdog.begin(limit: hangAfter) { Self.hang(plan, calls) }
            let record = try await LedgerEpisode(plan, calls: calls).run().record
            watchdog.end()
            violations += LedgerJudge.violations(of: record, grace: grace)
                .filter { $0.rule != .late && $0.rule != .descriptorsLeft }
        }
        return violations
    }

    private static func name(_ plan: LedgerPlan) -> String {
        let faults = plan.faults.map { "faults on \($0.fraction)" } ?? "no faults"
        return "episode \(plan.episode) of seed \(plan.seed) (\(plan.wire.rawValue), \(plan.route.name), "
            + "\(plan.isCalm ? "calm" : faults), concurrency \(plan.concurrency), shutdown after \(plan.shutdownAfter.map(String.init) ?? "all"))"
    }

    private static func replay(_ plan: LedgerPlan) -> String {
        "to replay: make ledger SEED=\(plan.seed) LEDGER_FLAGS=\"--episode \(plan.episode) --times 10\""
    }

    private static func failure(_ plan: LedgerPlan, _ violations: [LedgerViolation]) -> String {
        var lines = ["\(name(plan)): \(violations.count) violations"]
        lines += violations.prefix(violationLimit).map { violation in
            let request = plan.requests.first { $0.id == violation.id }
            return "  \(violation)" + (request.map { "\n      \(describe($0))" } ?? "")
        }
        return (lines + ["  " + replay(plan)]).joined(separator: "\n")
    }

    private static func describe(_ request: LedgerRequestPlan) -> String {
        "\(request.method) body \(request.bodyKind) \(request.bodySize), answer \(request.answerSize), "
            + "deadline \(request.deadline) ms, cancelled after \(request.cancelAfter.map { "\($0) ms" } ?? "never"), "
            + "service: \(request.acts)"
    }

    private static func hang(_ plan: LedgerPlan, _ calls: LedgerCalls) -> String {
        let open = calls.open
        let lines = open.prefix(20).map { call in
            "  \(LedgerContent.text(of: call.sent.id)) \(call.sent.method), \((LedgerCalls.now - call.startedAt) / 1_000_000) ms"
        }
        let header = "\(LedgerRule.hang.rawValue): \(name(plan)) has not ended, \(open.count) calls in flight"
        return ([header] + lines + ["  " + replay(plan)]).joined(separator: "\n")
    }
}

/// The growth of the program's memory from the first quarter of a run to its end, in KiB.
struct MemoryGrowth: Sendable, CustomStringConvertible {
    private var begin: Int?
    private var end: Int?

    /// Measures the process after `requests` of the `all` requests of a run.
    mutating func add(requests: Int, of all: Int) {
        end = ProcessFigures.allocatedKiB() ?? ProcessFigures.residentKiB()
        if begin == nil, requests * 4 >= all { begin = end }
    }

    var growth: Int { (end ?? 0) - (begin ?? end ?? 0) }

    /// The largest growth of the memory in a run of this many requests, in KiB. The last episode may leave 16 MiB, and
    /// each request 32 bytes.
    static func limit(requests: Int) -> Int { 16_384 + requests / 32 }

    var description: String {
        guard let begin, let end else { return "memory unknown" }
        return "memory \(begin) KiB after a fourth, \(end) KiB at the end"
    }
}
