import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Retries after a source of tokens that failed", .timeLimit(.minutes(1)))
struct TokenRetryTests {
    private struct Broken: Error {}

    /// Gives the answers in order, and repeats the last.
    private final class Source: Sendable {
        private let answers: [Result<BearerToken, any Error>]
        private let count = Shared(0)

        init(_ answers: Result<BearerToken, any Error>...) {
            self.answers = answers
        }

        var asked: Int { count.value }

        func fetch() throws -> BearerToken {
            let index = count.change { count in
                count += 1
                return count - 1
            }
            return try answers[min(index, answers.count - 1)].get()
        }
    }

    private static let refused = ServiceError(
        .connectionRefused, "the peer refused the connection", origin: "http://identity.example:80")

    private static func unexpected(_ status: Int) -> ServiceError {
        let found = UnexpectedStatus(status: .init(code: status), fields: [:], body: ByteBuffer(), isTruncated: false)
        return ServiceError(
            .unexpectedStatus, "unexpected", underlying: found, progress: .responseStarted,
            origin: "http://identity.example:80")
    }

    private let harness = RetryHarness {
        $0.baseDelay = .milliseconds(50)
        $0.budget = nil
    }

    private func pipeline(
        _ authenticator: any RequestAuthenticator, _ inner: [any ServiceMiddleware] = [],
        options: RetryOptions? = nil
    ) throws -> Next {
        var road = harness.road
        road.retry = options ?? harness.options
        road.perAttempt = inner
        road.authenticator = authenticator
        return try road.over(harness.stub)
    }

    private func bearer(_ source: Source) -> BearerAuthentication {
        BearerAuthentication { try source.fetch() }
    }

    /// Sends a request and moves the clock over every short wait; the source's time limit is none.
    private func send(
        _ method: HTTPRequest.Method, through pipeline: Next
    ) async throws -> Result<ServiceResponse, any Error> {
        let request = try harness.request(method)
        let context = harness.context()
        let done = Gate()
        let clock = harness.clock
        let task = Task {
            defer { done.open() }
            return try await pipeline(request, context: context)
        }
        try await eventually("the call to end") {
            if !done.isOpen, let next = clock.nextDeadline, next < clock.now.advanced(by: .seconds(5)) {
                clock.advance(to: next)
            }
            return done.isOpen
        }
        return await task.result
    }

    private func failure(of result: Result<ServiceResponse, any Error>) throws -> ServiceError {
        var failure: ServiceError?
        if case .failure(let error) = result { failure = error as? ServiceError }
        return try #require(failure)
    }

    private var tokens: [String?] { harness.stub.calls.map { $0.fields[.authorization] } }

    private static let temporary: [ServiceError] = [
        refused, ServiceError(.nameResolutionFailed, "x"), ServiceError(.connectTimeout, "x"),
        ServiceError(.connectionClosed, "x", progress: .ambiguous),
        ServiceError(.responseHeadTimeout, "x", progress: .ambiguous),
        ServiceError(.deadlineExceeded, "x", progress: .ambiguous, origin: "http://identity.example:80"),
        unexpected(429), unexpected(500), unexpected(503),
    ]

    @Test(
        "A source whose service is down, slow or busy is asked again, for a POST too, because nothing was sent",
        arguments: temporary)
    func passes(failure: ServiceError) async throws {
        for method in [HTTPRequest.Method.get, .post] {
            let test = TokenRetryTests()
            test.harness.stub.on(nil, "/x", always: .respond(.ok, body: "done"))
            let source = Source(.failure(failure), .success(BearerToken("t1")))
            let response = try await test.send(method, through: test.pipeline(test.bearer(source))).get()
            #expect(try await response.text() == "done")
            #expect(response.attempts == 2)
            #expect(response.requestsSent == 1)
            #expect(source.asked == 2)
            #expect(test.tokens == ["Bearer t1"])
            #expect(test.harness.decisions.verdicts == [.retry(after: .milliseconds(25))])
            #expect(test.harness.decisions.all.map(\.cause) == [.error(.authenticationFailed)])
        }
    }

    private static let refusals: [any Error] = [
        Broken(), unexpected(400), unexpected(401), unexpected(403), unexpected(404),
        ServiceError(.tlsHandshakeFailed, "x"), ServiceError(.authenticationFailed, "x"),
        ServiceError(.decodingFailed, "x", progress: .responseStarted),
    ]

    @Test("A source that refuses is asked once, and the caller gets its error", arguments: refusals.indices)
    func refuses(index: Int) async throws {
        let source = Source(.failure(Self.refusals[index]), .success(BearerToken("t1")))
        let result = try await send(.get, through: pipeline(bearer(source)))
        let error = try failure(of: result)
        #expect(error.code == .authenticationFailed)
        #expect(error.progress == .neverSent)
        #expect(source.asked == 1)
        #expect(harness.stub.calls.isEmpty)
        #expect(harness.decisions.verdicts == [.giveUp(.notRetryable)])
    }

