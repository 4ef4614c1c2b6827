import BowlineCore
import BowlineTesting
import Dispatch
import InMemoryTracing
import Logging
import Metrics
import MetricsTestKit
import NIOCore
import Testing
import Tracing

@testable import BowlineCall

/// What hedges have to do with the rest of a call: the budget, the delay, credentials, redirects, retries, telemetry.
@Suite("Hedges within a call", .timeLimit(.minutes(1)))
struct HedgedCallTests {
    private var harness = HedgingHarness()
    private let first = Gate()
    private let second = Gate()

    private func answer(_ answers: StubAnswer..., path: String = "/x") {
        harness.stub.on(nil, path, inOrder: answers)
    }

    // MARK: The budget

    @Test("Each hedge takes a retry from the origin's budget, whoever wins", .tags(.HG4))
    func takesFromBudget() async throws {
        for winner in 1...2 {
            let harness = HedgingHarness()
            let gates = [Gate(), Gate()]
            harness.stub.on(.get, "/x", inOrder: gates.map { .respond(.ok).held(by: $0) })
            let task = try await harness.startHedged()
            gates[winner - 1].open()
            _ = try await task.value
            #expect(try harness.budgetLeft() == 99)
        }
    }

    @Test("If the budget is empty, no hedge is sent, and the metric says so", .tags(.HG4))
    mutating func emptyBudget() async throws {
        harness.retry.budget?.perSecond = 0
        let backend = TestMetrics()
        let metrics = try #require(withMetricsFactory(backend) { ClientMetrics() })
        harness.configure = { $0.metrics = metrics }
        answer(.respond(body: "first").held(by: first))
        let task = try harness.start()
        try await harness.passDelay()
        try await eventually("the refusal") { Self.hedges(in: backend) == ["refused": 1] }
        first.open()
        _ = try await task.value
        #expect(harness.stub.calls.count == 1)
    }

    @Test("Requests fill the budget for hedges, even if nothing is retried", .tags(.HG4))
    mutating func fillsBudget() async throws {
        harness.retry.budget?.perSecond = 0
        harness.retry.budget?.ratio = 0.5
        harness.stub.on(.get, "/x", always: .respond(.ok))
        for _ in 0..<10 { _ = try await harness.start().value }
        #expect(try harness.budgetLeft() == 5)
    }

    @Test("Without a budget, hedges have no limit", .tags(.HG4))
    mutating func noBudget() async throws {
        harness.retry.budget = nil
        answer(.respond(.ok).held(by: first), .respond(body: "second"))
        let task = try await harness.startHedged()
        #expect(try await task.value.requestsSent == 2)
    }

    @Test("A hedge that a gate refuses gives its retry back, and the first attempt wins", .tags(.HG4))
    mutating func refusedByGate() async throws {
        var resilience = ResilienceOptions()
        resilience.concurrency = ConcurrencyOptions()
        resilience.concurrency?.limit = .fixed(1)
        resilience.concurrency?.maximumWaiting = 0
        let events = HedgeEvents()
        let gates = CallPlan.Gates(ServiceGates(clock: harness.clock), resilience)
        harness.configure = { [clock = harness.clock] in
            $0.gates = gates
            $0.events = EventDispatch([events], clock: clock)
        }
        answer(.respond(body: "first").held(by: first))
        let task = try harness.start()
        try await harness.passDelay()
        try await eventually("the refusal") { events.texts.contains("refused concurrency: call 1 attempt 1 hedge 1") }
        first.open()
        #expect(try await task.value.status == .ok)
        #expect(harness.stub.calls.count == 1)
        #expect(try harness.budgetLeft() == 100)
        #expect(events.texts.last == "ended, winner 1: call 1 attempt 1 hedge 0")
    }

    /// Gates with a rate of one attempt per second, and this breaker. A hedge waits for its token.
    private func slowGates(_ breaker: BreakerOptions? = nil) -> CallPlan.Gates? {
        var resilience = ResilienceOptions()
        resilience.rate = RateOptions()
        resilience.rate?.perSecond = 1
        resilience.rate?.burst = 1
        resilience.rate?.maximumWait = .seconds(60)
        resilience.breaker = breaker
        return CallPlan.Gates(ServiceGates(clock: harness.clock), resilience)
    }

