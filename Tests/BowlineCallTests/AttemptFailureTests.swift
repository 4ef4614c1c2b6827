import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineCall

/// Which errors determine the progress of a request, and whose errors they must be.
@Suite("Failures around the transport", .timeLimit(.minutes(1)))
struct AttemptFailureTests {
    /// A pipeline whose middleware around each attempt is `intercept`.
    private func pipeline(
        _ harness: RetryHarness,
        _ intercept: @escaping @Sendable (ServiceRequest, RequestContext, Next) async throws -> ServiceResponse
    ) throws -> Next {
        var road = harness.road
        road.random = { 0 }
        road.perAttempt = [Intercepting(intercept)]
        return try road.over(harness.stub)
    }

    /// A pipeline whose middleware throws a copy of the transport's error that `change` has changed.
    private func pipelineThatChangesErrors(
        _ harness: RetryHarness, _ change: @escaping @Sendable (inout ServiceError) -> Void
    ) throws -> Next {
        try pipeline(harness) { request, context, next in
            do {
                return try await next(request, context: context)
            } catch var error as ServiceError {
                change(&error)
                throw error
            }
        }
    }

    private func post(_ harness: RetryHarness) throws -> ServiceRequest {
        try harness.request(.post, body: .text("x"))
    }

    /// The error of a POST that is sent through `next`.
    private func errorOfPost(_ harness: RetryHarness, through next: Next) async -> ServiceError? {
        await serviceError { try await next(post(harness), context: harness.context()) }
    }

    /// An authenticator whose tokens are t1, t2, and so on; `fetched` counts them.
    private func numberedTokens(_ fetched: Shared<Int>) -> BearerAuthentication {
        BearerAuthentication { BearerToken("t\(fetched.change { $0 += 1; return $0 })") }
    }

    /// Errors that middleware throws after the service has responded.
    private static let afterwards: [ServiceError] = [
        ServiceError(.connectionClosed, "the audit log could not be reached"),
        ServiceError(.connectionRefused, "its own call", progress: .neverSent, origin: "http://stub.invalid:80"),
        ServiceError(.connectionRefused, "its own call", progress: .refused),
    ]

    @Test("An error of middleware's own request before the attempt is sent is not the attempt's, and is not retried")
    func otherRequestBefore() async throws {
        let harness = RetryHarness()
        let next = try pipeline(harness) { _, _, _ in
            throw ServiceError(
                .connectionClosed, "its own call", progress: .ambiguous, origin: "http://stub.invalid:80")
        }
        let error = await serviceError { try await next(harness.request(), context: harness.context()) }
        #expect(error?.code == .connectionClosed)
        #expect(harness.stub.calls.isEmpty)
        #expect(harness.decisions.verdicts == [.giveUp(.notRetryable)])
    }

