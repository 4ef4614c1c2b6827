internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("The simulation of the policies", .timeLimit(.minutes(2)))
struct PoliciesTests {
    /// Runs calls against a service that does these acts with each of them.
    private func run(
        _ calls: [PoliciesCall], _ acts: [PoliciesAct], _ change: (inout PoliciesPlan) -> Void = { _ in }
    ) async throws -> PoliciesRecord {
        var plan = PoliciesPlan(calls: calls, acts: acts)
        change(&plan)
        return try await PoliciesRun(plan).run()
    }

    private func call(_ change: (inout PoliciesCall) -> Void = { _ in }) -> PoliciesCall {
        var call = PoliciesCall(number: 0)
        change(&call)
        return call
    }

    // MARK: One call

    @Test("A call takes the time of the service, to the nanosecond")
    func oneCall() async throws {
        let record = try await run([call()], [PoliciesAct(delay: .milliseconds(10))])
        #expect(record.calls[0].told == .answered(PoliciesAnswer(number: 0)))
        #expect(record.calls[0].ended?.nanoseconds == 10_000_000)
        #expect(record.arrivals.map(\.isExecuted) == [true])
        #expect(record.remains == SimulationRemains())
        #expect(PoliciesJudge(record).violations == [])
    }

    @Test("A redirect and a retry are recorded with their hops and attempts")
    func attempts() async throws {
        let acts = [
            PoliciesAct(reaction: .redirects(307, .otherHost)),
            PoliciesAct(reaction: .fails(.closed, isExecuted: true)), PoliciesAct(),
        ]
        let record = try await run([call { $0.method = .put }], acts) {
            $0.hosts = ["host0.test", "host1.test"]
            $0.retry.maximumAttempts = 2
        }
        #expect(record.arrivals.map(\.hop) == [0, 1, 1])
        #expect(record.arrivals.map(\.attempt) == [1, 1, 2])
        #expect(record.arrivals.map(\.server) == ["host0.test", "host1.test", "host1.test"])
        #expect(record.arrivals.map(\.isExecuted) == [false, true, true])
        #expect(record.calls[0].told == .answered(PoliciesAnswer(number: 0, requestsSent: 3)))
        #expect(PoliciesJudge(record).violations == [])
    }

    @Test("A gate's refusal is recorded with gate, scope and reason")
    func refusal() async throws {
        var second = PoliciesCall(number: 1)
        second.start = .milliseconds(1)
        let record = try await run([call(), second], [PoliciesAct(delay: .milliseconds(10))]) {
            $0.resilience.concurrency = ConcurrencyOptions {
                $0.limit = .fixed(1)
                $0.maximumWaiting = 0
            }
        }
        guard case .failed(let failure) = record.calls[1].told else {
            Issue.record("\(String(describing: record.calls[1].told))")
            return
        }
        #expect(failure.code == "concurrencyLimited")
        #expect(failure.progress == .neverSent)
        #expect(failure.refusal?.gate == .concurrency)
        #expect(failure.refusal?.reason == .queueFull)
        #expect(record.counts.count == 4)
        #expect(PoliciesJudge(record).violations == [])
    }

    @Test("A caller that cancels ends at once, and a POST that the service executes once is executed once")
    func cancellation() async throws {
        let post = call {
            $0.method = .post
            $0.body = .bytes
            $0.cancelAfter = .milliseconds(5)
        }
        let record = try await run([post], [PoliciesAct(delay: .milliseconds(10))]) { $0.retry.maximumAttempts = 3 }
        #expect(record.calls[0].told == .cancelled)
        #expect(record.calls[0].ended?.nanoseconds == 5_000_000)
        #expect(record.arrivals.map(\.isExecuted) == [true])
        #expect(PoliciesJudge(record).violations == [])
    }

    // MARK: Many seeds

