import Bowline
import BowlineTesting
import Testing

@Suite("Retries", .timeLimit(.minutes(1)))
struct RetryTests {
    private final class Decisions: Sendable {
        private let list = Guarded<[RetryDecision]>([])
        var all: [RetryDecision] { list.withLock { $0 } }
        var verdicts: [RetryDecision.Verdict] { all.map(\.verdict) }
        func note(_ decision: RetryDecision) { list.withLock { $0.append(decision) } }
    }

    private func withRetrying(
        _ replies: [ScriptedReply], configure: (inout ClientConfiguration) throws -> Void = { _ in },
        _ body: (ServiceClient, LoopbackServer, Decisions) async throws -> Void
    ) async throws {
        let decisions = Decisions()
        try await withLoopbackServer { server in
            server.respond(inOrder: replies)
            try await withServiceClient(
                server.baseURL,
                configure: {
                    $0.retry.baseDelay = .milliseconds(2)
                    $0.retry.throttledBaseDelay = .milliseconds(2)
                    $0.retry.onDecision = { decisions.note($0) }
                    try configure(&$0)
                }
            ) { try await body($0, server, decisions) }
        }
    }

    @Test(
        "A GET is retried after each of the statuses, on the same connection, and its attempts are counted",
        .tags(.RT14),
        arguments: [408, 429, 502, 503, 504])
    func statuses(status: Int) async throws {
        try await withRetrying([.reply(status, body: "busy"), .reply(status, body: "busy"), .reply(200, body: "ok")]) {
            client, server, decisions in
            let response = try await client.get("/")
            #expect(response.status == .ok)
            #expect(response.attempts == 3)
            #expect(response.requestsSent == 3)
            #expect(response.resends == 0)
            #expect(server.requests.count == 3)
            #expect(server.connections.count == 1)
            #expect(decisions.all.map(\.cause) == [.status(status), .status(status)])
            #expect(decisions.all.map(\.attempt) == [1, 2])
            #expect(decisions.all.allSatisfy { $0.budgetLeft != nil && $0.method == .get })
        }
    }

    @Test("The caller gets the last response, with its body, when no attempt is left", .tags(.RT14))
    func lastResponse() async throws {
        try await withRetrying([.reply(503, body: "busy")]) { client, server, decisions in
            let response = try await client.get("/")
            #expect(response.status == .serviceUnavailable)
            #expect(response.attempts == 3)
            #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "busy"))
            #expect(server.requests.count == 3)
            #expect(decisions.verdicts.last == .giveUp(.attemptsExhausted))
        }
    }

    @Test("The caller gets the first response to a POST", .tags(.RT14))
    func post() async throws {
        try await withRetrying([.reply(503, body: "busy")]) { client, server, decisions in
            let posted = try await client.post("/", body: .text("x"))
            #expect(posted.status == .serviceUnavailable)
            #expect(posted.attempts == 1)
            #expect(decisions.verdicts.last == .giveUp(.notIdempotent))
            _ = try await posted.body.collect(upTo: 100)
            #expect(server.requests.count == 1)
        }
    }

    @Test("A POST that is marked as idempotent is retried, a GET with retries off is not", .tags(.RT14))
    func optionsOfRequest() async throws {
        try await withRetrying([.reply(503, body: "busy")]) { client, server, _ in
            var marked = ServiceRequest.post("/", body: .text("x"))
            marked.options.idempotency = .idempotent
            let attemptsOfMarked = try await client.send(marked).attempts
            #expect(attemptsOfMarked == 3)
            var once = ServiceRequest.get("/")
            once.options.retry = .never
            let attemptsOfOnce = try await client.send(once).attempts
            #expect(attemptsOfOnce == 1)
            #expect(server.requests.count == 4)
        }
    }

    @Test("A status that is not retried is the outcome, and no decision is reported", .tags(.RT14))
    func statusWithoutRetry() async throws {
        try await withRetrying([.reply(500)]) { client, server, decisions in
            let attempts = try await client.get("/").attempts
            #expect(attempts == 1)
            #expect(decisions.all.isEmpty)
        }
    }

    @Test("A pool of one connection is enough: a failed response does not keep it, nor does a large one", .tags(.RT15))
    func poolOfOne() async throws {
        let large = String(repeating: "x", count: 2_000_000)
        try await withRetrying(
            [.reply(503, body: large), .reply(503, body: "busy"), .reply(200, body: "ok")],
            configure: { $0.pool.maximumPerOrigin = 1 }
        ) { client, server, _ in
            let response = try await client.get("/")
            #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "ok"))
            #expect(response.attempts == 3)
            let snapshot = client.pool.snapshot()
            #expect(snapshot.active == 0)
            #expect(snapshot.idle == 1)
        }
    }

