internal import BowlineCore

/// Runs the simulations of many seeds, and adds up their results.
struct SimulationSuite: Sendable {
    /// One of so many seeds is run twice, to compare the traces.
    private static let repeatInterval: UInt64 = 20
    /// How many failures are kept.
    private static let failureLimit = 20

    /// A seed whose simulation violates a rule.
    struct Failure: Sendable {
        let seed: UInt64
        let violations: [String]
    }

    /// The results of many seeds.
    struct Tally: Sendable {
        var runs = 0
        var calls = 0
        /// How the calls ended, and how often events happened.
        var figures: [String: Int] = [:]
        var failures: [Failure] = []
        /// How many seeds failed.
        var failed = 0
    }

    /// The result of one seed.
    struct Outcome: Sendable {
        let seed: UInt64
        var calls = 0
        var figures: [String: Int] = [:]
        var violations: [String] = []
        var trace: [String] = []
    }

    /// Runs the seeds, so many at a time. Each has a thread of its own.
    ///
    /// - Parameter ended: Called after each seed with the number of seeds that have ended. One call at a time.
    static func run(_ seeds: [UInt64], jobs: Int, ended: (Int) -> Void = { _ in }) async -> Tally {
        var tally = Tally()
        await withTaskGroup(of: Outcome.self) { group in
            var left = seeds[...]
            for _ in 0..<max(1, jobs) {
                guard let seed = left.popFirst() else { break }
                group.addTask { await outcome(of: seed) }
            }
            while let outcome = await group.next() {
                add(outcome, to: &tally)
                ended(tally.runs)
                guard let seed = left.popFirst() else { continue }
                group.addTask { await Self.outcome(of: seed) }
            }
        }
        tally.failures.sort { $0.seed < $1.seed }
        return tally
    }

    /// Runs the simulation of a seed, and judges it.
    static func outcome(of seed: UInt64) async -> Outcome {
        var outcome = Outcome(seed: seed)
        do {
            let record = try await SimulationRun(SimulationPlan(seed: seed)).run()
            outcome.calls = record.calls.count
            outcome.figures = record.figures.merging(told(record)) { $0 + $1 }
            outcome.violations = SimulationJudge(record).violations
            outcome.trace = record.trace
            if seed % repeatInterval == 0 {
                let again = try await SimulationRun(SimulationPlan(seed: seed)).run()
                if let difference = difference(record.trace, again.trace) { outcome.violations.append(difference) }
            }
        } catch {
            outcome.violations.append("the simulation ended: \(error)")
        }
        return outcome
    }

    /// The first difference between the traces of two runs of the same seed. nil: they are equal.
    static func difference(_ one: [String], _ other: [String]) -> String? {
        guard one != other else { return nil }
        for (index, (left, right)) in zip(one, other).enumerated() where left != right {
            return "a second run differs at line \(index + 1): \"\(left)\" and \"\(right)\""
        }
        return "a second run has \(other.count) lines, not \(one.count)"
    }

    private static func told(_ record: SimulationRecord) -> [String: Int] {
        var counts: [String: Int] = [:]
        for call in record.calls {
            let word =
                switch call.told {
                case .answered(let answer): answer.bodyError == nil ? "answered" : "body failed"
                case .failed(let code, _): "failed: \(code)"
                case .cancelled, .cancelledInBody: "cancelled by the caller"
                case .other, nil: "other"
                }
            counts["call \(word)", default: 0] += 1
        }
        return counts
    }

    private static func add(_ outcome: Outcome, to tally: inout Tally) {
        tally.runs += 1
        tally.calls += outcome.calls
        tally.figures.merge(outcome.figures) { $0 + $1 }
        guard !outcome.violations.isEmpty else { return }
        tally.failed += 1
        guard tally.failures.count < failureLimit else { return }
        tally.failures.append(Failure(seed: outcome.seed, violations: outcome.violations))
    }
}

extension SimulationSuite.Tally {
    /// What the seeds must show, if there are many of them. A simulation in which one of these never happens says
    /// nothing about it.
    static let required = [
        "call answered", "call cancelled by the caller", "call body failed", "call failed: deadlineExceeded",
        "call failed: forciblyClosed", "call failed: shuttingDown", "call failed: poolSaturated",
        "call failed: poolAcquireTimeout", "call failed: connectionClosed", "call failed: connectTimeout",
        "call failed: connectionRefused", "call failed: responseHeadTimeout", "call failed: streamReset",
        "call failed: authenticationFailed",
        "refused connects", "silent connects", "cut connections", "dark connections", "resending", "retry began",
        "abandoned", "answers", "rejects 401", "rejects 429", "rejects 503", "redirects", "closes", "resets",
        "refuses", "silent", "truncates", "closed: idleTimeout", "closed: closedByPeer", "closed: goAway",
        "closed: connectionCloseRequested", "closed: cancelled", "closed: timedOut", "closed: forced",
        "closed: keepAliveFailed",
    ]

    /// The required events that never happened.
    var missing: [String] { Self.required.filter { figures[$0, default: 0] == 0 } }
}
