import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Gates under load", .timeLimit(.minutes(2)))
struct GateLoadTests {
    /// What a run of calls left behind.
    private struct Run: Sendable {
        let snapshot: ResilienceSnapshot
        let ended: Int
        let cancelled: Int
        let sent: Int
        let store: ScriptedStore
        /// Calls whose response or error came after the deadline.
        let late: Int
    }

    private final class Tally: Sendable {
        let cancelled = Guarded(0)
        let late = Guarded(0)
    }

    /// Makes calls to 50 scopes with all gates on, retries, cancellations, and a service that answers anything.
    private static func run(seed: UInt64, calls: Int, usesStore: Bool) async throws -> Run {
        try await withVirtualTime(seed: seed, order: .shuffled) { time in
            let store = ScriptedStore()
            var options = ResilienceOptions.standard
            options.rate = RateOptions()
            options.rate?.perSecond = 50
            options.rate?.burst = 5
            options.rate?.store = usesStore ? store : nil
            options.concurrency?.limit = .adaptive(initial: 4, minimum: 1, maximum: 20)
            let gates = ServiceGates(clock: time.clock)
            let road = TestRoad { [options] road in
                road.retry = RetryOptions()
                road.clock = time.clock
                road.random = time.random
                road.gates = CallPlan.Gates(gates, options)
            }
            let stub = StubTransport()
            stub.on(.get, "/x") { _ in Self.answer(time) }
            let next = try road.over(stub)
            let tally = Tally()
            let ended = try await withThrowingTaskGroup(of: Void.self) { group in
                var ended = 0
                for number in 0..<calls {
                    try await time.sleep(for: .microseconds(Int(1000 * time.random())))
                    if number % 500 == 0 { store.behaviour = number % 1000 == 0 ? .gives : .fails }
                    group.addTask {
                        let request = try Self.request(number)
                        let deadline = Deadline(time.now.advanced(by: .seconds(3)))
                        let context = RequestContext(
                            deadline: deadline, timeouts: Timeouts(),
                            call: CallRecord(admitted: time.now, clock: time.clock))
                        let call = time.startTask { try await next(request, context: context) }
                        if time.random() < 0.05 {
                            try await time.sleep(for: .milliseconds(Int(500 * time.random())))
                            call.cancel()
                        }
                        if case .failure(is CancellationError) = await call.result {
                            tally.cancelled.withLock { $0 += 1 }
                        }
                        if time.now > deadline.instant { tally.late.withLock { $0 += 1 } }
                    }
                }
                while try await group.next() != nil { ended += 1 }
                return ended
            }
            try await time.settle()
            return Run(
                snapshot: gates.snapshot(), ended: ended, cancelled: tally.cancelled.withLock { $0 },
                sent: stub.calls.count, store: store, late: tally.late.withLock { $0 })
        }
    }

    private static func request(_ number: Int) throws -> ServiceRequest {
        var options = RequestOptions()
        options.policyScope = number % 50 < 25 ? nil : "named"
        options.priority = RequestPriority(rawValue: number % 3) ?? .normal
        var request = ServiceRequest(method: .get, "/x", options: options)
        request.url = try ServiceURL("http://h\(number % 25).invalid/x")
        return request
    }

    private static func answer(_ time: VirtualTime) -> StubAnswer {
        let answers: [StubAnswer] = [
            .respond(.ok), .respond(.ok), .respond(.ok), .respond(.ok), .respond(.serviceUnavailable),
            .respond(.tooManyRequests, fields: [.retryAfter: "0.2"]), .respond(.internalServerError),
            .fail(.connectionClosed, progress: .ambiguous), .fail(.connectionRefused, progress: .neverSent),
        ]
        let answer = answers[Int(time.random() * Double(answers.count))]
        return answer.delayed(by: .milliseconds(Int(80 * time.random())), on: time.clock)
    }