    @Test("A hedge that is cancelled while it waits for a gate gives its retry back")
    mutating func cancelledAtGate() async throws {
        let gates = slowGates()
        harness.configure = { $0.gates = gates }
        answer(.respond(body: "first").held(by: first))
        let task = try harness.start()
        try await harness.passDelay()
        try await eventually("the hedge to wait") { gates?.shared.snapshot().waiting == 1 }
        #expect(try harness.budgetLeft() == 99)
        first.open()
        let response = try await task.value
        #expect(response.requestsSent == 1)
        #expect(try harness.budgetLeft() == 100)
        #expect(gates?.shared.snapshot().waiting == 0)
        #expect(harness.stub.calls.count == 1)
    }

    @Test("An answer that middleware makes does not count for the percentile", .tags(.HG8))
    mutating func madeByMiddleware() async throws {
        harness.hedging.delay = .percentile(0.95)
        let isSent = Shared(false)
        harness.configure = {
            $0.perAttempt = [
                Intercepting { request, context, next in
                    if isSent.value { return try await next(request, context: context) }
                    return ServiceResponse(status: .ok)
                }
            ]
        }
        answer(.respond(.ok))
        try record(0..<99)
        _ = try await harness.start().value
        #expect(try latency().percentile(0.5, at: harness.clock.now) == nil)
        isSent.change { $0 = true }
        _ = try await harness.start().value
        #expect(try latency().percentile(0.5, at: harness.clock.now) != nil)
    }

    @Test("A hedge that waits for its own first attempt's place is not sent when that attempt is answered", .tags(.HG4))
    func placeOfFirst() async throws {
        // Without the rule, whether the hedge is sent depends on the order of two tasks.
        for _ in 0..<20 {
            var harness = HedgingHarness()
            var resilience = ResilienceOptions()
            resilience.concurrency = ConcurrencyOptions()
            resilience.concurrency?.limit = .fixed(1)
            resilience.concurrency?.maximumWait = .seconds(60)
            let gates = CallPlan.Gates(ServiceGates(clock: harness.clock), resilience)
            harness.configure = { $0.gates = gates }
            let held = Gate()
            harness.stub.on(.get, "/x", inOrder: [.respond(body: "first").held(by: held), .respond(body: "second")])
            let task = try harness.start()
            try await harness.passDelay()
            try await eventually("the hedge to wait") { gates?.shared.snapshot().waiting == 1 }
            held.open()
            let response = try await task.value
            #expect(response.requestsSent == 1)
            #expect(harness.stub.calls.count == 1)
            #expect(try harness.budgetLeft() == 100)
            let scope = gates?.shared.snapshot().scopes.first
            #expect(scope?.inFlight == 0)
            #expect(scope?.waiting == 0)
        }
    }

    @Test("A gate's refusal of a hedge does not hide why the first attempt failed, although nothing was sent")
    mutating func refusalAfterFailure() async throws {
        var breaker = BreakerOptions()
        breaker.minimumAttempts = 1
        let gates = slowGates(breaker)
        let events = HedgeEvents()
        harness.configure = { [clock = harness.clock] in
            $0.gates = gates
            $0.events = EventDispatch([events], clock: clock)
        }
        answer(.fail(.connectionRefused, progress: .neverSent).held(by: first))
        let task = try harness.start()
        try await harness.passDelay()
        try await eventually("the hedge to wait") { gates?.shared.snapshot().waiting == 1 }
        // The failure opens the breaker, which refuses the hedge when its token has come.
        first.open()
        try await eventually("the first attempt to end") { gates?.shared.snapshot().inFlight == 0 }
        try await harness.clock.waitForSleepers()
        harness.clock.advance(by: .seconds(1))
        let error = await #expect(throws: ServiceError.self) { try await task.value }
        #expect(error?.code == .connectionRefused)
        #expect(error?.requestsSent == 1)
        #expect(events.texts.contains("refused breaker: call 1 attempt 1 hedge 1"))
        #expect(harness.stub.calls.count == 1)
    }

    @Test("After a hedge that a gate refused, the next hedge is sent in time")
    mutating func hedgeAfterRefusal() async throws {
        var resilience = ResilienceOptions()
        resilience.concurrency = ConcurrencyOptions()
        resilience.concurrency?.limit = .fixed(2)
        resilience.concurrency?.maximumWaiting = 0
        let events = HedgeEvents()
        let gates = CallPlan.Gates(ServiceGates(clock: harness.clock), resilience)
        harness.hedging.maximumHedges = 2
        harness.configure = { [clock = harness.clock] in
            $0.gates = gates
            $0.events = EventDispatch([events], clock: clock)
        }
        answer(.respond(.ok).held(by: first), .respond(body: "first").held(by: second), .respond(body: "third"))
        let other = try harness.start(harness.request { $0.hedging = .unlimited })
        try await harness.stub.waitForCalls(count: 1)
        let task = try harness.start()
        try await harness.passDelay(after: 2)
        try await eventually("the refusal") { events.texts.contains { $0.hasPrefix("refused concurrency") } }
        first.open()
        _ = try await other.value
        try await harness.clock.waitForSleepers()
        #expect(harness.clock.nextDeadline == at(20))
        harness.clock.advance(by: HedgingHarness.delay)
        let response = try await task.value
        #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "third"))
        #expect(response.requestsSent == 2)
        #expect(try harness.budgetLeft() == 99)
    }

