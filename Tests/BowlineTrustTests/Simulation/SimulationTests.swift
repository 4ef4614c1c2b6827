internal import Bowline
internal import BowlinePlatform
internal import BowlineTesting
internal import NIOCore
internal import Testing

@testable import BowlineTrust

@Suite("The simulation of the whole client")
struct SimulationTests {
    /// How many seeds the tests run. CI runs many more, in a release build.
    private static let seeds = getenv("BOWLINE_SIMULATION_SEEDS").flatMap { Int(String(cString: $0)) } ?? 10
    private static let parts = 20

    // MARK: One call

    /// Runs one call against a path with 1 ms of latency and a service that takes 10 ms.
    private func run(_ call: SimulationCall, isHTTP2: Bool) async throws -> SimulationRecord {
        var act = SimulationAct()
        act.delay = .milliseconds(10)
        var plan = SimulationPlan(isHTTP2: isHTTP2, calls: [call], act: act)
        plan.fixedPath?.latency = .milliseconds(1)
        return try await SimulationRun(plan).run()
    }

    @Test(
        "A GET takes a connect, a round trip and the time of the service, to the nanosecond", arguments: [false, true])
    func oneCall(isHTTP2: Bool) async throws {
        var call = SimulationCall(number: 0)
        call.answerCount = 1_000
        let record = try await run(call, isHTTP2: isHTTP2)
        let told = record.calls[0].told
        guard case .answered(let answer) = told else {
            Issue.record("\(String(describing: told))")
            return
        }
        #expect(answer.status == 200)
        #expect(answer.number == 0)
        #expect(answer.received == 1_000)
        #expect(answer.isMatching)
        #expect(answer.isWhole)
        #expect(record.executions == [1])
        // Connect 2 ms, request 1 ms, service 10 ms, answer 1 ms. HTTP/2 waits 1 ms for the peer's settings.
        #expect(record.calls[0].ended?.nanoseconds == (isHTTP2 ? 15_000_000 : 14_000_000))
        #expect(record.remains == SimulationRemains())
        #expect(SimulationJudge(record).violations == [])
    }

    @Test("A POST with a body in every form arrives whole", arguments: [false, true])
    func bodies(isHTTP2: Bool) async throws {
        let forms: [SimulationCall.Body] = [
            .bytes, .replayable(isSized: true), .replayable(isSized: false), .stream(isSized: true),
            .stream(isSized: false),
        ]
        for form in forms {
            var call = SimulationCall(number: 0)
            call.method = .post
            call.body = form
            call.bodyCount = 100_000
            call.chunkSize = 7_000
            call.chunkPause = .milliseconds(1)
            call.answerCount = 100_000
            let record = try await run(call, isHTTP2: isHTTP2)
            #expect(record.executions == [1], "\(form)")
            #expect(record.problems == [], "\(form)")
            #expect(SimulationJudge(record).violations == [], "\(form)")
        }
    }

    @Test("A caller that cancels ends at once", arguments: [false, true])
    func cancellation(isHTTP2: Bool) async throws {
        var call = SimulationCall(number: 0)
        call.cancelAfter = .milliseconds(5)
        let record = try await run(call, isHTTP2: isHTTP2)
        #expect(record.calls[0].told == .cancelled)
        #expect(record.calls[0].ended?.nanoseconds == 5_000_000)
        #expect(record.executions == [0])
    }

    // MARK: Many seeds

    @Test("Many seeds violate no rule", arguments: 0..<parts)
    func manySeeds(part: Int) async {
        let seeds = (0..<UInt64(Self.seeds)).filter { $0 % UInt64(Self.parts) == UInt64(part) }
        let tally = await SimulationSuite.run(seeds, jobs: 2)
        for failure in tally.failures {
            Issue.record("simulate-client --seed \(failure.seed): \(failure.violations.joined(separator: "; "))")
        }
        #expect(tally.failed == 0)
        #expect(tally.runs == seeds.count)
    }