    @Test("After a connection that ends without a response a GET is retried; a POST fails and arrives once")
    func connectionLost() async throws {
        try await withRetrying([.nothing.thenClose(), .reply(200, body: "ok")]) { client, server, decisions in
            let response = try await client.get("/")
            #expect(response.attempts == 2)
            #expect(response.resends == 0)
            #expect(decisions.all.map(\.cause) == [.error(.connectionClosed)])
        }
        try await withRetrying([.nothing.thenClose(), .reply(200)]) { client, server, decisions in
            let error = await #expect(throws: ServiceError.self) { try await client.post("/", body: .text("x")) }
            #expect(error?.progress == .ambiguous)
            #expect(error?.attempts == 1)
            #expect(server.requests.count == 1)
            #expect(decisions.verdicts == [.giveUp(.notIdempotent)])
        }
    }

    @Test(
        "A refused connection is dialled again for any method, and the last error has the number of attempts",
        .tags(.RT21)
    )
    func refused() async throws {
        let server = try await LoopbackServer.start()
        let base = server.baseURL
        await server.stop()
        let decisions = Decisions()
        let client = try ServiceClient(baseURL: base) {
            $0.retry.baseDelay = .zero
            $0.retry.onDecision = { decisions.note($0) }
        }
        let error = await #expect(throws: ServiceError.self) { try await client.post("/", body: .text("x")) }
        #expect(error?.code == .connectionRefused)
        #expect(error?.attempts == 3)
        #expect(decisions.verdicts == [.retry(after: .zero), .retry(after: .zero), .giveUp(.attemptsExhausted)])
        await client.shutdown()
    }

    @Test(
        "An attempt that takes too long is retried if the request is idempotent, within the total",
        .tags(.TO11))
    func attemptTimeout() async throws {
        try await withRetrying(
            [.stall, .reply(200, body: "ok")],
            configure: {
                $0.retry.baseDelay = .zero
                $0.timeouts.attempt = .milliseconds(100)
            }
        ) { client, server, decisions in
            let response = try await client.get("/")
            #expect(response.status == .ok)
            #expect(response.attempts == 2)
            #expect(decisions.all.map(\.cause) == [.error(.attemptTimeout)])
            #expect(server.requests.count == 2)
        }
        try await withRetrying([.stall], configure: { $0.timeouts.attempt = .milliseconds(50) }) {
            client, server, decisions in
            let error = await #expect(throws: ServiceError.self) { try await client.post("/", body: .text("x")) }
            #expect(error?.code == .attemptTimeout)
            #expect(error?.attempts == 1)
            #expect(decisions.verdicts == [.giveUp(.notIdempotent)])
            #expect(server.requests.count == 1)
        }
    }

