import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Gates under load", .timeLimit(.minutes(2)))
struct GateLoadTests {
    @Test("10,000 calls over 50 scopes with everything on: every count returns to zero, and no scope is left over")
    func everything() async throws {
        let harness = GateHarness { options in
            options = .standard
            options.rate = RateOptions()
            options.rate?.perSecond = 5000
            options.rate?.burst = 50
            options.concurrency?.limit = .adaptive(initial: 4, minimum: 1, maximum: 20)
        } retry: {
            $0.maximumAttempts = 2
        }
        var random = SeededRandom.fromEnvironment()
        let answers: [StubAnswer] = [
            .respond(.ok), .respond(.ok), .respond(.ok), .respond(.serviceUnavailable),
            .respond(.tooManyRequests, fields: [.retryAfter: "0.2"]), .fail(.connectionClosed, progress: .ambiguous),
            .respond(.internalServerError),
        ]
        let source = random.source()
        harness.stub.on(.get, "/x") { [clock = harness.clock] _ in
            let answer = answers[Int(source() * Double(answers.count))]
            return source() < 0.3 ? answer.delayed(by: .milliseconds(3), on: clock) : answer
        }
        let calls = 10_000
        let done = Gate()
        let work = Task {
            await withTaskGroup { group in
                for number in 0..<calls {
                    // 200 at once.
                    if number >= 200 { _ = await group.next() }
                    let isCancelled = source() < 0.05
                    group.addTask {
                        let call = Task {
                            _ = try? await harness.call(host: "h\(number % 25).invalid", deadline: .seconds(5)) {
                                $0.policyScope = number % 50 < 25 ? nil : "named"
                                $0.priority = RequestPriority(rawValue: number % 3) ?? .normal
                            }
                        }
                        if isCancelled { call.cancel() }
                        await call.value
                    }
                }
            }
            done.open()
        }
        while !done.isOpen {
            harness.clock.advanceToNextDeadline()
            await Task.yield()
        }
        await work.value
        let snapshot = harness.gates.snapshot()
        #expect(snapshot.scopes.count == 50)
        #expect(snapshot.inFlight == 0)
        #expect(snapshot.waiting == 0)
        for scope in snapshot.scopes {
            #expect(scope.concurrency?.inFlight ?? 0 == 0)
            #expect(scope.concurrency?.waiting ?? 0 == 0)
        }
        let admitted = snapshot.scopes.reduce(0) { $0 + $1.admitted }
        let refused = snapshot.scopes.reduce(0) { $0 + $1.refused }
        #expect(admitted >= harness.paths.count)
        #expect(admitted + refused >= calls * 9 / 10)
        try await eventually("all timers to end") { harness.clock.sleeperCount == 0 }
    }

    @Test("Calls to many scopes keep at most 1,024 scopes, and those that have been idle for long are forgotten")
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

    @Test("Extreme knobs do not trap")
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