    @Test("A source of tokens that uses the same client needs a scope of its own: its attempts hold the others' places")
    func tokenSource() async throws {
        var resilience = ResilienceOptions()
        resilience.concurrency = ConcurrencyOptions()
        resilience.concurrency?.limit = .fixed(1)
        resilience.concurrency?.maximumWaiting = 0
        for name in [nil, "token"] {
            var harness = HedgingHarness()
            let gates = CallPlan.Gates(ServiceGates(clock: harness.clock), resilience)
            harness.hedging.maximumHedges = 0
            harness.configure = { $0.gates = gates }
            harness.stub.on(.get, "/x", always: .respond(body: "token"))
            let source = harness
            let authentication = BearerAuthentication {
                let request = try source.request {
                    $0.authenticates = false
                    $0.policyScope = name
                }
                let response = try await source.start(request).value
                return BearerToken(String(buffer: try await response.body.collect(upTo: 100)))
            }
            harness.configure = {
                $0.gates = gates
                $0.authenticator = authentication
            }
            let result = await (try harness.start()).result
            if name == nil {
                let error = #expect(throws: ServiceError.self) { try result.get() }
                #expect(error?.code == .authenticationFailed)
                #expect((error?.underlying as? ServiceError)?.code == .concurrencyLimited)
            } else {
                #expect(try result.get().status == .ok)
                #expect(harness.stub.calls.map { $0.fields[.authorization] } == [nil, "Bearer token"])
            }
            #expect(gates?.shared.snapshot().inFlight == 0)
        }
    }

    // MARK: The delay by percentile

    private func latency(_ name: String? = nil) throws -> ScopeLatency {
        let scope = PolicyScope(origin: try ServiceURL(HedgingHarness.url).origin, name: name)
        return harness.latencies.latency(of: scope, at: harness.clock.now)
    }

    private func record(_ durations: Range<Int>, _ name: String? = nil) throws {
        for duration in durations { try latency(name).record(.microseconds(duration), at: harness.clock.now) }
    }

    @Test("The delay is the percentile of the scope's recent attempts, but at least the minimum", .tags(.HG8))
    mutating func percentile() async throws {
        harness.hedging.delay = .percentile(0.95, atLeast: .microseconds(1))
        for _ in 0..<5 { try record(0..<20) }
        answer(.respond(.ok).held(by: first), .respond(.ok).held(by: second))
        let task = try harness.start()
        try await harness.clock.waitForSleepers()
        // Rank 95 of 100, five of each duration from 0 to 19 µs.
        #expect(harness.clock.nextDeadline == MonotonicInstant(nanoseconds: 18_000))
        first.open()
        _ = try await task.value
        harness.hedging.delay = .percentile(0.95, atLeast: .milliseconds(3))
        let bounded = try harness.start()
        try await harness.clock.waitForSleepers()
        #expect(harness.clock.nextDeadline == at(3))
        second.open()
        _ = try await bounded.value
    }

    @Test("The hundredth attempt makes the delay known; each scope has its own", .tags(.HG8))
    mutating func hundred() async throws {
        let counting = SleepCountingClock(harness.clock)
        harness.configure = { $0.clock = counting }
        harness.hedging.delay = .percentile(0.95)
        harness.stub.on(.get, "/x", always: .respond(.ok))
        try record(0..<99)
        _ = try await harness.start().value
        #expect(counting.sleeps == 0)
        #expect(try latency().percentile(0.5, at: harness.clock.now) != nil)
        let scoped = try harness.request { $0.policyScope = "search" }
        _ = try await harness.start(scoped).value
        #expect(counting.sleeps == 0)
        _ = try await harness.start().value
        #expect(counting.sleeps == 1)
    }

    @Test("Failures and retryable responses say nothing about the delay", .tags(.HG8))
    mutating func onlyAnswers() async throws {
        harness.hedging.delay = .percentile(0.95)
        try record(0..<99)
        answer(.respond(.serviceUnavailable), .fail(.connectionClosed, progress: .ambiguous), .respond(.notFound))
        for _ in 0..<2 {
            _ = try? await harness.start().value
            #expect(try latency().percentile(0.5, at: harness.clock.now) == nil)
        }
        _ = try await harness.start().value
        #expect(try latency().percentile(0.5, at: harness.clock.now) != nil)
    }

