internal import BowlineCore

/// Runs the simulations of many seeds.
struct SimulationSuite: Sendable {
    /// Runs the seeds, so many at a time. Each has a thread of its own.
    static func run(_ seeds: [UInt64], jobs: Int) async -> SeedTally {
        await SeedTally.run(seeds, jobs: jobs, required: required) { await outcome(of: $0) }
    }

    /// Runs the simulation of a seed, and judges it.
    static func outcome(of seed: UInt64) async -> SeedOutcome {
        var outcome = SeedOutcome(seed: seed)
        do {
            let record = try await SimulationRun(SimulationPlan(seed: seed)).run()
            outcome.calls = record.calls.count
            outcome.figures = record.figures.merging(told(record)) { $0 + $1 }
            outcome.violations = SimulationJudge(record).violations
            outcome.trace = record.trace
            if outcome.isRepeated {
                outcome.compare(with: try await SimulationRun(SimulationPlan(seed: seed)).run().trace)
            }
        } catch {
            outcome.violations.append("the simulation ended: \(error)")
        }
        return outcome
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
}

extension SimulationSuite {
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
}
