import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Gates of a call", .timeLimit(.minutes(1)))
struct GateTests {
    /// One per second, one at once.
    private static func slow(_ options: inout ResilienceOptions) {
        options.rate = RateOptions()
        options.rate?.perSecond = 1
        options.rate?.burst = 1
        options.rate?.maximumWait = .seconds(10)
    }

    private static func one(_ options: inout ResilienceOptions) {
        options.concurrency = ConcurrencyOptions()
        options.concurrency?.limit = .fixed(1)
        options.concurrency?.maximumWait = .seconds(10)
    }

    // MARK: Middleware

    @Test("Answers and errors that middleware makes say nothing to the gates", .tags(.BR5))
    func middlewareWithoutSending() async throws {
        let (clock, stub) = (TestClock(), StubTransport())
        let gates = ServiceGates(clock: clock)
        var resilience = ResilienceOptions()
        resilience.breaker = BreakerOptions()
        resilience.breaker?.minimumAttempts = 2
        resilience.concurrency = ConcurrencyOptions()
        let plan = CallPlan.Gates(gates, resilience)
        let isSent = Shared(false)
        let road = TestRoad {
            $0.clock = clock
            $0.gates = plan
            $0.perAttempt = [
                Intercepting { request, context, next in
                    if isSent.value { return try await next(request, context: context) }
                    return ServiceResponse(status: .internalServerError)
                }
            ]
        }
        for _ in 0..<30 { _ = try await stub.send(.get("http://stub.invalid/x"), along: road) }
        #expect(stub.calls.isEmpty)
        let scope = try #require(gates.snapshot().scopes.first)
        #expect(scope.breaker.state == .closed)
        #expect(scope.inFlight == 0)
        #expect(scope.admitted == 30)

        // The same answers of the service open the breaker.
        stub.on(.get, "/x", always: .respond(.internalServerError))
        isSent.change { $0 = true }
        for _ in 0..<2 { _ = try await stub.send(.get("http://stub.invalid/x"), along: road) }
        #expect(gates.snapshot().scopes.first?.breaker.state == .open)
    }

    // MARK: Order