    @Test(
        "The client waits for Retry-After on its clock; it returns at once if that is above the cap or past the deadline"
    )
    func retryAfter() async throws {
        let clock = TestClock()
        let decisions = Decisions()
        try await withLoopbackServer { server in
            server.respond(inOrder: [.reply(429, fields: [.retryAfter: "7"], body: "busy"), .reply(200, body: "ok")])
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.random = { 0.5 }
                $0.retry = RetryOptions()
                $0.retry.onDecision = { decisions.note($0) }
            }
            let began = clock.now
            let response = try await clock.run {
                try await client.get("/")
            } once: {
                try await eventually("the wait") { !decisions.all.isEmpty }
            }.get()
            #expect(response.status == .ok)
            #expect(decisions.verdicts == [.retry(after: .milliseconds(7500))])
            #expect(began.duration(to: clock.now) >= .milliseconds(7500))
            await client.shutdown()
        }
        try await withRetrying([.reply(503, fields: [.retryAfter: "31"], body: "busy")]) { client, server, decisions in
            let attemptsOverCap = try await client.get("/").attempts
            #expect(attemptsOverCap == 1)
            #expect(decisions.verdicts == [.giveUp(.retryAfterTooLong)])
            var short = ServiceRequest.get("/")
            short.options.timeouts.total = .seconds(20)
            short.options.retry.maximumRetryAfter = .seconds(100)
            let attemptsPastDeadline = try await client.send(short).attempts
            #expect(attemptsPastDeadline == 1)
            #expect(server.requests.count == 2)
        }
    }

    @Test("A test moves its clock by Retry-After, and the next attempt is made: Docs/Testing.md")
    func documentedTest() async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(.get, "/report", inOrder: [.respond(.serviceUnavailable, fields: [.retryAfter: "20"]), .respond(.ok)])
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.clock = clock
            $0.random = { 0 }  // no more than Retry-After asks for
        }
        async let response = client.get("report")
        try await stub.waitForCalls(count: 1)
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .seconds(20))
        #expect(try await response.attempts == 2)
        await client.shutdown()
    }

    @Test("Another service's failure that middleware throws is not retried: it says nothing about this request")
    func foreignFailure() async throws {
        struct Audit: ServiceMiddleware {
            func intercept(
                _ request: ServiceRequest, context: RequestContext, next: Next
            ) async throws -> ServiceResponse {
                _ = try await next(request, context: context)
                throw ServiceError(
                    .connectionRefused, "the audit service is down", progress: .neverSent,
                    origin: "http://audit.test:80")
            }
        }
        try await withRetrying([.reply(201)], configure: { $0.middleware.perAttempt = [Audit()] }) {
            client, server, decisions in
            let error = await #expect(throws: ServiceError.self) { try await client.post("/", body: .text("x")) }
            #expect(error?.code == .connectionRefused)
            #expect(server.requests.count == 1)
            #expect(decisions.verdicts == [.giveUp(.notRetryable)])
        }
    }

    @Test(
        "Cancelling during the wait throws CancellationError at once, and no attempt follows", .tags(.CA10, .RT18)
    )
    func cancelled() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(503, fields: [.retryAfter: "20"]) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.timeouts.total = nil
            }
            let waiting = Gate()
            let task = Task {
                var request = ServiceRequest.get("/")
                request.options.retry.onDecision = { _ in waiting.open() }
                return try await client.send(request)
            }
            try await waiting.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(server.requests.count == 1)
            let report = await client.shutdown()
            #expect(report.isClean)
        }
    }

    @Test("A drain ends a wait at once, with the last outcome and its body, and there is no retry", .tags(.LC5))
    func drained() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(503, fields: [.retryAfter: "20"], body: "busy") }
            let decisions = Decisions()
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.random = { 0 }
                $0.timeouts.total = nil
                $0.retry.onDecision = { decisions.note($0) }
            }
            let task = Task {
                let response = try await client.get("/")
                return (response.status, try await response.body.collect(upTo: 100))
            }
            try await eventually("the wait") { !decisions.all.isEmpty }
            let report = await client.shutdown(within: .seconds(5))
            let (status, body) = try await task.value
            #expect(status == .serviceUnavailable)
            #expect(body == ByteBuffer(string: "busy"))
            #expect(report.isClean)
            #expect(server.requests.count == 1)
            #expect(decisions.verdicts == [.retry(after: .seconds(20))])
            // The clock has not moved: the call did not wait.
            #expect(clock.now == MonotonicInstant(nanoseconds: 0))
        }
    }

    @Test(
        "A factory is made anew for each attempt; a stream is replayed only from its kept bytes",
        .tags(.RT5)
    )
    func replay() async throws {
        try await withRetrying([.reply(503), .reply(200)]) { client, server, decisions in
            let made = Guarded(0)
            let factory = RequestBody.replayable(length: 3) {
                made.withLock { $0 += 1 }
                return AsyncStream<ByteBuffer> { continuation in
                    continuation.yield(ByteBuffer(string: "abc"))
                    continuation.finish()
                }
            }
            let response = try await client.put("/", body: factory)
            #expect(response.attempts == 2)
            #expect(made.withLock { $0 } == 2)
            #expect(server.requests.map { String(buffer: $0.body) } == ["abc", "abc"])
        }
        try await withRetrying([.reply(503), .reply(200)]) { client, server, decisions in
            let stream = AsyncStream<ByteBuffer> { continuation in
                continuation.yield(ByteBuffer(string: "abc"))
                continuation.finish()
            }
            // A response had begun: the stream is committed, and the response is the outcome.
            let response = try await client.put("/", body: .stream(stream))
            #expect(response.status == .serviceUnavailable)
            #expect(response.attempts == 1)
            #expect(decisions.verdicts == [.giveUp(.bodyNotReplayable)])
        }
    }

    @Test(
        "1,000 calls to a failing service add at most 20 % and the floor of retries; all succeed when it recovers",
        .tags(.RT17)
    )
    func hardDown() async throws {
        let isDown = Guarded(true)
        let decisions = Decisions()
        try await withLoopbackServer { server in
            server.respond { _ in isDown.withLock { $0 } ? .reply(503) : .reply(200, body: "ok") }
            try await withServiceClient(
                server.baseURL,
                configure: {
                    $0.retry.throttledBaseDelay = .zero
                    $0.retry.onDecision = { decisions.note($0) }
                    $0.pool.maximumPerOrigin = 16
                }
            ) { client in
                let clock = MonotonicClock()
                let began = clock.now
                try await Self.call(client, 1000, expecting: .serviceUnavailable)
                // The window moves while this runs: the floor is what the window allows in that time.
                let seconds = Int(began.duration(to: clock.now).components.seconds) + 1
                let floor = 100 + 10 * seconds
                #expect(server.requests.count > 1000)
                let atMost = 1200 + floor
                #expect(server.requests.count <= atMost)
                #expect(decisions.verdicts.contains(.giveUp(.budgetExhausted)))
                isDown.withLock { $0 = false }
                let before = server.requests.count
                try await Self.call(client, 1000, expecting: .ok)
                #expect(server.requests.count - before == 1000)
            }
        }
    }

    private static func call(
        _ client: ServiceClient, _ count: Int, expecting status: HTTPResponse.Status
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    for _ in 0..<(count / 10) {
                        let response = try await client.get("/")
                        _ = try await response.body.collect(upTo: 100)
                        #expect(response.status == status)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