    @Test("A retry that middleware answers without sending it returns to the budget")
    func answeredRetry() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
        let origin = try ServiceURL("http://stub.invalid").origin
        let next = try pipeline(harness) { request, context, next in
            guard context.attempt > 1 else { return try await next(request, context: context) }
            return ServiceResponse(status: .ok)
        }
        let response = try await harness.send(through: next).get()
        #expect(response.status == .ok)
        #expect(harness.stub.calls.count == 1)
        #expect(harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) == 100)
    }

    @Test("A refusal by another client's gate does not return a retry that was sent to the budget", .tags(.GA7))
    func refusalOfAnotherClient() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", inOrder: [.respond(.serviceUnavailable), .respond(.ok)])
        let origin = try ServiceURL("http://stub.invalid").origin
        let next = try pipeline(harness) { request, context, next in
            let response = try await next(request, context: context)
            guard context.attempt > 1 else { return response }
            var error = ServiceError(.circuitOpen, "the audit log's breaker is open")
            error.refusal = GateRefusal(
                gate: .breaker, scope: PolicyScope(origin: origin, name: "audit"), reason: .open, retryAfter: nil)
            throw error
        }
        let result = try await harness.send(through: next)
        let error = await serviceError { try result.get() }
        #expect(error?.code == .circuitOpen)
        #expect(harness.stub.calls.count == 2)
        #expect(harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) == 99)
    }

    @Test(
        "An error that middleware throws after a response is not retried; its progress is at least ambiguous",
        arguments: afterwards)
    func afterResponse(error: ServiceError) async throws {
        let harness = RetryHarness()
        harness.stub.on(nil, "/x", always: .respond(.created))
        let next = try pipeline(harness) { request, context, next in
            try await next(request, context: context).body.discard()
            throw error
        }
        for method in [HTTPRequest.Method.post, .get] {
            let request = try harness.request(method)
            let thrown = await serviceError { try await next(request, context: harness.context()) }
            #expect(thrown?.code == error.code)
            #expect(thrown?.progress == .ambiguous)
        }
        #expect(harness.stub.calls.count == 2)
        #expect(harness.decisions.verdicts == [.giveUp(.notRetryable), .giveUp(.notRetryable)])
    }

    @Test("An error that middleware kept from an earlier attempt does not determine the progress of this attempt")
    func keptError() async throws {
        let harness = RetryHarness()
        harness.stub.on(
            .post, "/x", inOrder: [.fail(.connectionRefused, progress: .neverSent), .respond(.created)],
            repeatsLast: true)
        let kept = Shared<ServiceError?>(nil)
        let next = try pipeline(harness) { request, context, next in
            do {
                let response = try await next(request, context: context)
                response.body.discard()
            } catch let error as ServiceError {
                kept.change { $0 = error }
            }
            throw kept.value ?? ServiceError(.connectionClosed, "none")
        }
        let error = await errorOfPost(harness, through: next)
        #expect(harness.stub.calls.count == 2)
        #expect(error?.progress == .ambiguous)
    }

    @Test("A second sending that never left does not hide the first sending of the same attempt")
    func secondSending() async throws {
        let harness = RetryHarness()
        harness.stub.on(
            .post, "/x", inOrder: [.respond(.created), .fail(.connectionRefused, progress: .neverSent)],
            repeatsLast: true)
        let next = try pipeline(harness) { request, context, next in
            try await next(request, context: context).body.discard()
            return try await next(request, context: context)
        }
        let error = await errorOfPost(harness, through: next)
        #expect(error?.progress == .ambiguous)
        #expect(harness.stub.calls.count == 2)
    }

    @Test("The transport's own error, passed on or changed in a copy, allows a retry of every method")
    func passedOn() async throws {
        let harness = RetryHarness()
        harness.stub.on(.post, "/x", inOrder: [.fail(.connectionRefused, progress: .neverSent), .respond(.created)])
        let next = try pipelineThatChangesErrors(harness) { $0.message = "another message" }
        #expect(try await next(post(harness), context: harness.context()).status == .created)
    }

    /// Changes that middleware makes in a copy of the transport's error.
    private static let changes: [@Sendable (inout ServiceError) -> Void] = [
        { $0.code = .connectTimeout }, { $0.origin = "redacted" }, { $0.phase = .queued }, { $0.elapsed = .zero },
    ]

    @Test(
        "DESIGN §4: the transport's own error allows a retry, whatever middleware changed in a copy", arguments: changes
    )
    func changedCopy(change: @escaping @Sendable (inout ServiceError) -> Void) async throws {
        let harness = RetryHarness { $0.baseDelay = .milliseconds(50) }
        harness.stub.on(.post, "/x", inOrder: [.fail(.connectionRefused, progress: .neverSent), .respond(.created)])
        let next = try pipelineThatChangesErrors(harness, change)
        #expect(try await harness.send(post(harness), through: next).get().status == .created)
    }

    @Test("after a redirect, an error says that the service has answered a part of the call")
    func redirected() async throws {
        let stub = StubTransport()
        stub.on(.post, "/orders", always: .respond(.seeOther, fields: [.location: "/orders/1"]))
        stub.on(.get, "/orders/1", always: .fail(.connectionRefused, progress: .neverSent))
        let error = await serviceError {
            try await stub.send(
                .post("http://a.example/orders", body: .text("x")), along: TestRoad { $0.redirect = RedirectOptions() })
        }
        #expect(error?.code == .connectionRefused)
        #expect(error?.progress == .responseStarted)
    }

    @Test("an attempt does not begin after the deadline because the failed body took its time")
    func lateBody() async throws {
        let harness = RetryHarness { $0.baseDelay = .milliseconds(90) }
        let (never, end) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        harness.stub.on(.get, "/x") { _ in
            .respond(ServiceResponse(status: .badGateway, body: ResponseBody(never)))
        }
        var late = harness
        late.jitter = 1
        let (pipeline, clock) = (try late.pipeline, late.clock)
        let (request, context) = (try late.request(), late.context(deadline: .milliseconds(91)))
        let call = Task { try await pipeline(request, context: context) }
        // The wait for the body has two ends: half of the time that is left, and at the stub the request's deadline.
        try await clock.waitForSleepers(count: 2)
        clock.advance(by: .microseconds(45_500))
        // The wait counts from the decision: the body's 45 ms are part of it, and the retry comes at 90 ms.
        let retry = MonotonicInstant(nanoseconds: 90_000_000)
        try await eventually("the wait before the retry") { clock.nextDeadline == retry }
        clock.advance(to: retry)
        let response = try await call.value
        #expect(response.status == .badGateway)
        #expect(response.attempts == 2)
        #expect(clock.now == retry)
        end.finish()
    }

    @Test("A retry that is cancelled during its wait is returned to the budget", .tags(.RT17))
    func givenBack() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.badGateway))
        let (request, context, pipeline) = (try harness.request(), harness.context(), try harness.pipeline)
        let origin = try #require(request.url?.origin)
        let before = harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions())
        let task = Task { try await pipeline(request, context: context) }
        try await harness.clock.waitForSleepers()
        #expect(harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) == before - 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(harness.budgets.left(for: origin, at: harness.clock.now, RetryBudgetOptions()) == before)
    }

    // MARK: After a 401

    private func sendAll(
        _ count: Int, _ authenticator: any RequestAuthenticator, _ harness: RetryHarness
    ) async throws -> [Int: Int] {
        let road = TestRoad {
            $0.retry.budget?.ratio = 0
            $0.retry.budget?.perSecond = 0
            $0.authenticator = authenticator
            $0.budgets = harness.budgets
            $0.clock = harness.clock
        }
        let next = try road.over(harness.stub)
        let request = try harness.request()
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<count {
                group.addTask { try await next(request, context: RequestContext()).status.code }
            }
            return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
    }

    @Test("A token that is replaced while 400 requests are in flight fails none of them, and is fetched once")
    func rotation() async throws {
        let harness = RetryHarness()
        let fetched = Shared(0)
        let (isRevoked, arrived) = (Shared(false), Shared(0))
        let all = Gate()
        harness.stub.on(.get, "/x") { call in
            guard isRevoked.value, call.fields[.authorization] == "Bearer t1" else {
                return .respond(.ok)
            }
            let count = arrived.change {
                $0 += 1; return $0
            }
            if count == 400 { all.open() }
            try await all.wait()
            return .respond(.unauthorized)
        }
        let bearer = numberedTokens(fetched)
        _ = try await sendAll(1, bearer, harness)
        harness.clock.advance(by: .seconds(2))
        isRevoked.change { $0 = true }
        #expect(try await sendAll(400, bearer, harness) == [200: 400])
        #expect(fetched.value == 2)
    }

    private struct Obstinate: RequestAuthenticator {
        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            request.fields[.authorization] = "x"
        }

        func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool { true }
    }

    @Test("A user's authenticator draws on the retry budget; when the budget is empty, the caller gets the 401")
    func foreignBudget() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.unauthorized))
        #expect(try await sendAll(5, Obstinate(), harness) == [401: 5])
        #expect(harness.stub.calls.count == 5)
    }

    @Test("an error after a 401 says that the service has answered")
    func failureAfterRefusal() async throws {
        let harness = RetryHarness()
        let fetched = Shared(0)
        harness.stub.on(.get, "/x") { [clock = harness.clock] call in
            clock.advance(by: .seconds(2))
            guard call.attempt > 1 else { return .respond(.unauthorized) }
            throw ServiceError(.connectionRefused, "refused", progress: .neverSent)
        }
        let bearer = numberedTokens(fetched)
        let error = await serviceError { try await sendAll(1, bearer, harness) }
        #expect(error?.code == .connectionRefused)
        #expect(error?.progress == .responseStarted)
    }

    /// A client that has begun to shut down.
    private final class Draining: CallRegistry {
        var isDraining: Bool { true }
        func callEnded(_ call: CallRecord) {}
        func waitForDrainToBegin() async {}
        func onForcedClose(_ call: CallRecord, _ handler: @escaping @Sendable () -> Void) -> Int? { 1 }
        func removeForcedCloseHandler(_ number: Int) {}
    }

    @Test("During a drain the caller gets the 401: no token is fetched, and no request is sent again")
    func refusedWhileDraining() async throws {
        let harness = RetryHarness()
        let fetched = Shared(0)
        harness.stub.on(.get, "/x") { [clock = harness.clock] _ in
            clock.advance(by: .seconds(2))
            return .respond(.unauthorized)
        }
        let bearer = numberedTokens(fetched)
        var road = harness.road
        road.retry.maximumAttempts = 1
        road.authenticator = bearer
        let next = try road.over(harness.stub)
        let context = RequestContext(deadline: nil, timeouts: Timeouts(), call: CallRecord(registry: Draining()))
        #expect(try await next(harness.request(), context: context).status == .unauthorized)
        #expect(fetched.value == 1)
        #expect(harness.stub.calls.count == 1)
    }
}