    @Test("Seeds violate no rule", arguments: 0..<4 as Range<UInt64>)
    func manySeeds(part: UInt64) async {
        let tally = await PoliciesSuite.run((0..<20).map { part * 20 + $0 }, jobs: 2)
        for failure in tally.failures {
            Issue.record("policies --seed \(failure.seed): \(failure.violations.joined(separator: "; "))")
        }
        #expect(tally.failed == 0)
        #expect(tally.runs == 20)
        #expect(tally.calls > 100)
    }

    @Test("The same seed gives the same trace, and another seed another", arguments: 0..<5 as Range<UInt64>)
    func sameTrace(seed: UInt64) async throws {
        let one = try await PoliciesRun(PoliciesPlan(seed: seed)).run().trace
        let again = try await PoliciesRun(PoliciesPlan(seed: seed)).run().trace
        #expect(SeedOutcome.difference(one, again) == nil)
        let other = try await PoliciesRun(PoliciesPlan(seed: seed + 1_000)).run().trace
        #expect(one != other)
        #expect(one.count > 5)
    }

    @Test("The seeds that once failed violate no rule any more")
    func keptSeeds() async {
        for kept in PoliciesKeptSeeds.all {
            let outcome = await PoliciesSuite.outcome(of: kept.seed)
            #expect(outcome.violations == [], "seed \(kept.seed): \(kept.fault)")
        }
        #expect(Set(PoliciesKeptSeeds.all.map(\.seed)).count == PoliciesKeptSeeds.all.count)
    }

    @Test("The seeds draw plans of every kind")
    func plans() {
        let plans = (0..<500 as Range<UInt64>).map { PoliciesPlan(seed: $0) }
        #expect(plans.contains { $0.resilience.rate != nil && $0.store == nil })
        #expect(plans.contains { $0.store != nil })
        #expect(plans.contains { $0.resilience.concurrency == nil && $0.resilience.breaker == nil })
        #expect(plans.contains { $0.resilience.hedging != nil && $0.endpoints != nil && $0.tokens != nil })
        #expect(plans.contains { !($0.endpoints?.lists.isEmpty ?? true) })
        #expect(plans.contains { $0.shutdown?.second != nil })
        #expect(plans.contains { !$0.hands.isEmpty })
        #expect(plans.contains { $0.faults == 0 && $0.outages.isEmpty })
        let calls = plans.flatMap(\.calls)
        #expect(calls.contains { $0.cancelAfter != nil })
        #expect(calls.contains { $0.hasFallback })
        #expect(Set(calls.map(\.maker)).count == 3)
        #expect(Set(calls.map(\.scope)).count == 3)
        let again = (0..<500 as Range<UInt64>).map { PoliciesPlan(seed: $0) }
        #expect(plans.map(\.calls) == again.map(\.calls))
    }

    // MARK: Results of many seeds

    @Test("A tally names the failures, and the required events that never happened")
    func tally() {
        var tally = SeedTally(required: ["one", "two"])
        var good = SeedOutcome(seed: 1)
        good.calls = 3
        good.figures = ["one": 2]
        tally.add(good)
        #expect(tally.missing == ["two"])
        #expect(tally.failed == 0)
        var bad = SeedOutcome(seed: 2)
        bad.violations = ["text"]
        bad.figures = ["one": 1, "two": 1]
        tally.add(bad)
        #expect(tally.missing == [])
        #expect(tally.runs == 2)
        #expect(tally.calls == 3)
        #expect(tally.figures == ["one": 3, "two": 1])
        #expect(tally.failed == 1)
        #expect(tally.failures.map(\.seed) == [2])
        #expect(tally.failures.map(\.violations) == [["text"]])
    }

    @Test("A second run with another trace is a violation")
    func comparison() {
        var outcome = SeedOutcome(seed: 40)
        outcome.trace = ["a", "b"]
        #expect(outcome.isRepeated)
        outcome.compare(with: ["a", "b"])
        #expect(outcome.violations == [])
        outcome.compare(with: ["a", "c"])
        #expect(outcome.violations == ["a second run differs at line 2: \"b\" and \"c\""])
    }
}