    @Test("A thousand seeds show every kind of fault, error and end", .enabled(if: seeds >= 1_000))
    func everythingHappens() async {
        let tally = await SimulationSuite.run(Array(10_000..<11_000), jobs: 2)
        #expect(tally.missing == [])
    }

    @Test(
        "The same seed gives the same trace, and another seed another",
        arguments: 0..<(seeds >= 100 ? 25 : 1) as Range<UInt64>)
    func sameTrace(seed: UInt64) async throws {
        let one = try await SimulationRun(SimulationPlan(seed: seed)).run().trace
        for _ in 0..<3 {
            let again = try await SimulationRun(SimulationPlan(seed: seed)).run().trace
            #expect(SeedOutcome.difference(one, again) == nil)
        }
        let other = try await SimulationRun(SimulationPlan(seed: seed + 1_000)).run().trace
        #expect(one != other)
        #expect(one.count > 5)
    }

    @Test("The seeds that once failed violate no rule any more")
    func keptSeeds() async {
        for kept in SimulationKeptSeeds.all {
            let outcome = await SimulationSuite.outcome(of: kept.seed)
            #expect(outcome.violations == [], "seed \(kept.seed): \(kept.fault)")
        }
        #expect(Set(SimulationKeptSeeds.all.map(\.seed)).count == SimulationKeptSeeds.all.count)
    }

    @Test("The seeds draw plans of every kind")
    func plans() {
        let plans = (0..<500 as Range<UInt64>).map { SimulationPlan(seed: $0) }
        #expect(plans.contains { $0.isCalm })
        #expect(plans.contains { $0.isHTTP2 })
        #expect(plans.contains { !$0.isHTTP2 })
        #expect(plans.contains { $0.isShuffled })
        #expect(plans.contains { $0.shutdown?.second != nil })
        #expect(plans.contains { $0.shutdown?.cancelAfter != nil })
        #expect(plans.contains { $0.hosts.count == 3 })
        #expect(plans.allSatisfy { !$0.isCalm || $0.shutdown == nil && !$0.hasFaultyPaths })
        let calls = plans.flatMap(\.calls)
        #expect(Set(calls.map { "\($0.body)" }).count == 6)
        #expect(calls.contains { $0.cancelAfter != nil })
        #expect(calls.contains { $0.isDerived })
        #expect(calls.allSatisfy { $0.start < .seconds(9) })
        let again = (0..<500 as Range<UInt64>).map { SimulationPlan(seed: $0) }
        #expect(plans.map(\.calls) == again.map(\.calls))
    }

    // MARK: All orders

    @Test(
        "All orders of events on two connections and three requests keep the rules",
        arguments: SimulationOrders.Setup.all)
    func orders(setup: SimulationOrders.Setup) async {
        let depth = getenv("BOWLINE_SIMULATION_DEPTH").flatMap { Int(String(cString: $0)) } ?? 2
        let result = await SimulationOrders(setup: setup, depth: depth).explore()
        #expect(result.violations == [])
        #expect(result.orders > 5)
    }

    @Test("An order of events repeats its trace, and its events have their effects")
    func oneOrder() async {
        let orders = SimulationOrders(setup: SimulationOrders.Setup(), depth: 3)
        let begin = await orders.replay([])
        // Two requests are held, and one waits.
        #expect(begin.events.filter { if case .done = $0 { true } else { false } }.count == 2)
        #expect(begin.events.contains(.cancel(2)))
        #expect(begin.violations == [])
        let path: [SimulationOrders.Event] = [.done(0), .close(1), .shutdown]
        let one = await orders.replay(path)
        let again = await orders.replay(path)
        #expect(one.trace == again.trace)
        #expect(one.fingerprint == again.fingerprint)
        #expect(one.fingerprint != begin.fingerprint)
        #expect(!one.events.contains(.shutdown))
        #expect(one.violations == [])
    }
}
