internal import Bowline

/// The figures of a scenario.
struct SilenceRow: Sendable {
    let scenario: SilenceScenario
    let workers: Int
    /// How many calls were in flight at any time between the start of the silence and the recovery of the last worker.
    let calls: Int
    let failures: [SilenceFailure: Int]
    let idempotentFailures: Int
    /// How many calls succeeded after a retry or a resend.
    let repeated: Int
    /// The times from the recovery of the path to the next success of each worker, shortest first.
    let recoveries: [Duration]
    /// Connections in the pool on which no request was answered.
    var deadConnections = 0
    /// POSTs that the server executed more than once.
    var postsExecutedTwice = 0
    /// Problems of the run itself.
    var problems: [String] = []

    /// Sums up the calls of a scenario.
    ///
    /// - Parameters:
    ///   - scenario: What happened to the path.
    ///   - calls: All calls, in any order.
    ///   - workers: How many callers there were, numbered from 0.
    ///   - wentDark: When the path became silent.
    ///   - healed: The instant from which new connections worked.
    init(
        _ scenario: SilenceScenario, calls: [SilenceCall], workers: Int, wentDark: MonotonicInstant,
        healed: MonotonicInstant
    ) {
        self.scenario = scenario
        self.workers = workers
        var recovered: [Int: MonotonicInstant] = [:]
        for call in calls where call.hasSucceeded && call.ended >= healed {
            recovered[call.worker] = min(recovered[call.worker] ?? call.ended, call.ended)
        }
        recoveries = recovered.values.map { healed.duration(to: $0) }.sorted()
        let end =
            recovered.count < workers ? MonotonicInstant.distantFuture : recovered.values.max() ?? .distantFuture
        let during = calls.filter { $0.ended >= wentDark && $0.began <= end }
        self.calls = during.count
        // A failure counts whenever it happened: the silence is the only fault.
        failures = calls.compactMap(\.failure).reduce(into: [:]) { $0[$1, default: 0] += 1 }
        idempotentFailures = calls.count(where: { $0.isIdempotent && !$0.hasSucceeded })
        repeated = during.count(where: \.wasRepeated)
    }

    /// A scenario that could not be run.
    init(_ scenario: SilenceScenario, workers: Int, problem: String) {
        self.init(scenario, calls: [], workers: workers, wentDark: .distantFuture, healed: .distantFuture)
        problems = [problem]
    }

    var failed: Int { failures.values.reduce(0, +) }
    var first: Duration? { recoveries.first }
    var median: Duration? { recoveries.isEmpty ? nil : recoveries[recoveries.count / 2] }
    var longest: Duration? { recoveries.last }

    /// The figures beyond their limits; empty if there are none.
    func violations(_ limits: SilenceLimits) -> [String] {
        var found = problems
        let unexpected = failures.keys.filter { !SilenceLimits.expectedCodes.contains($0.code) }
        for failure in unexpected.sorted(by: { $0.description < $1.description }) {
            found.append("\(failures[failure] ?? 0) calls failed with \(failure)")
        }
        if failed > limits.allowedFailures(scenario, workers: workers) {
            found.append("\(failed) calls failed, of which \(limits.allowedFailures(scenario, workers: workers)) may")
        }
        let allowed = limits.allowedIdempotentFailures(scenario, workers: workers)
        if idempotentFailures > allowed {
            found.append("\(idempotentFailures) idempotent calls failed, of which \(allowed) may")
        }
        if recoveries.count < workers, problems.isEmpty {
            found.append("\(workers - recoveries.count) of \(workers) callers did not succeed again")
        }
        let promised = limits.promisedRecovery(scenario)
        if let longest, longest > promised {
            found.append("calls succeeded again after \(longest.messageText), \(promised.messageText) are promised")
        }
        if deadConnections > 0 { found.append("\(deadConnections) dead connections are left in the pool") }
        if postsExecutedTwice > 0 { found.append("\(postsExecutedTwice) POSTs were executed twice") }
        return found
    }
}

extension SilenceRow {
    static let header = [
        "protocol", "phase", "dark", "calls", "failed", "repeated", "first ms", "p50 ms", "max ms", "limit ms", "dead",
        "POST twice", "verdict",
    ]

    /// The row's cells, in the header's order.
    func cells(_ limits: SilenceLimits) -> [String] {
        [
            scenario.speaks.rawValue, scenario.phase.rawValue, scenario.extent.rawValue, "\(calls)", "\(failed)",
            "\(repeated)", Self.milliseconds(first), Self.milliseconds(median), Self.milliseconds(longest),
            Self.milliseconds(limits.promisedRecovery(scenario)), "\(deadConnections)", "\(postsExecutedTwice)",
            violations(limits).isEmpty ? "ok" : "FAILED",
        ]
    }

    /// The errors of the failed calls, most frequent first; empty if no call failed.
    var failureText: String {
        failures.sorted { ($1.value, $0.key.description) < ($0.value, $1.key.description) }
            .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }

    private static func milliseconds(_ duration: Duration?) -> String {
        duration.map { "\($0.saturatingNanoseconds / 1_000_000)" } ?? "-"
    }
}
