internal import Bowline

/// Runs the simulations of the policies of many seeds.
struct PoliciesSuite: Sendable {
    /// Runs the seeds, so many at a time. Each has a thread of its own.
    static func run(_ seeds: [UInt64], jobs: Int) async -> SeedTally {
        await SeedTally.run(seeds, jobs: jobs, required: required) { await outcome(of: $0) }
    }

    /// Runs the simulation of a seed, and judges it.
    static func outcome(of seed: UInt64) async -> SeedOutcome {
        var outcome = SeedOutcome(seed: seed)
        do {
            let record = try await PoliciesRun(PoliciesPlan(seed: seed)).run()
            outcome.calls = record.calls.count
            outcome.figures = figures(of: record)
            outcome.violations = PoliciesJudge(record).violations
            outcome.trace = record.trace
            if outcome.isRepeated { outcome.compare(with: try await PoliciesRun(PoliciesPlan(seed: seed)).run().trace) }
        } catch {
            outcome.violations.append("the simulation ended: \(error)")
        }
        return outcome
    }

    /// How often things happened.
    private static func figures(of record: PoliciesRecord) -> [String: Int] {
        var figures = record.figures
        func count(_ what: String) { figures[what, default: 0] += 1 }
        for call in record.calls {
            switch call.told {
            case .answered(let answer): count(answer.bodyError == nil ? "call answered" : "call body failed")
            case .failed(let failure), .fellBack(let failure): count("call failed: \(failure.code)")
            case .cancelled: count("call cancelled by the caller")
            case .other, nil: count("call other")
            }
        }
        let drained = record.steps.first { if case .drainBegan = $0.step { true } else { false } }?.at
        var hops: [[Int]: [PoliciesArrival]] = [:]
        for arrival in record.arrivals {
            let earlier = hops[[arrival.call, arrival.hop], default: []]
            hops[[arrival.call, arrival.hop], default: []].append(arrival)
            count("attempt sent")
            if arrival.isExecuted { count("attempt executed") }
            if arrival.hop > 0, earlier.isEmpty {
                count("redirect followed")
                if let drained, drained < arrival.sent { count("redirect followed during a drain") }
            }
            if earlier.last?.status == 401, !arrival.isHedge { count("sent again after a 401") }
            if arrival.method == .post, !earlier.isEmpty { count("POST sent again") }
            if arrival.hasToken { count("attempt with a token") }
            if arrival.server != arrival.named { count("attempt to an endpoint") }
        }
        return figures
    }
}

extension PoliciesSuite {
    /// What the seeds must show, if there are many of them. A simulation in which one of these never happens says
    /// nothing about it.
    static let required = [
        "call answered", "call cancelled by the caller", "call body failed", "fallback used",
        "call failed: deadlineExceeded", "call failed: forciblyClosed", "call failed: shuttingDown",
        "call failed: rateLimited", "call failed: concurrencyLimited", "call failed: circuitOpen",
        "call failed: connectionRefused", "call failed: connectTimeout", "call failed: connectionClosed",
        "call failed: streamReset", "call failed: responseHeadTimeout", "call failed: attemptTimeout",
        "call failed: authenticationFailed", "call failed: tooManyRedirects", "call failed: noEndpoint",
        "rejects 401", "rejects 429", "rejects 503", "is silent", "fails: refusedStream", "fails: closed",
        "fails: reset",
        "retry began", "retry granted after a gate's refusal", "no retry: attemptsExhausted",
        "no retry: notIdempotent", "no retry: bodyNotReplayable", "no retry: deadline", "no retry: retryAfterTooLong",
        "no retry: budgetExhausted", "no retry: draining", "POST sent again",
        "sent again after a 401", "attempt with a token", "redirect followed", "redirect followed during a drain",
        "refused: rate waitTooLong", "refused: rate deadline", "refused: rate closedByService",
        "refused: rate draining", "refused: concurrency waitTooLong", "refused: concurrency queueFull",
        "refused: concurrency shed", "refused: concurrency draining", "refused: breaker open",
        "refused: breaker isolated", "refused: breaker probing", "waited: rate", "waited: concurrency",
        "breaker: open", "breaker: halfOpen", "breaker: closed", "store asked", "store failed",
        "hedge began", "hedge won", "hedge lost", "hedge refused by a gate",
        "attempt to an endpoint", "endpoint ejected", "endpoint restored", "balancer panics: true",
    ]
}