    @Test("After the last attempt the error has the cause, the progress neverSent and the number of attempts")
    func exhausted() async throws {
        let source = Source(.failure(Self.refused))
        let result = try await send(.post, through: pipeline(bearer(source)))
        let error = try failure(of: result)
        #expect(error.code == .authenticationFailed)
        #expect(error.progress == .neverSent)
        #expect((error.underlying as? ServiceError)?.code == .connectionRefused)
        #expect(error.attempts == 3)
        #expect(error.requestsSent == 0)
        #expect(error.origin == "http://stub.invalid:80")
        #expect(source.asked == 3)
        #expect(harness.stub.calls.isEmpty)
        #expect(harness.decisions.verdicts.last == .giveUp(.attemptsExhausted))
    }

    @Test("shouldRetry may say no to a source that failed, and yes to one that refused")
    func shouldRetry() async throws {
        harness.stub.on(nil, "/x", always: .respond(.ok))
        var options = harness.options
        options.shouldRetry = { $0.error?.code == .authenticationFailed ? .no : .asUsual }
        let failing = Source(.failure(Self.refused), .success(BearerToken("t1")))
        let declined = try await send(.get, through: pipeline(bearer(failing), options: options))
        let error = try failure(of: declined)
        #expect(error.code == .authenticationFailed)
        #expect(failing.asked == 1)
        #expect(harness.decisions.verdicts == [.giveUp(.declined)])
        options.shouldRetry = { $0.error?.underlying is Broken ? .yes : .asUsual }
        let refusing = Source(.failure(Broken()), .success(BearerToken("t2")))
        let response = try await send(.post, through: pipeline(bearer(refusing), options: options)).get()
        #expect(response.attempts == 2)
        #expect(tokens == ["Bearer t2"])
    }

    @Test("a source that takes longer than its fetchTimeout is asked again")
    func fetchTimeout() async throws {
        harness.stub.on(nil, "/x", always: .respond(.ok))
        let asked = Shared(0)
        let never = Gate()
        let bearer = BearerAuthentication(fetchTimeout: .seconds(20)) {
            let number = asked.change { count in
                count += 1
                return count
            }
            if number == 1 { try await never.wait() }
            return BearerToken("t\(number)")
        }
        let request = try harness.request(.post)
        let context = harness.context()
        let pipeline = try pipeline(bearer)
        let sending = Task { try await pipeline(request, context: context) }
        try await never.waitForWaiters()
        try await harness.clock.waitForSleepers(count: 1)
        harness.clock.advance(by: .seconds(20))
        let retry = MonotonicInstant(nanoseconds: 20_025_000_000)
        let clock = harness.clock
        try await eventually("the wait before the retry") { clock.nextDeadline == retry }
        clock.advance(to: retry)
        let response = try await sending.value
        #expect(response.attempts == 2)
        #expect(response.requestsSent == 1)
        #expect(tokens == ["Bearer t2"])
    }

