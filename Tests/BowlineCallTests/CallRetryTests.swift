import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineCall

@Suite("Retries", .timeLimit(.minutes(1)))
struct CallRetryTests {
    @Test("A failed response is retried up to maximumAttempts, which includes the first attempt")
    func attempts() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", inOrder: [.respond(.badGateway), .respond(.gatewayTimeout), .respond(body: "ok")])
        let response = try await harness.send().get()
        #expect(response.status == .ok)
        #expect(response.attempts == 3)
        #expect(harness.stub.calls.map(\.attempt) == [1, 2, 3])
        // Half of 50 ms, then half of 100 ms.
        #expect(harness.clock.now == MonotonicInstant(nanoseconds: 75_000_000))
        #expect(harness.decisions.verdicts == [.retry(after: .milliseconds(25)), .retry(after: .milliseconds(50))])
        try harness.stub.verify()
    }

    @Test("After the last attempt, its outcome is returned with its body")
    func exhausted() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable, body: "busy"))
        let response = try await harness.send().get()
        #expect(response.status == .serviceUnavailable)
        #expect(response.attempts == 3)
        #expect(String(buffer: try await response.body.collect(upTo: 100)) == "busy")
        #expect(harness.stub.calls.count == 3)
        #expect(harness.decisions.verdicts.last == .giveUp(.attemptsExhausted))
    }

    @Test("An error after retries has the number of attempts and the furthest progress of them all")
    func lastError() async throws {
        let harness = RetryHarness()
        harness.stub.on(
            .get, "/x",
            inOrder: [
                .fail(.connectionClosed, progress: .ambiguous), .fail(.connectionRefused, progress: .neverSent),
                .fail(.connectionRefused, progress: .neverSent),
            ])
        let result = try await harness.send()
        let error = try #require(throws: ServiceError.self) { try result.get() }
        #expect(error.code == .connectionRefused)
        #expect(error.attempts == 3)
        #expect(error.progress == .ambiguous, "the first attempt may have been acted on")
    }

    @Test("A request that is not idempotent is not retried after a status or an ambiguous error", .tags(.RT14))
    func notIdempotent() async throws {
        for answer in [StubAnswer.respond(.serviceUnavailable), .fail(.connectionClosed, progress: .ambiguous)] {
            let harness = RetryHarness()
            harness.stub.on(.post, "/x", always: answer)
            _ = try await harness.send(try harness.request(.post, body: .text("x")))
            #expect(harness.stub.calls.count == 1)
            #expect(harness.decisions.verdicts == [.giveUp(.notIdempotent)])
        }
    }

    @Test(
        "A request that never reached the service is retried, whatever its method", .tags(.RT21),
        arguments: ["GET", "POST", "PATCH"])
    func neverSent(method: String) async throws {
        let harness = RetryHarness()
        harness.stub.on(
            nil, "/x", inOrder: [.fail(.connectionRefused, progress: .neverSent), .respond(.created)])
        let request = try harness.request(try #require(HTTPRequest.Method(method)), body: .text("x"))
        #expect(try await harness.send(request).get().status == .created)
        #expect(harness.stub.calls.last?.bodyText == "x")
    }

    @Test("A POST is retried if it is marked as idempotent or has an Idempotency-Key")
    func markedIdempotent() async throws {
        for isKeyed in [true, false] {
            let harness = RetryHarness()
            harness.stub.on(.post, "/x", inOrder: [.respond(.serviceUnavailable), .respond(.created)])
            var request = try harness.request(.post, body: .text("x"))
            if isKeyed {
                try request.setField("Idempotency-Key", "1")
            } else {
                request.options.idempotency = .idempotent
            }
            #expect(try await harness.send(request).get().status == .created)
            #expect(harness.stub.calls.map(\.bodyText) == ["x", "x"])
        }
    }

    @Test("A one-shot body is sent again while it can be replayed; otherwise the outcome is returned", .tags(.RT5))
    func oneShotBody() async throws {
        func stream(_ size: Int) -> RequestBody {
            .stream(
                AsyncStream { chunks in
                    chunks.yield(ByteBuffer(repeating: 0x61, count: size))
                    chunks.finish()
                })
        }
        let harness = RetryHarness()
        harness.stub.on(
            .put, "/x", inOrder: [.fail(.connectionClosed, progress: .ambiguous), .respond(.serviceUnavailable)])
        let response = try await harness.send(try harness.request(.put, body: stream(1000))).get()
        #expect(response.status == .serviceUnavailable)
        #expect(response.attempts == 2)
        #expect(harness.stub.calls.map { $0.body.readableBytes } == [1000, 1000])
        #expect(harness.decisions.verdicts.last == .giveUp(.bodyNotReplayable), "a response commits it")

        let large = RetryHarness()
        large.stub.on(.put, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
        let result = try await large.send(try large.request(.put, body: stream(70_000)))
        #expect(throws: ServiceError.self) { try result.get() }
        #expect(large.stub.calls.count == 1)
        #expect(large.decisions.verdicts == [.giveUp(.bodyNotReplayable)])
    }

    @Test(
        "A retry waits for Retry-After and a part of the backoff",
        .tags(.RT14)
    )
    func retryAfter() async throws {
        let harness = RetryHarness()
        harness.stub.on(
            .get, "/x",
            inOrder: [
                .respond(.serviceUnavailable, fields: [.retryAfter: "7"]),
                .respond(
                    .tooManyRequests,
                    fields: [.retryAfter: "Sun, 06 Nov 1994 08:49:48 GMT", .date: "Sun, 06 Nov 1994 08:49:37 GMT"]),
                .respond(body: "ok"),
            ])
        #expect(try await harness.send().get().status == .ok)
        // 7 s and half of 1 s, 11 s and half of 2 s.
        #expect(harness.clock.now == MonotonicInstant(nanoseconds: 19_500_000_000))
    }

    @Test(
        "A Retry-After above its limit, or past the deadline, ends the retries with the response", .tags(.RT14),
        arguments: [("31", .retryAfterTooLong), ("10", .deadline)] as [(String, RetryDecision.Reason)])
    func longRetryAfter(value: String, reason: RetryDecision.Reason) async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable, fields: [.retryAfter: value], body: "b"))
        let response = try await harness.send(context: harness.context(deadline: .seconds(10))).get()
        #expect(String(buffer: try await response.body.collect(upTo: 10)) == "b")
        #expect(harness.clock.now.nanoseconds == 0)
        #expect(harness.stub.calls.count == 1)
        #expect(harness.decisions.verdicts == [.giveUp(reason)])
    }

    /// The times at which calls returned, in seconds of the clock.
    private final class Returns: Sendable {
        private let list = Guarded([Double]())

        var all: [Double] { list.withLock { $0 } }

        func note(_ instant: MonotonicInstant) {
            list.withLock { $0.append(Double(instant.nanoseconds) / 1e9) }
        }
    }

    @Test(
        "200 calls that get the same Retry-After do not retry at the same time",
        arguments: [(1, 1.0...2.0), (30, 30.0...33.0)])
    func spreadRetryAfter(asked: Int, expected: ClosedRange<Double>) async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(.get, "/x", always: .respond(.serviceUnavailable, fields: [.retryAfter: "\(asked)"]))
        var options = RetryOptions()
        options.budget = nil
        options.maximumAttempts = 2
        let road = TestRoad {
            $0.retry = options
            $0.clock = clock
            $0.random = SeededRandom.fromEnvironment().source()
        }
        let pipeline = try road.over(stub)
        var request = ServiceRequest(method: .get, "/x")
        request.url = try ServiceURL("http://stub.invalid/x")
        let returns = Returns()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                let context = RequestContext(
                    deadline: nil, attempt: 1, timeouts: Timeouts(), call: CallRecord(admitted: clock.now, clock: clock)
                )
                group.addTask { [request] in
                    let response = try await pipeline(request, context: context)
                    #expect(response.attempts == 2)
                    returns.note(clock.now)
                }
            }
            try await clock.waitForSleepers(count: 200)
            while clock.advanceToNextDeadline() != nil {
                try await eventually("those that were woken to return") {
                    returns.all.count == 200 - clock.sleeperCount
                }
            }
            try await group.waitForAll()
        }
        let instants = returns.all.sorted()
        #expect(instants.count == 200)
        #expect(instants.allSatisfy(expected.contains))
        let span = expected.upperBound - expected.lowerBound
        #expect(try #require(instants.last) - instants[0] > span * 0.9)
        // Evenly: a tenth of the span has 20 of them on average.
        for start in instants { #expect(instants.count { (start...start + span / 10).contains($0) } < 50) }
    }

    @Test(
        "An unreadable Retry-After keeps the usual backoff", .tags(.RT14),
        arguments: ["soon", "-5", "+5", "5s", "5.", "0x5", "5,", "1e3", ""])
    func unreadableRetryAfter(value: String) async throws {
        let harness = RetryHarness()
        harness.stub.on(
            .get, "/x", inOrder: [.respond(.badGateway, fields: [.retryAfter: value]), .respond(body: "ok")])
        #expect(try await harness.send().get().status == .ok)
        #expect(harness.decisions.verdicts == [.retry(after: .milliseconds(25))])
    }

    @Test("shouldRetry is asked once about each outcome, and sees status, fields, error and count")
    func shouldRetry() async throws {
        let told = Guarded([String]())
        let harness = RetryHarness {
            $0.maximumAttempts = 9
            $0.shouldRetry = { outcome in
                let what = outcome.status.map { "\($0.code)" } ?? outcome.error?.code.rawValue ?? "nothing"
                let hint = outcome.fields[HTTPField.Name("x-should-retry")!] ?? "-"
                told.withLock { $0.append("\(outcome.retries) \(what) \(hint) \(outcome.isThrottled)") }
                return hint == "true" ? .yes : hint == "false" ? .no : .asUsual
            }
        }
        let hint = try #require(HTTPField.Name("x-should-retry"))
        harness.stub.on(
            .get, "/x",
            inOrder: [
                .respond(.notFound, fields: [hint: "true"]), .respond(.ok, fields: [hint: "true"]),
                .fail(.connectionClosed, progress: .ambiguous),
                .respond(.serviceUnavailable, fields: [.retryAfter: "1"]),
                .respond(.badGateway, fields: [hint: "false"], body: "as it came"),
            ])
        let response = try await harness.send().get()
        #expect(response.status == .badGateway)
        #expect(response.attempts == 5)
        #expect(String(buffer: try await response.body.collect(upTo: 100)) == "as it came")
        #expect(
            told.withLock { $0 } == [
                "0 404 true false", "1 200 true false", "2 connectionClosed - false", "3 503 - true",
                "4 502 false false",
            ])
        #expect(harness.decisions.verdicts.last == .giveUp(.declined))
        #expect(harness.decisions.all.count == 5)
    }

    @Test("shouldRetry: asUsual makes no decision about a success; a yes does not make a POST idempotent")
    func shouldRetryAsUsual() async throws {
        let harness = RetryHarness { $0.shouldRetry = { _ in .asUsual } }
        harness.stub.on(.get, "/x", inOrder: [.respond(.ok), .respond(.notFound)])
        #expect(try await harness.send().get().status == .ok)
        #expect(try await harness.send().get().status == .notFound)
        #expect(harness.decisions.all.isEmpty)
        let eager = RetryHarness { $0.shouldRetry = { _ in .yes } }
        eager.stub.on(.post, "/x", always: .respond(.conflict))
        #expect(try await eager.send(try eager.request(.post, body: .text("x"))).get().status == .conflict)
        #expect(eager.stub.calls.count == 1)
        #expect(eager.decisions.verdicts == [.giveUp(.notIdempotent)])
    }

    @Test("a yes draws on the budget as every retry does")
    func shouldRetryBudget() async throws {
        let harness = RetryHarness {
            $0.maximumAttempts = 9
            $0.budget?.ratio = 0
            $0.budget?.perSecond = 1
            $0.budget?.window = .seconds(2)
            $0.backoff = .exponential(base: .zero, maximum: .zero)
            $0.shouldRetry = { _ in .yes }
        }
        harness.stub.on(.get, "/x", always: .respond(.notFound))
        #expect(try await harness.send().get().attempts == 3)
        #expect(harness.decisions.verdicts.last == .giveUp(.budgetExhausted))
    }

    @Test("backoff.custom gets the outcome and a number of the client's random source, and returns the wait")
    func customBackoff() async throws {
        let harness = RetryHarness {
            $0.backoff = .custom { outcome, random in .seconds(10 * (outcome.retries + 1)) * random }
        }
        harness.stub.on(.get, "/x", always: .respond(.badGateway))
        _ = try await harness.send().get()
        #expect(
            harness.decisions.verdicts == [
                .retry(after: .seconds(5)), .retry(after: .seconds(10)), .giveUp(.attemptsExhausted),
            ])
    }

    @Test("A retry does not begin a sleep that would end after the deadline", .tags(.TO5, .RT16))
    func deadline() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.badGateway))
        let response = try await harness.send(context: harness.context(deadline: .milliseconds(60))).get()
        // The call sleeps 25 ms; the next sleep of 50 ms would end at 75 ms.
        #expect(response.attempts == 2)
        #expect(harness.decisions.verdicts == [.retry(after: .milliseconds(25)), .giveUp(.deadline)])
        #expect(harness.clock.now.nanoseconds == 25_000_000)
    }

    @Test(
        "A call that is cancelled during a backoff throws CancellationError at once and makes no further attempt",
        .tags(.CA10, .RT18))
    func cancelledInBackoff() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", always: .respond(.badGateway))
        let (request, context, pipeline) = (try harness.request(), harness.context(), try harness.pipeline)
        let task = Task { try await pipeline(request, context: context) }
        try await harness.clock.waitForSleepers()
        #expect(context.call.phase == .backoff)
        #expect(context.call.attempt == 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(harness.clock.sleeperCount == 0)
        #expect(harness.stub.calls.count == 1)
    }

    @Test("An error that is not a ServiceError is not retried, and reaches the caller unchanged", .tags(.RT20))
    func foreignError() async throws {
        struct Odd: Error {}
        let harness = RetryHarness()
        harness.stub.on(.get, "/x") { _ in throw Odd() }
        let result = try await harness.send()
        #expect(throws: Odd.self) { try result.get() }
        #expect(harness.stub.calls.count == 1)
        #expect(harness.decisions.all.isEmpty)
    }

    @Test("A request's retry options replace the client's, and the rest is inherited")
    func ownOptions() async throws {
        let harness = RetryHarness {
            $0.maximumAttempts = 1
            $0.statuses = [500, 502]
            $0.backoff = .exponential(base: .milliseconds(8), maximum: .milliseconds(8))
            $0.budget?.window = .seconds(3)
        }
        harness.stub.on(.get, "/x", always: .respond(.badGateway))
        #expect(try await harness.send().get().attempts == 1)
        var request = try harness.request()
        request.options.retry.maximumAttempts = 5
        #expect(try await harness.send(request).get().attempts == 5)
        #expect(harness.stub.calls.count == 6)
        // The client's observer, statuses, backoff and budget.
        let waits = [RetryDecision.Verdict](repeating: .retry(after: .milliseconds(4)), count: 4)
        #expect(harness.decisions.verdicts == [.giveUp(.attemptsExhausted)] + waits + [.giveUp(.attemptsExhausted)])
        #expect(harness.budgets.count == 1)
        request.options.retry.statuses = [500]
        #expect(try await harness.send(request).get().attempts == 1)
        request.options.retry = .never
        #expect(try await harness.send(request).get().attempts == 1)
    }

    @Test("Attempts are counted from the one the retries were entered with: a second hop has as many attempts")
    func laterHop() async throws {
        let harness = RetryHarness()
        harness.stub.on(.get, "/x", inOrder: [.respond(.badGateway), .respond(.badGateway), .respond(body: "ok")])
        let response = try await harness.send(context: harness.context(attempt: 4)).get()
        #expect(response.attempts == 6)
        #expect(harness.stub.calls.map(\.attempt) == [4, 5, 6])
    }

    @Test("An empty budget returns the latest outcome; the hook reports what is left of the budget", .tags(.RT17))
    func budget() async throws {
        let harness = RetryHarness {
            $0.budget?.ratio = 0
            $0.budget?.perSecond = 1
            $0.budget?.window = .seconds(5)
            $0.baseDelay = .zero
        }
        harness.stub.on(.get, "/x", always: .respond(.badGateway, body: "down"))
        for _ in 0..<10 {
            let response = try await harness.send().get()
            #expect(String(buffer: try await response.body.collect(upTo: 10)) == "down")
        }
        #expect(harness.stub.calls.count == 15)
        #expect(harness.decisions.verdicts.last == .giveUp(.budgetExhausted))
        #expect(harness.decisions.all.first?.budgetLeft == 4)
        #expect(harness.decisions.all.last?.budgetLeft == 0)
        // The budget fills again with time.
        harness.clock.advance(by: .seconds(6))
        #expect(try await harness.send().get().attempts == 3)
    }

    @Test(
        "with the service down, retries are at most a fifth of the requests and the floor; then all succeed",
        .tags(.RT17))
    func hardDown() async throws {
        let harness = RetryHarness { $0.budget?.perSecond = 1 }
        let isDown = Guarded(true)
        harness.stub.on(.get, "/x") { _ in
            .respond(isDown.withLock { $0 } ? .badGateway : .ok)
        }
        let pipeline = try harness.pipeline
        for _ in 0..<1000 { _ = try await harness.send() }
        // The floor allows ten retries in each window of ten seconds. The clock says how many windows there were.
        let windows = harness.clock.now.nanoseconds / 10_000_000_000 + 2
        #expect(harness.stub.calls.count <= 1000 + 200 + 10 * Int(windows))
        #expect(harness.stub.calls.count > 1100)
        isDown.withLock { $0 = false }
        for _ in 0..<100 {
            let response = try await pipeline(harness.request(), context: harness.context())
            #expect(response.status == .ok)
        }
    }

    @Test("without a budget there is no limit", .tags(.RT17))
    func noBudget() async throws {
        let harness = RetryHarness {
            $0.budget = nil
            $0.baseDelay = .zero
        }
        harness.stub.on(.get, "/x", always: .respond(.badGateway))
        for _ in 0..<200 { _ = try await harness.send() }
        #expect(harness.stub.calls.count == 600)
        #expect(harness.decisions.all.allSatisfy { $0.budgetLeft == nil })
        #expect(harness.budgets.count == 0)
    }

    @Test("Each decision has the attempt, the method, the origin, the cause and the verdict")
    func decision() async throws {
        let harness = RetryHarness()
        harness.stub.on(
            .get, "/x", inOrder: [.fail(.responseHeadTimeout, progress: .ambiguous), .respond(.tooManyRequests)],
            repeatsLast: true)
        _ = try await harness.send()
        let all = harness.decisions.all
        #expect(all.map(\.attempt) == [1, 2, 3])
        #expect(all.map(\.cause) == [.error(.responseHeadTimeout), .status(429), .status(429)])
        #expect(
            all.map(\.verdict) == [
                .retry(after: .milliseconds(25)), .retry(after: .seconds(1)), .giveUp(.attemptsExhausted),
            ])
        #expect(all.allSatisfy { $0.method == .get && $0.origin == "http://stub.invalid:80" })
    }

    @Test(
        "A failed response's body is read before the sleep, and abandoned if it is too slow or too long",
        .tags(.DC8, .RT15)
    )
    func bodies() async throws {
        let harness = RetryHarness()
        let (endless, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
        let endlessIsOver = Gate()
        hand.onTermination = { _ in endlessIsOver.open() }
        hand.yield(ByteBuffer(string: "beginning"))
        let taken = Guarded(0)
        let long = AsyncStream<ByteBuffer> {
            taken.withLock { $0 += 1 }
            return ByteBuffer(repeating: 0x61, count: 30_000)
        }
        harness.stub.on(
            .get, "/x",
            inOrder: [
                .respond(ServiceResponse(status: .badGateway, body: ResponseBody(endless))),
                .respond(ServiceResponse(status: .badGateway, body: ResponseBody(long))),
                .respond(body: "ok"),
            ])
        let response = try await harness.send().get()
        #expect(response.status == .ok)
        #expect(endlessIsOver.isOpen)
        #expect((1...3).contains(taken.withLock { $0 }), "64 KiB are kept, not more")
        #expect(harness.clock.sleeperCount == 0)
    }
}