    private static func check(_ run: Run, calls: Int, seed: UInt64) {
        #expect(run.ended == calls, "seed \(seed)")
        #expect(run.late == 0, "seed \(seed)")
        #expect(run.snapshot.scopes.count == min(calls, 50), "seed \(seed)")
        #expect(run.snapshot.inFlight == 0, "seed \(seed)")
        #expect(run.snapshot.waiting == 0, "seed \(seed)")
        for scope in run.snapshot.scopes {
            #expect(scope.concurrency?.inFlight ?? 0 == 0, "seed \(seed), \(scope.scope)")
            #expect(scope.concurrency?.waiting ?? 0 == 0, "seed \(seed), \(scope.scope)")
        }
        let admitted = run.snapshot.scopes.reduce(0) { $0 + $1.admitted }
        // Cancelled attempts were admitted too, and may not have reached the service.
        #expect(admitted >= run.sent && admitted <= run.sent + run.cancelled, "seed \(seed)")
    }

    @Test(
        "10,000 calls over 50 scopes with everything on: each call ends in time, and every count returns to zero",
        .tags(.GA3, .GA6))
    func everything() async throws {
        let run = try await Self.run(seed: 1, calls: 10_000, usesStore: false)
        Self.check(run, calls: 10_000, seed: 1)
        #expect(run.snapshot.scopes.reduce(0) { $0 + $1.refused } > 100)
        #expect(run.cancelled > 100)
    }

    @Test(
        "The same with other seeds, and with a store of tokens that fails half of the time", .tags(.GA6),
        arguments: [false, true])
    func seeds(usesStore: Bool) async throws {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<5 {
            let seed = random.next()
            let run = try await Self.run(seed: seed, calls: 500, usesStore: usesStore)
            Self.check(run, calls: 500, seed: seed)
            #expect(usesStore == !run.store.questions.isEmpty)
        }
    }

    @Test(
        "Calls to many scopes keep at most 1,024 scopes, and those that have been idle for long are forgotten",
        .tags(.GA5))
    func manyScopes() async throws {
        let harness = GateHarness { $0 = .standard }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        for number in 0..<3000 { _ = try await harness.call { $0.policyScope = "\(number)" } }
        #expect(harness.gates.snapshot().scopes.count <= ServiceGates.maximumScopes)
        #expect(harness.gates.snapshot().scopes.count > ServiceGates.maximumScopes / 2)
        harness.clock.advance(by: .seconds(601))
        for number in 0..<200 { _ = try await harness.call { $0.policyScope = "new \(number)" } }
        #expect(harness.gates.snapshot().scopes.count < 300)
    }

    @Test("Extreme knobs do not trap", .tags(.BI4))
    func extremes() async throws {
        let longest = Duration.seconds(Int64.max)
        for wait in [Duration.zero, longest] {
            let harness = GateHarness { options in
                options = .standard
                options.rate = RateOptions()
                options.rate?.perSecond = 0.001
                options.rate?.burst = 1_000_000
                options.rate?.maximumWait = wait
                options.concurrency?.maximumWait = wait
                options.breaker?.open = longest
                options.breaker?.maximumOpen = longest
                options.breaker?.minimumAttempts = 1
            } retry: {
                $0.maximumRetryAfter = longest
                $0.maximumAttempts = 1
            }
            harness.stub.on(.get, "/ok", always: .respond(.ok))
            harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable, fields: [.retryAfter: "999999999999"]))
            _ = try await harness.call("/ok")
            _ = try await harness.call("/x")
            // The breaker is open and the gate is closed, both for a very long time.
            let error = try #require(try await harness.error(deadline: .seconds(1)))
            #expect(error.code == .circuitOpen)
            #expect(try harness.snapshot().rate.closedFor ?? .zero > .seconds(1_000_000))
            harness.clock.advance(to: .distantFuture)
            _ = try? await harness.call("/ok", deadline: .seconds(1))
            #expect(try harness.snapshot().inFlight == 0)
        }
    }
}