    @Test(
        "If the hedge wins, the time of the first attempt until then counts, so that the percentile does not fall",
        .tags(.HG8))
    mutating func cutOff() async throws {
        harness.hedging.delay = .percentile(1, atLeast: .milliseconds(10))
        try record(1..<101)
        answer(.respond(.ok).held(by: first), .respond(body: "second"))
        let task = try await harness.startHedged()
        _ = try await task.value
        // 10 ms are 10,000 µs: in the cell from 9,728 to 10,239 µs.
        #expect(try latency().percentile(1, at: harness.clock.now) == .microseconds(10_239))
    }

    // MARK: Credentials, redirects, retries

    /// Adds a key, and gets the next one after a refusal.
    private final class Keys: RequestAuthenticator {
        private let number = Shared(1)

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            request.fields[.authorization] = "key \(number.value)"
        }

        func credentialsRefused(_ sent: ServiceRequest, response: ServiceResponse) -> Bool {
            number.change { $0 += 1 }
            return true
        }
    }

    @Test("A 401 of a hedge wins; the second sending has other credentials, and may be hedged again", .tags(.HG10))
    mutating func refusedHedge() async throws {
        harness.configure = { $0.authenticator = Keys() }
        let third = Gate()
        answer(
            .respond(body: "first").held(by: first), .respond(.unauthorized), .respond(body: "third").held(by: third),
            .respond(body: "fourth"))
        let task = try await harness.startHedged()
        try await harness.passDelay(after: 3)
        let response = try await task.value
        #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "fourth"))
        #expect(harness.stub.calls.map { $0.fields[.authorization] } == ["key 1", "key 1", "key 2", "key 2"])
        #expect(harness.hedges == [false, true, false, true])
        #expect(harness.stub.calls.map(\.attempt) == [1, 1, 2, 2])
        #expect(response.requestsSent == 4)
    }

    @Test("A redirect that a hedge got is followed, and the next hop has its own hedge", .tags(.HG10))
    mutating func hops() async throws {
        harness.configure = { $0.redirect = RedirectOptions() }
        let target = Gate()
        answer(.respond(.ok).held(by: first), .respond(.found, fields: [.location: "/y"]))
        answer(.respond(body: "first").held(by: target), .respond(body: "second"), path: "/y")
        let task = try await harness.startHedged()
        try await harness.passDelay(after: 3)
        let response = try await task.value
        #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "second"))
        #expect(harness.stub.calls.map(\.path) == ["/x", "/x", "/y", "/y"])
        #expect(harness.hedges == [false, true, false, true])
        #expect(harness.stub.calls.map(\.attempt) == [1, 1, 1, 1])
    }

    @Test("If all attempts fail, a retry follows, with hedges of its own", .tags(.HG5, .HG10))
    mutating func retried() async throws {
        harness.retry.maximumAttempts = 2
        let events = HedgeEvents()
        harness.configure = { [clock = harness.clock] in
            $0.random = { 0 }
            $0.events = EventDispatch([events], clock: clock)
        }
        let third = Gate()
        answer(
            .respond(.serviceUnavailable).held(by: first), .respond(.badGateway).held(by: second),
            .respond(.ok).held(by: third), .respond(body: "fourth"))
        let task = try await harness.startHedged()
        first.open()
        second.open()
        try await harness.passDelay(after: 3)
        let response = try await task.value
        #expect(response.status == .ok)
        #expect(response.attempts == 2)
        #expect(harness.hedges == [false, true, false, true])
        #expect(harness.stub.calls.map(\.attempt) == [1, 1, 2, 2])
        // Two hedges and one retry.
        #expect(try harness.budgetLeft() == 97)
        #expect(
            events.texts.filter {
                !$0.hasPrefix("ended, winner 1") && !$0.hasPrefix("ended, winner 2: call 1 attempt 1")
            }
                == [
                    "began after 0.01 seconds: call 1 attempt 1 hedge 1", "retry: call 1 attempt 1 hedge 0",
                    "began after 0.01 seconds: call 1 attempt 2 hedge 1",
                    "ended, winner 2: call 1 attempt 2 hedge 0",
                ])
    }

    // MARK: Telemetry

    private static func hedges(in backend: TestMetrics) -> [String: Int64] {
        var found: [String: Int64] = [:]
        for counter in backend.counters(label: "bowline.client.hedges") {
            let outcome = counter.dimensions.first { $0.0 == "bowline.hedge.outcome" }?.1 ?? ""
            found[outcome, default: 0] += counter.totalValue
        }
        return found
    }

    @Test(
        "Events say when a hedge began and which attempt won; the metric counts each hedge by its outcome", .tags(.HG13)
    )
    func eventsAndMetrics() async throws {
        let cases: [(won: Int, outcome: String)] = [(1, "lost"), (2, "won"), (0, "failed"), (-1, "cancelled")]
        for (winner, outcome) in cases {
            var harness = HedgingHarness()
            let backend = TestMetrics()
            let metrics = try #require(withMetricsFactory(backend) { ClientMetrics() })
            let events = HedgeEvents()
            harness.configure = { [clock = harness.clock] in
                $0.metrics = metrics
                $0.events = EventDispatch([events], clock: clock)
            }
            let gates = [Gate(), Gate()]
            let status: HTTPResponse.Status = winner == 0 ? .serviceUnavailable : .ok
            harness.stub.on(.get, "/x", inOrder: gates.map { .respond(status).held(by: $0) })
            let task = try await harness.startHedged()
            if winner < 0 { task.cancel() }
            for gate in winner > 0 ? [gates[winner - 1]] : gates where winner >= 0 { gate.open() }
            _ = try? await task.value
            #expect(Self.hedges(in: backend) == [outcome: 1])
            #expect(events.texts.first == "began after 0.01 seconds: call 1 attempt 1 hedge 1")
            #expect(events.texts.count == 2)
            if winner > 0 { #expect(events.texts.last == "ended, winner \(winner): call 1 attempt 1 hedge 0") }
        }
    }

    @Test("Spans and lines of a hedge name it; each attempt has its own span", .tags(.HG13))
    mutating func spansAndLines() async throws {
        let tracer = InMemoryTracer()
        let tracing = try #require(withTracer(tracer) { AttemptTracing() })
        let log = CollectedLog()
        harness.configure = {
            $0.tracing = tracing
            $0.logger = log.logger(.debug)
        }
        answer(.respond(body: "first").held(by: first), .respond(body: "second"))
        _ = try await harness.startHedged().value
        let numbers = tracer.finishedSpans.map { span -> Int64? in
            switch span.attributes.get("bowline.hedge") {
            case .int64(let number): number
            case .int32(let number): Int64(number)
            default: nil
            }
        }
        #expect(numbers.count == 2)
        #expect(Set(numbers) == [nil, 1])
        #expect(
            log.lines.map(\.message).sorted() == [
                "attempt cancelled", "attempt ended with a response", "hedge begins", "hedged attempt was answered",
            ])
        let begins = try #require(log.lines.first { $0.message == "hedge begins" })
        #expect(begins.level == .debug)
        #expect(begins.metadata["bowline.hedge"] == "1")
        #expect(begins.metadata["bowline.hedge.delay"] == "10 ms")
        let answered = try #require(log.lines.first { $0.message == "attempt ended with a response" })
        #expect(answered.metadata["bowline.hedge"] == "1")
        let ended = try #require(log.lines.first { $0.message == "hedged attempt was answered" })
        #expect(ended.metadata["bowline.hedge"] == nil)
        #expect(ended.metadata["bowline.hedge.winner"] == "2")
    }

    // MARK: The tasks

    @TaskLocal private static var tag = ""

    @Test("Both attempts see the caller's task-local values, and run on its executor")
    mutating func tasks() async throws {
        let seen = Shared<[String]>([])
        let executor = QueueExecutor()
        harness.configure = {
            $0.perAttempt = [
                Intercepting { request, context, next in
                    let isOwn = withUnsafeCurrentTask { $0?.unownedTaskExecutor } == executor.asUnownedTaskExecutor()
                    let text = "\(Self.tag) \(isOwn) \(context.isHedge)"
                    seen.change { $0.append(text) }
                    return try await next(request, context: context)
                }
            ]
        }
        answer(.respond(body: "first").held(by: first), .respond(body: "second"))
        let next = try harness.next()
        let (request, context) = (try harness.request(), harness.context())
        let task = Task(executorPreference: executor) {
            try await Self.$tag.withValue("mine") { try await next(request, context: context) }
        }
        try await harness.passDelay()
        _ = try await task.value
        #expect(seen.value == ["mine true false", "mine true true"])
    }
}

/// An executor over the system's threads.
private final class QueueExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        DispatchQueue.global().async { job.runSynchronously(on: executor) }
    }
}