    @Test("Attempts pass the rate gate in the order in which they came, each at its time", .tags(.GA1, .RA1))
    func rateOrder() async throws {
        let harness = GateHarness(Self.slow)
        harness.stub.on(.get, "/{n}", always: .respond(.ok))
        var tasks: [Task<ServiceResponse, any Error>] = []
        for number in 1...5 { tasks.append(try await harness.start("/\(number)")) }
        #expect(harness.paths == ["/1"])
        #expect(try harness.snapshot().waiting == 4)
        for number in 2...5 {
            try await harness.clock.waitForSleepers(count: 6 - number)
            harness.clock.advanceToNextDeadline()
            try await harness.stub.waitForCalls(count: number)
            #expect(harness.time == .seconds(number - 1))
        }
        for task in tasks { _ = try await task.value }
        #expect(harness.paths == ["/1", "/2", "/3", "/4", "/5"])
        #expect(
            harness.events.texts == [
                "waited rate 1.0 s", "waited rate 2.0 s", "waited rate 3.0 s", "waited rate 4.0 s",
            ])
        let end = try harness.snapshot()
        #expect(end.waiting == 0)
        #expect(end.inFlight == 0)
        #expect(end.admitted == 5)
    }

    @Test("Attempts pass the concurrency gate one after another, in the order in which they came", .tags(.GA1, .CO1))
    func concurrencyOrder() async throws {
        let harness = GateHarness(Self.one)
        let gates = (1...4).map { _ in Gate() }
        for number in 1...4 {
            harness.stub.on(.get, "/\(number)", always: .respond(.ok).held(by: gates[number - 1]))
        }
        var tasks: [Task<ServiceResponse, any Error>] = []
        for number in 1...4 { tasks.append(try await harness.start("/\(number)")) }
        for number in 1...4 {
            try await gates[number - 1].waitForWaiters()
            let snapshot = try harness.snapshot()
            #expect(snapshot.inFlight == 1)
            #expect(snapshot.waiting == 4 - number)
            #expect(snapshot.concurrency == ConcurrencySnapshot(limit: 1, inFlight: 1, waiting: 4 - number))
            gates[number - 1].open()
        }
        for task in tasks { _ = try await task.value }
        #expect(harness.paths == ["/1", "/2", "/3", "/4"])
        #expect(try harness.snapshot().concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
        // The timers of the waits have ended, too.
        try await eventually("no sleepers") { harness.clock.sleeperCount == 0 }
    }

    // MARK: Refusals

    @Test(
        "An attempt that would wait too long is refused: nothing is sent, and the error says which gate and until when",
        .tags(.GA2))
    func refused() async throws {
        let harness = GateHarness { options in
            Self.slow(&options)
            options.rate?.maximumWait = .milliseconds(400)
        }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        _ = try await harness.call()
        harness.clock.advance(by: .milliseconds(100))
        let error = try #require(try await harness.error())
        #expect(error.code == .rateLimited)
        #expect(error.progress == .neverSent)
        #expect(error.retryAfter == .milliseconds(900))
        #expect(error.refusal?.gate == .rate)
        #expect(error.refusal?.reason == .waitTooLong)
        #expect(error.refusal?.scope == PolicyScope(origin: try GateHarness.origin()))
        #expect(error.attempts == 1)
        #expect(error.requestsSent == 0)
        #expect(error.origin == "http://stub.invalid:80")
        #expect(harness.paths.count == 1)
        #expect(
            harness.events.texts == [
                "refused rate waitTooLong attempt 1", "gives up after rateLimited: attemptsExhausted, 100 left",
            ])
        #expect(try harness.snapshot().refused == 1)
    }

    @Test("An attempt whose wait would pass its deadline is refused at once", .tags(.GA3))
    func deadline() async throws {
        let harness = GateHarness(Self.slow)
        harness.stub.on(.get, "/x", always: .respond(.ok))
        _ = try await harness.call()
        let error = try #require(try await harness.error(deadline: .milliseconds(500)))
        #expect(error.code == .rateLimited)
        #expect(error.refusal?.reason == .deadline)
        #expect(harness.clock.sleeperCount == 0)
        let waiting = try await harness.start(deadline: .milliseconds(1500))
        let result = try await harness.finish(waiting)
        #expect(try result.get().status == .ok)
    }

    @Test("An attempt waits no longer than maximumWait although its deadline is later", .tags(.GA3))
    func waitBeforeDeadline() async throws {
        let harness = GateHarness { options in
            Self.slow(&options)
            options.rate?.maximumWait = .milliseconds(400)
        }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        _ = try await harness.call()
        let error = try #require(try await harness.error(deadline: .seconds(5)))
        #expect(error.refusal?.reason == .waitTooLong)
        #expect(error.retryAfter == .seconds(1))
        #expect(harness.clock.sleeperCount == 0)
        #expect(harness.paths.count == 1)
    }

    @Test(
        "An attempt that waits for the concurrency limit is refused when its wait has been too long", .tags(.GA2, .CO3))
    func queueTimeout() async throws {
        let harness = GateHarness { options in
            Self.one(&options)
            options.concurrency?.maximumWait = .milliseconds(300)
        }
        let gate = Gate()
        harness.stub.on(.get, "/x", always: .respond(.ok).held(by: gate))
        let first = try await harness.start()
        let second = try await harness.start()
        try await harness.clock.waitForSleepers(count: 1)
        harness.clock.advance(by: .milliseconds(300))
        let error = await #expect(throws: ServiceError.self) { try await second.value }
        #expect(error?.code == .concurrencyLimited)
        #expect(error?.refusal?.reason == .waitTooLong)
        #expect(error?.elapsed == .milliseconds(300))
        gate.open()
        _ = try await first.value
        #expect(try harness.snapshot().concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
        #expect(harness.paths.count == 1)
    }

    @Test("A full queue refuses; an attempt with a higher priority takes the place of a lower one", .tags(.CO2))
    func priorities() async throws {
        let harness = GateHarness { options in
            Self.one(&options)
            options.concurrency?.maximumWaiting = 1
        }
        let gate = Gate()
        harness.stub.on(.get, "/{n}", always: .respond(.ok).held(by: gate))
        let first = try await harness.start("/1")
        let second = try await harness.start("/2")
        let third = try await harness.error("/3")
        #expect(third?.refusal?.reason == .queueFull)
        let fourth = try await harness.start("/4") { $0.priority = .critical }
        let displaced = await #expect(throws: ServiceError.self) { try await second.value }
        #expect(displaced?.code == .concurrencyLimited)
        #expect(displaced?.refusal?.reason == .shed)
        gate.open()
        _ = try await first.value
        _ = try await fourth.value
        #expect(harness.paths == ["/1", "/4"])
        #expect(try harness.snapshot().waiting == 0)
    }

    // MARK: Cancellation

    @Test("A cancelled wait ends at once and gives its token back", .tags(.GA6))
    func cancelledWait() async throws {
        let harness = GateHarness(Self.slow)
        harness.stub.on(.get, "/{n}", always: .respond(.ok))
        _ = try await harness.call("/1")
        let second = try await harness.start("/2")
        let third = try await harness.start("/3")
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        // The third keeps its time, and a fourth takes the time of the second.
        let fourth = try await harness.start("/4")
        try await harness.clock.waitForSleepers(count: 2)
        harness.clock.advanceToNextDeadline()
        _ = try await fourth.value
        #expect(harness.time == .seconds(1))
        harness.clock.advanceToNextDeadline()
        _ = try await third.value
        #expect(harness.time == .seconds(2))
        let end = try harness.snapshot()
        #expect(end.waiting == 0)
        #expect(end.inFlight == 0)
        #expect(end.refused == 0)
    }

    @Test("A cancelled attempt leaves the queue or gives its place in flight to the next", .tags(.GA6))
    func cancelledInQueue() async throws {
        let harness = GateHarness(Self.one)
        let gate = Gate()
        harness.stub.on(.get, "/{n}", always: .respond(.ok).held(by: gate))
        let first = try await harness.start("/1")
        let second = try await harness.start("/2")
        let third = try await harness.start("/3")
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(try harness.snapshot().waiting == 1)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        try await harness.stub.waitForCalls(count: 2)
        gate.open()
        _ = try await third.value
        #expect(harness.paths == ["/1", "/3"])
        #expect(try harness.snapshot().concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
    }

    @Test("A refusal by a later gate gives the token of the rate gate back", .tags(.GA6))
    func tokenReturns() async throws {
        let harness = GateHarness { options in
            Self.slow(&options)
            options.rate?.maximumWait = .zero
            Self.one(&options)
            options.concurrency?.maximumWait = .zero
        }
        let gate = Gate()
        harness.stub.on(.get, "/1", always: .respond(.ok).held(by: gate))
        harness.stub.on(.get, "/2", always: .respond(.ok))
        let first = try await harness.start("/1")
        harness.clock.advance(by: .seconds(1))
        let refused = try await harness.error("/2")
        #expect(refused?.code == .concurrencyLimited)
        gate.open()
        _ = try await first.value
        _ = try await harness.call("/2")
        #expect(harness.paths == ["/1", "/2"])
    }

    // MARK: The service's pauses

    @Test("A 429 with Retry-After closes the scope for all callers, and no other scope", .tags(.GA4, .RA2, .RA3))
    func closes() async throws {
        let harness = GateHarness { $0.sharesRetryAfter = true }
        harness.stub.on(.get, "/busy", always: .respond(.tooManyRequests, fields: [.retryAfter: "5"]))
        harness.stub.on(.get, "/x", always: .respond(.ok))
        let busy = try await harness.call("/busy")
        #expect(busy.status == .tooManyRequests)
        let error = try #require(try await harness.error("/x"))
        #expect(error.code == .rateLimited)
        #expect(error.refusal?.reason == .closedByService)
        #expect(error.retryAfter == .seconds(5))
        #expect(try harness.snapshot().rate.closedFor == .seconds(5))
        // Other scopes are open: another origin, and a name within this origin.
        let other = try await harness.call("/x", host: "other.invalid")
        #expect(other.status == .ok)
        let named = try await harness.call("/x") { $0.policyScope = "search" }
        #expect(named.status == .ok)
        // Within a second of the opening, attempts wait and are spread.
        harness.clock.advance(by: .milliseconds(4500))
        var tasks: [Task<ServiceResponse, any Error>] = []
        for _ in 0..<4 { tasks.append(try await harness.start("/x")) }
        try await harness.clock.waitForSleepers(count: 4)
        var times: Set<Duration> = []
        while harness.clock.advanceToNextDeadline() != nil { times.insert(harness.time) }
        #expect(times.count == 4)
        #expect(times.allSatisfy { $0 >= .seconds(5) && $0 < .milliseconds(5500) })
        for task in tasks { _ = try await task.value }
    }

    @Test(
        "Only a 429, or a 503, with a usable Retry-After closes the gate, at most for retry.maximumRetryAfter",
        .tags(.RA2),
        arguments: [
            (429, "5", 5), (503, "5", 5), (503, "600", 30), (429, "0", nil), (429, "soon", nil), (500, "5", nil),
            (200, "5", nil), (429, nil, nil),
        ] as [(Int, String?, Int?)])
    func whichPauses(status: Int, retryAfter: String?, expected: Int?) async throws {
        let harness = GateHarness { $0.sharesRetryAfter = true }
        let fields: HTTPFields = retryAfter.map { [.retryAfter: $0] } ?? [:]
        harness.stub.on(.get, "/x", always: .respond(.init(code: status), fields: fields))
        _ = try await harness.call()
        #expect(try harness.snapshot().rate.closedFor == expected.map { Duration.seconds($0) })
    }

    @Test(
        "An attempt that the concurrency gate has let through still finds the gate of the service closed",
        .tags(.GA6, .RA2))
    func closedWhileQueued() async throws {
        let harness = GateHarness { options in
            Self.one(&options)
            options.sharesRetryAfter = true
        }
        let gate = Gate()
        harness.stub.on(.get, "/busy", always: .respond(.tooManyRequests, fields: [.retryAfter: "20"]).held(by: gate))
        harness.stub.on(.get, "/x", always: .respond(.ok))
        let busy = try await harness.start("/busy")
        let queued = try await harness.start("/x")
        gate.open()
        _ = try await busy.value
        let error = await #expect(throws: ServiceError.self) { try await queued.value }
        #expect(error?.refusal?.reason == .closedByService)
        #expect(harness.paths == ["/busy"])
        #expect(try harness.snapshot().concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
    }

    @Test(
        "Attempts whose turn comes when the breaker has opened are refused, and give their places in flight back",
        .tags(.GA6))
    func openedWhileQueued() async throws {
        let harness = GateHarness { options in
            Self.one(&options)
            options.breaker = BreakerOptions()
            options.breaker?.minimumAttempts = 1
        }
        let gate = Gate()
        harness.stub.on(.get, "/broken", always: .respond(.badGateway).held(by: gate))
        harness.stub.on(.get, "/x", always: .respond(.ok))
        let broken = try await harness.start("/broken")
        let queued = [try await harness.start("/x"), try await harness.start("/x")]
        gate.open()
        _ = try await broken.value
        for task in queued {
            let error = await #expect(throws: ServiceError.self) { try await task.value }
            #expect(error?.code == .circuitOpen)
        }
        #expect(harness.paths == ["/broken"])
        let snapshot = try harness.snapshot()
        #expect(snapshot.concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
        #expect(snapshot.waiting == 0)
        #expect(snapshot.refused == 2)
    }

    @Test("A quota that runs low slows the calls down; one that is used up closes the gate", .tags(.RA4))
    func quota() async throws {
        let harness = GateHarness { options in
            options.rate = RateOptions()
            options.rate?.perSecond = 1000
            options.rate?.burst = 100
        }
        let name = try #require(HTTPField.Name("RateLimit"))
        harness.stub.on(.get, "/low", always: .respond(.ok, fields: [name: #""default";r=4;t=2"#]))
        harness.stub.on(.get, "/none", always: .respond(.ok, fields: [name: #""default";r=0;t=2"#]))
        harness.stub.on(.get, "/x", always: .respond(.ok))
        _ = try await harness.call("/low")
        #expect(try harness.snapshot().rate.quotaPerSecond == 2)
        // One of the two at once has gone.
        _ = try await harness.call("/x")
        let third = try await harness.start("/x")
        try await harness.clock.waitForSleepers(count: 1)
        harness.clock.advanceToNextDeadline()
        _ = try await third.value
        #expect(harness.time > .milliseconds(400))
        #expect(harness.time <= .milliseconds(500))
        harness.clock.advance(by: .seconds(5))
        _ = try await harness.call("/none")
        #expect(try harness.snapshot().rate.closedFor == .seconds(2))
    }
}
