import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineCall

@Suite("Retries and redirects through gates", .timeLimit(.minutes(1)))
struct GateRetryTests {
    private static func rate(_ perSecond: Double, _ burst: Int, wait: Duration = .zero) -> RateOptions {
        var options = RateOptions()
        options.perSecond = perSecond
        options.burst = burst
        options.maximumWait = wait
        return options
    }

    @Test(
        "A refusal is retried when its time has come, any method, and takes nothing from the retry budget", .tags(.GA7))
    func retriedRefusal() async throws {
        let harness = GateHarness {
            $0.rate = Self.rate(1, 1)
        } retry: {
            $0.budget?.ratio = 0
            $0.budget?.perSecond = 0
        }
        harness.stub.on(nil, "/x", always: .respond(.ok))
        _ = try await harness.call()
        let task = Task { try await harness.call(method: .post) }
        let response = try await harness.finish(task).get()
        #expect(response.status == .ok)
        #expect(response.attempts == 2)
        #expect(response.requestsSent == 1)
        // At least the time that the gate said, and at most the backoff's 50 ms or a tenth more.
        #expect(harness.time >= .seconds(1))
        #expect(harness.time <= .milliseconds(1100))
        #expect(
            harness.events.texts == [
                "refused rate waitTooLong attempt 1", "retries after rateLimited, 0 left",
            ])
        #expect(harness.paths.count == 2)
    }

    @Test("A refusal is not retried if its time is beyond the deadline or retry.maximumRetryAfter", .tags(.GA7))
    func noTime() async throws {
        let harness = GateHarness {
            $0.rate = Self.rate(0.01, 1)
        } retry: {
            $0.maximumRetryAfter = .seconds(30)
        }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        _ = try await harness.call()
        let tooLong = try #require(try await harness.error())
        #expect(tooLong.retryAfter == .seconds(100))
        #expect(harness.events.texts.last?.hasPrefix("gives up after rateLimited: retryAfterTooLong") == true)
        _ = try await harness.error(deadline: .seconds(20)) { $0.retry.maximumRetryAfter = .seconds(200) }
        #expect(harness.events.texts.last?.hasPrefix("gives up after rateLimited: deadline") == true)
        #expect(harness.clock.sleeperCount == 0)
    }

    @Test("A refusal without a time is not retried", .tags(.GA7))
    func withoutTime() async throws {
        let harness = GateHarness {
            $0.concurrency = ConcurrencyOptions()
            $0.concurrency?.limit = .fixed(1)
            $0.concurrency?.maximumWait = .zero
        } retry: {
            $0.maximumAttempts = 3
        }
        let gate = Gate()
        harness.stub.on(.get, "/x", always: .respond(.ok).held(by: gate))
        let first = try await harness.start()
        let error = try #require(try await harness.error())
        #expect(error.code == .concurrencyLimited)
        #expect(error.retryAfter == nil)
        #expect(error.attempts == 1)
        #expect(harness.events.texts.last?.hasPrefix("gives up after concurrencyLimited: notRetryable") == true)
        gate.open()
        _ = try await first.value
    }

    @Test("Each retry and each redirect passes the gates again", .tags(.GA1))
    func again() async throws {
        let harness = GateHarness(
            { $0.rate = Self.rate(1, 3) },
            retry: {
                $0.maximumAttempts = 2
                $0.maximumRetryAfter = .zero
            }, redirect: RedirectOptions())
        harness.stub.on(
            .get, "/a", inOrder: [.respond(.serviceUnavailable), .respond(.found, fields: [.location: "/b"])])
        harness.stub.on(.get, "/b", always: .respond(.found, fields: [.location: "/c"]))
        harness.stub.on(.get, "/c", always: .respond(.ok))
        let task = Task { try await harness.call("/a") }
        let error = await #expect(throws: ServiceError.self) { try await harness.finish(task).get() }
        // Three tokens: the first attempt, its retry, and the first redirect's. The second redirect is refused.
        #expect(harness.paths == ["/a", "/a", "/b"])
        #expect(error?.code == .rateLimited)
        // The call got further than this hop.
        #expect(error?.progress == .responseStarted)
        #expect(try harness.snapshot().inFlight == 0)
    }

    /// A registry of calls. The drain begins when the gate is opened.
    private final class DrainingRegistry: CallRegistry {
        let drain = Gate()

        var isDraining: Bool { drain.isOpen }
        func waitForDrainToBegin() async { try? await drain.wait() }
        func callEnded(_ call: CallRecord) {}
        func onForcedClose(_ call: CallRecord, _ handler: @escaping @Sendable () -> Void) -> Int? { nil }
        func removeForcedCloseHandler(_ number: Int) {}
    }

    @Test(
        "A retry that a drain ends at the gates returns to the budget; the call has the outcome before it", .tags(.GA8))
    func drained() async throws {
        let harness = GateHarness {
            $0.rate = Self.rate(1, 1, wait: .seconds(60))
        } retry: {
            $0.baseDelay = .zero
            $0.throttledBaseDelay = .zero
        }
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
        let origin = try GateHarness.origin()
        func left() -> Int { harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) }
        let registry = DrainingRegistry()
        let task = Task { try await harness.call(registry: registry) }
        try await eventually("the retry to wait") { try harness.snapshot().waiting == 1 }
        #expect(left() == 99)
        registry.drain.open()
        let response = try await task.value
        #expect(response.status == .serviceUnavailable)
        #expect(response.requestsSent == 1)
        #expect(left() == 100)
        #expect(harness.events.texts.last == "refused rate draining attempt 2")
        let snapshot = try harness.snapshot()
        #expect(snapshot.waiting == 0)
        #expect(snapshot.inFlight == 0)
    }

    /// Says after each 401 that it has other credentials.
    private struct Claiming: RequestAuthenticator {
        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {}
        func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool { true }
    }

    @Test("A drain that begins while the body of a 401 is read begins no second sending", .tags(.GA8))
    func drainWhileBodyIsRead() async throws {
        let harness = GateHarness({ $0.breaker = BreakerOptions() }, authenticator: Claiming())
        let (chunks, source) = AsyncStream.makeStream(of: ByteBuffer.self)
        harness.stub.on(
            .put, "/x",
            inOrder: [.respond(ServiceResponse(status: .unauthorized, body: ResponseBody(chunks))), .respond(.ok)])
        let registry = DrainingRegistry()
        let task = Task { try await harness.call(method: .put, registry: registry) }
        // The time that the body may take.
        try await harness.clock.waitForSleepers()
        registry.drain.open()
        harness.clock.advance(by: .milliseconds(50))
        let response = try await task.value
        #expect(response.status == .unauthorized)
        #expect(harness.paths == ["/x"])
        withExtendedLifetime(source) {}
    }

    enum SecondSending: CaseIterable {
        case otherToken, otherCredentials, withoutExpectation
    }

    @Test(
        "A drain that ends a second sending at the gates leaves the call its 401 or 417", .tags(.GA8),
        arguments: SecondSending.allCases)
    func drainedSecondSending(kind: SecondSending) async throws {
        let fetched = Shared(0)
        let authenticator: (any RequestAuthenticator)? =
            switch kind {
            case .otherToken: BearerAuthentication { BearerToken("t\(fetched.change { $0 += 1; return $0 })") }
            case .otherCredentials: Claiming()
            case .withoutExpectation: nil
            }
        let harness = GateHarness({ $0.rate = Self.rate(0.05, 1, wait: .seconds(60)) }, authenticator: authenticator)
        let refusal: HTTPResponse.Status = kind == .withoutExpectation ? .expectationFailed : .unauthorized
        harness.stub.on(.put, "/x") { [clock = harness.clock] _ in
            // A token that was refused at once would not be fetched again.
            clock.advance(by: .seconds(2))
            return .respond(refusal, body: "no")
        }
        let origin = try GateHarness.origin()
        func left() -> Int { harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) }
        let registry = DrainingRegistry()
        let task = Task {
            try await harness.call(method: .put, registry: registry, expecting: kind == .withoutExpectation)
        }
        try await eventually("the second sending to wait") { try harness.snapshot().waiting == 1 }
        #expect(left() == (kind == .otherCredentials ? 99 : 100))
        registry.drain.open()
        let response = try await task.value
        #expect(response.status == refusal)
        #expect(try await response.text() == "no")
        #expect(response.requestsSent == 1)
        #expect(left() == 100)
        #expect(harness.events.texts == ["refused rate draining attempt 2"])
        #expect(try harness.snapshot().waiting == 0)
        #expect(try harness.snapshot().inFlight == 0)
    }

    /// Says after a 401 that it has other credentials, and cancels the call.
    private struct Cancelling: RequestAuthenticator {
        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {}
        func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
            withUnsafeCurrentTask { $0?.cancel() }
            return true
        }
    }

    @Test("A second sending that is cancelled when the gates have let it go gives its token back", .tags(.GA6, .RA6))
    func cancelledWhenAdmitted() async throws {
        let harness = GateHarness({ $0.rate = Self.rate(0.01, 2) }, authenticator: Cancelling())
        harness.stub.on(.put, "/x", always: .respond(.unauthorized))
        harness.stub.on(.get, "/y", always: .respond(.ok))
        let task = Task { try await harness.call(method: .put) }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(harness.paths == ["/x"])
        #expect(try await harness.error("/y") == nil)
        #expect(try harness.snapshot().inFlight == 0)
    }

    @Test("A retry that a gate refuses for good returns to the budget: nothing of it was sent")
    func refusedForGood() async throws {
        let harness = GateHarness {
            $0.rate = Self.rate(0.01, 1)
        } retry: {
            $0.baseDelay = .zero
            $0.throttledBaseDelay = .zero
        }
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
        let error = try await harness.error()
        #expect(error?.code == .rateLimited)
        #expect(error?.attempts == 2)
        #expect(error?.requestsSent == 1)
        #expect(
            harness.events.texts == [
                "retries after status 503, 99 left", "refused rate waitTooLong attempt 2",
                "gives up after rateLimited: retryAfterTooLong, 100 left",
            ])
        #expect(
            harness.budgets.left(
                for: try GateHarness.origin(), at: harness.clock.now, RetryBudgetOptions()) == 100)
    }

    @Test("A retry that is cancelled while it waits for a gate, or for its time after a refusal, returns to the budget")
    func cancelledRetry() async throws {
        for wait in [Duration.seconds(60), .zero] {
            let harness = GateHarness {
                $0.rate = Self.rate(1, 1, wait: wait)
            } retry: {
                $0.baseDelay = .zero
                $0.throttledBaseDelay = .zero
            }
            harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
            let origin = try GateHarness.origin()
            func left() -> Int { harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) }
            let task = Task { try await harness.call() }
            try await eventually("the retry to wait") {
                let isRefused = harness.events.texts.contains("refused rate waitTooLong attempt 2")
                return try harness.snapshot().waiting == 1 || isRefused && harness.clock.sleeperCount == 1
            }
            #expect(left() == 99)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(left() == 100)
            #expect(harness.stub.calls.count == 1)
        }
    }

    @Test(
        "The breaker opens after failures, refuses at once, and its refusal is retried if the wait fits",
        .tags(.GA2, .GA7, .BR1, .BR4))
    func breaker() async throws {
        let harness = GateHarness {
            $0.breaker = BreakerOptions()
            $0.breaker?.minimumAttempts = 4
            $0.breaker?.probes = 1
        }
        harness.stub.on(
            .get, "/x",
            inOrder: Array(repeating: StubAnswer.respond(.internalServerError), count: 4) + [.respond(.ok)],
            repeatsLast: true)
        for _ in 0..<4 { _ = try await harness.call() }
        #expect(try harness.snapshot().breaker.state == .open)
        let error = try #require(try await harness.error())
        #expect(error.code == .circuitOpen)
        #expect(error.progress == .neverSent)
        let left = try #require(error.retryAfter)
        #expect(left >= .seconds(4) && left <= .seconds(6))
        #expect(try harness.snapshot().breaker.openFor == left)
        #expect(harness.paths.count == 4)
        // A call with retries comes back as a probe, which closes the breaker.
        let task = Task { try await harness.call { $0.retry.maximumAttempts = 3 } }
        let response = try await harness.finish(task).get()
        #expect(response.status == .ok)
        #expect(harness.time >= left)
        #expect(try harness.snapshot().breaker.state == .closed)
        #expect(
            harness.events.texts.filter { $0.hasPrefix("breaker") } == [
                "breaker closed → open", "breaker open → halfOpen", "breaker halfOpen → closed",
            ])
    }

    @Test("isolate refuses without a time, and reset lets attempts go again", .tags(.BR6))
    func byHand() async throws {
        let harness = GateHarness {
            $0.breaker = BreakerOptions()
            $0.sharesRetryAfter = true
        }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        harness.stub.on(.get, "/busy", always: .respond(.serviceUnavailable, fields: [.retryAfter: "9"]))
        let observers = CallObservers(budgets: harness.budgets, clock: harness.clock)
        let scope = PolicyScope(origin: try GateHarness.origin())
        harness.gates.isolate(scope, observers)
        let error = try #require(try await harness.error())
        #expect(error.code == .circuitOpen)
        #expect(error.refusal?.reason == .isolated)
        #expect(error.retryAfter == nil)
        harness.gates.reset(scope, observers)
        _ = try await harness.call("/busy")
        #expect(try await harness.error()?.code == .rateLimited)
        harness.gates.reset(scope, observers)
        let response = try await harness.call()
        #expect(response.status == .ok)
    }

    @Test("reset wakes the attempts that wait for a pause to end, and they go at the rate", .tags(.BR6))
    func resetWakes() async throws {
        let harness = GateHarness { $0.rate = Self.rate(1, 2, wait: .seconds(60)) }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        harness.stub.on(.get, "/busy", always: .respond(.serviceUnavailable, fields: [.retryAfter: "30"]))
        _ = try await harness.call("/busy")
        var tasks: [Task<ServiceResponse, any Error>] = []
        for _ in 0..<3 { tasks.append(try await harness.start()) }
        #expect(try harness.snapshot().waiting == 3)
        let observers = CallObservers(budgets: harness.budgets, clock: harness.clock)
        harness.gates.reset(PolicyScope(origin: try GateHarness.origin()), observers)
        // The burst goes while the clock stands still. One attempt waits for the rate.
        try await eventually("two of three to go") { try harness.snapshot().admitted == 3 }
        #expect(harness.time == .zero)
        #expect(try harness.snapshot().waiting == 1)
        for task in tasks { #expect(try await harness.finish(task).get().status == .ok) }
        #expect(harness.time == .seconds(1))
        #expect(harness.clock.sleeperCount == 0)
    }

    @Test("Clients with other knobs share the scope's state", .tags(.GA4))
    func sharedState() async throws {
        let harness = GateHarness { $0.rate = Self.rate(1, 2) }
        let other = GateHarness({ $0.sharesRetryAfter = true }, sharing: harness)
        let off = GateHarness({ _ in }, sharing: harness)
        for each in [harness, other, off] {
            each.stub.on(.get, "/x", always: .respond(.ok))
            each.stub.on(.get, "/busy", always: .respond(.tooManyRequests, fields: [.retryAfter: "3"]))
        }
        _ = try await other.call("/busy")
        #expect(try await harness.error()?.refusal?.reason == .closedByService)
        #expect(try await other.error()?.refusal?.reason == .closedByService)
        // A client whose gates are off does not look at them, and is not counted.
        let response = try await off.call()
        #expect(response.status == .ok)
        #expect(try harness.snapshot().admitted == 1)
    }
}