    @Test("A user's authenticator whose own request fails is asked again too")
    func ownAuthenticator() async throws {
        struct Own: RequestAuthenticator {
            let source: Source

            func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
                request.fields[.authorization] = try source.fetch().value
            }
        }
        harness.stub.on(nil, "/x", always: .respond(.ok))
        let source = Source(.failure(Self.refused), .success(BearerToken("t1")))
        let response = try await send(.post, through: pipeline(Own(source: source))).get()
        #expect(response.attempts == 2)
        #expect(tokens == ["t1"])
    }

    @Test("A burst of requests makes as many fetches as one request has attempts, whatever their waits")
    func burst() async throws {
        let count = 50
        harness.stub.on(nil, "/x", always: .respond(.ok))
        let clock = harness.clock
        let source = Source(
            .failure(Self.refused), .failure(Self.unexpected(503)), .success(BearerToken("t1")))
        let bearer = BearerAuthentication {
            // Long enough that all requests wait for the same fetch.
            try await clock.sleep(until: clock.now.advanced(by: .milliseconds(1)), tolerance: nil)
            return try source.fetch()
        }
        let random = SeededRandom.fromEnvironment().source()
        var road = harness.road
        road.random = random
        road.authenticator = bearer
        let pipeline = try road.over(harness.stub)
        let request = try harness.request(.post)
        let decisions = harness.decisions
        try await withThrowingTaskGroup(of: ServiceResponse.self) { group in
            for _ in 0..<count {
                let context = harness.context()
                group.addTask { try await pipeline(request, context: context) }
            }
            // Each waits for the fetch, and the fetch for its millisecond.
            try await clock.waitForSleepers(count: count + 1)
            clock.advance(by: .milliseconds(1))
            for round in 1...2 {
                try await eventually("all decisions of round \(round)") { decisions.all.count == round * count }
                // Over all waits before retries, not over the pause before the next fetch.
                clock.advance(by: round == 1 ? .milliseconds(50) : .milliseconds(100))
                try await clock.waitForSleepers(count: count + 1)
                #expect(source.asked == round)
                clock.advance(by: .milliseconds(100))
                try await eventually("the fetch of round \(round + 1)") {
                    // The source's own millisecond.
                    clock.advance(by: .milliseconds(1))
                    return source.asked == round + 1
                }
            }
            for try await response in group {
                #expect(response.attempts == 3)
                #expect(response.requestsSent == 1)
            }
        }
        #expect(source.asked == 3)
        #expect(tokens == Array(repeating: "Bearer t1", count: count))
    }

    @Test("After a 401, a source that fails is asked again only for an idempotent request: the service has responded")
    func afterRefusal() async throws {
        for method in [HTTPRequest.Method.get, .post] {
            let test = TokenRetryTests()
            let clock = test.harness.clock
            test.harness.stub.on(nil, "/x") { call in
                // A token that is refused has to be a second old to be replaced.
                clock.advance(by: .seconds(1))
                return .respond(call.fields[.authorization] == "Bearer t1" ? .unauthorized : .ok)
            }
            let source = Source(
                .success(BearerToken("t1")), .failure(Self.refused), .success(BearerToken("t2")))
            let result = try await test.send(method, through: test.pipeline(test.bearer(source)))
            if method == .get {
                let response = try result.get()
                #expect(response.status == .ok)
                #expect(response.attempts == 2)
                #expect(response.requestsSent == 2)
                #expect(test.tokens == ["Bearer t1", "Bearer t2"])
            } else {
                let error = try test.failure(of: result)
                #expect(error.code == .authenticationFailed)
                #expect(error.progress == .responseStarted)
                #expect(test.tokens == ["Bearer t1"])
                #expect(test.harness.decisions.verdicts == [.giveUp(.notIdempotent)])
            }
        }
    }

    @Test("A source that fails for a second sending does not hide the first sending of the same attempt")
    func secondSending() async throws {
        harness.stub.on(nil, "/x", always: .respond(.created))
        // Its first token expires at once.
        let source = Source(
            .success(BearerToken("t1", lifetime: .zero)), .failure(Self.refused), .success(BearerToken("t2")))
        let twice = Intercepting { request, context, next in
            try await next(request, context: context).body.discard()
            return try await next(request, context: context)
        }
        let result = try await send(.post, through: pipeline(bearer(source), [twice]))
        let error = try failure(of: result)
        #expect(error.code == .authenticationFailed)
        #expect(error.progress == .ambiguous)
        #expect(harness.stub.calls.count == 1)
        #expect(harness.decisions.verdicts == [.giveUp(.notIdempotent)])
    }

    @Test("A request whose time ends within the source's pause fails at once, with the reason for the pause")
    func pauseBehindDeadline() async throws {
        let source = Source(.failure(Self.refused))
        let pipeline = try pipeline(bearer(source))
        let request = try harness.request()
        let context = harness.context(deadline: .milliseconds(90))
        let (clock, done) = (harness.clock, Gate())
        let task = Task {
            defer { done.open() }
            return try await pipeline(request, context: context)
        }
        // The second attempt begins at 25 ms. The source is asked at 100 ms at the earliest, and the request's time ends at 90.
        let retryAt = MonotonicInstant(nanoseconds: 25_000_000)
        try await eventually("the wait before the second attempt") { clock.nextDeadline == retryAt }
        clock.advance(to: retryAt)
        try await eventually("the end of the call, at the same moment or after waits before more attempts") {
            if !done.isOpen, let next = clock.nextDeadline, next < MonotonicInstant(nanoseconds: 90_000_000) {
                clock.advanceToNextDeadline()
            }
            return done.isOpen
        }
        let result = await task.result
        let error = #expect(throws: ServiceError.self) { _ = try result.get() }
        #expect(error?.code == .authenticationFailed)
        #expect((error?.underlying as? ServiceError)?.code == .connectionRefused)
        #expect(clock.now < MonotonicInstant(nanoseconds: 90_000_000))
        #expect(source.asked == 1)
        #expect(harness.stub.calls.isEmpty)
    }

    @Test(
        "A request whose time is too short for another request's pause fails at once; a request with more time waits"
    )
    func pauseOfOthers() async throws {
        let source = Source(
            .failure(Self.refused), .success(BearerToken("T", lifetime: .seconds(60))))
        let bearer = bearer(source)
        let store = try pipeline(bearer, options: RetryHarness { $0.maximumAttempts = 1 }.options)
        harness.stub.on(.get, "/x", always: .respond(.ok))
        let request = try harness.request()
        await #expect(throws: ServiceError.self) { _ = try await store(request, context: harness.context()) }
        let patient = Task { [context = harness.context(deadline: .seconds(5))] in
            try await store(request, context: context)
        }
        let pauseEnd = MonotonicInstant(nanoseconds: 100_000_000)
        try await eventually("the one with more time to wait") { harness.clock.nextDeadline == pauseEnd }
        let error = await #expect(throws: ServiceError.self) {
            _ = try await store(request, context: harness.context(deadline: .milliseconds(100)))
        }
        #expect((error?.underlying as? ServiceError)?.code == .connectionRefused)
        harness.clock.advance(to: pauseEnd)
        #expect(try await patient.value.status == .ok)
        #expect(source.asked == 2)
        #expect(harness.stub.calls.map { $0.fields[.authorization] } == ["Bearer T"])
    }
}
