import Bowline
import BowlineTesting
import Logging
import Metrics
import MetricsTestKit
import Testing

/// Runs the recipes of Docs/Cookbook.md that are middleware.
@Suite("Recipes of the cookbook: middleware", .timeLimit(.minutes(1)))
struct CookbookMiddlewareTests {
    private typealias CircuitBreaker = CookbookMiddleware.CircuitBreaker
    private typealias Failover = CookbookMiddleware.Failover
    private typealias RateLimit = CookbookMiddleware.RateLimit
    private typealias RequestIDs = CookbookMiddleware.RequestIDs

    private let stub = StubTransport()
    private let clock = TestClock()

    private func client(_ configure: (inout ClientConfiguration) -> Void) throws -> ServiceClient {
        try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) {
            $0.clock = clock
            $0.random = { 0 }  // no waits between attempts
            configure(&$0)
        }
    }

    private func code(_ operation: () async throws -> some Any) async -> ServiceError.Code? {
        (await Requests.failure(operation) as? ServiceError)?.code
    }

    @Test("Every attempt of a call has one id, in its field and in the lines of the log")
    func requestIDs() async throws {
        let log = LogLines()
        let numbers = Guarded(0)
        stub.on(.get, "/v1/orders", inOrder: [.respond(.serviceUnavailable), .respond(.ok), .respond(.ok)])
        let client = try client {
            let makeID: @Sendable () -> String = {
                numbers.withLock { number in
                    number += 1
                    return "id-\(number)"
                }
            }
            $0.middleware.perCall = [RequestIDs(makeID: makeID)]
        }
        try await withLogger(log.logger(.debug)) { _ in
            _ = try await client.get("orders")
            _ = try await client.get("orders", fields: [RequestIDs.field: "the caller's"])
        }
        #expect(stub.calls.map { $0.fields[RequestIDs.field] } == ["id-1", "id-1", "the caller's"])
        #expect(
            log.values(of: "request.id", where: "attempt ended with a response") == ["id-1", "id-1", "the caller's"])
    }

    @Test("A call is measured by its template and its outcome")
    func callTimes() async throws {
        let metrics = TestMetrics()
        stub.on(.get, "/v1/orders/7", always: .respond(.ok).delayed(by: .milliseconds(250), on: clock))
        stub.on(.get, "/v1/orders/8", always: .fail(.protocolViolation, progress: .responseStarted))
        let client = try client { $0.middleware.perCall = [CookbookMetrics.CallTimes()] }
        let clock = clock
        try await withMetricsFactory(metrics) {
            async let response = client.get("orders/7") { $0.targetTemplate = "orders/{id}" }
            let end = MonotonicInstant(nanoseconds: 250_000_000)
            try await eventually("the stub's pause") { clock.nextDeadline == end }
            clock.advance(to: end)
            #expect(try await response.status == .ok)
            let failure = await code { try await client.get("orders/8") }
            #expect(failure == .protocolViolation)
        }
        let good = try metrics.expectTimer("orders.calls", [("operation", "orders/{id}"), ("outcome", "2xx")])
        #expect(good.values == [250_000_000])
        let bad = try metrics.expectTimer("orders.calls", [("operation", "other"), ("outcome", "error")])
        #expect(bad.values == [0])
    }

    @Test("A breaker opens after failures in a row, sends nothing for its pause, then lets one call check the service")
    func breaker() async throws {
        let down = StubAnswer.respond(.internalServerError)
        stub.on(.get, "/v1/orders", inOrder: [down, .respond(.ok), down, down, down, .respond(.ok), .respond(.ok)])
        let client = try client {
            $0.retry.maximumAttempts = 1
            $0.middleware.perCall = [CircuitBreaker(failuresInARow: 2, pause: .seconds(10))]
        }
        func status() async throws -> Int { try await client.get("orders").status.code }

        for expected in [500, 200, 500, 500] { #expect(try await status() == expected) }
        let opened = await code { try await status() }
        #expect(opened == CircuitBreaker.isOpen)
        #expect(stub.calls.count == 4)

        clock.advance(by: .seconds(10))
        #expect(try await status() == 500)
        let reopened = await code { try await status() }
        #expect(reopened == CircuitBreaker.isOpen)
        #expect(stub.calls.count == 5)

        clock.advance(by: .seconds(10))
        #expect(try await status() == 200)
        #expect(try await status() == 200)
        try stub.verify()
    }

    @Test(
        "While one call checks the service, others are refused; a cancelled check gives no answer")
    func breakerProbe() async throws {
        let gate = Gate()
        let stub = stub
        stub.on(.get, "/v1/orders", inOrder: [.respond(.internalServerError), .respond(.ok).held(by: gate)])
        let client = try client {
            $0.retry.maximumAttempts = 1
            $0.middleware.perCall = [CircuitBreaker(failuresInARow: 1, pause: .seconds(10))]
        }
        _ = try await client.get("orders")
        clock.advance(by: .seconds(10))
        let probe = Task { try await client.get("orders") }
        try await gate.waitForWaiters()
        let other = await code { try await client.get("orders") }
        #expect(other == CircuitBreaker.isOpen)
        probe.cancel()
        let outcome = await probe.result
        #expect(throws: CancellationError.self) { _ = try outcome.get() }
        let later = await code { try await client.get("orders") }
        #expect(later == CircuitBreaker.isOpen)
        #expect(stub.calls.count == 2)
    }

    @Test("A rate limit lets a burst pass, then one request for each interval, retries included")
    func rateLimit() async throws {
        stub.on(.get, "/v1/orders", inOrder: [.respond(.ok), .respond(.serviceUnavailable), .respond(.ok)])
        let stub = stub
        let clock = clock
        let client = try client {
            $0.middleware.perAttempt = [RateLimit(oneEach: .seconds(2), burst: 2)]
        }
        _ = try await client.get("orders")
        async let second = client.get("orders")
        try await stub.waitForCalls(count: 2)
        try await clock.advance(toSleeperAt: 2)
        let response = try await second
        #expect(response.status == .ok)
        #expect(response.attempts == 2)
        #expect(stub.calls.count == 3)
    }

    @Test("A request that would get its token too late fails at once, unsent, and leaves the token to others")
    func rateLimitDeadline() async throws {
        let stub = stub
        let clock = clock
        stub.on(.get, "/v1/orders", always: .respond(.ok))
        let client = try client { $0.middleware.perAttempt = [RateLimit(oneEach: .seconds(5))] }
        _ = try await client.get("orders")
        let error = await Requests.failure { try await client.get("orders") { $0.timeouts.total = .seconds(3) } }
        let refused = try #require(error as? ServiceError)
        #expect(refused.code == RateLimit.exceeded)
        #expect(refused.progress == .neverSent)
        #expect(clock.now == MonotonicInstant(nanoseconds: 0))
        async let third = client.get("orders")
        try await clock.advance(toSleeperAt: 5)
        #expect(try await third.status == .ok)
        #expect(stub.calls.count == 2)
    }

    @Test("A shutdown ends a request that waits for its token, unsent")
    func rateLimitShutdown() async throws {
        let stub = stub
        let clock = clock
        stub.on(.get, "/v1/orders", always: .respond(.ok))
        let client = try client { $0.middleware.perAttempt = [RateLimit(oneEach: .seconds(5))] }
        _ = try await client.get("orders")
        let waiting = Task { try await client.get("orders") }
        try await eventually("the wait for a token") {
            clock.nextDeadline == MonotonicInstant(nanoseconds: 5_000_000_000)
        }
        let report = await client.shutdown()
        #expect(report.isClean)
        let outcome = await waiting.result
        let error = #expect(throws: ServiceError.self) { _ = try outcome.get() }
        #expect(error?.code == .shuttingDown)
        #expect(error?.progress == .neverSent)
        #expect(stub.calls.count == 1)
    }

    private func makeFailover() throws -> Failover {
        Failover(
            primary: try ServiceURL("https://api.example.com"), spare: try ServiceURL("https://spare.example.com"))
    }

    @Test("A request that the first service cannot have seen goes to the second, without the first one's own fields")
    func failoverBeforeSending() async throws {
        stub.on(
            .post, "https://api.example.com/v1/orders", inOrder: [.fail(.connectionRefused, progress: .neverSent)])
        stub.on(.post, "https://spare.example.com/v1/orders", always: .respond(.created, body: "spare"))
        let failover = try makeFailover()
        let key = try #require(HTTPField.Name("X-API-Key"))
        let client = try client {
            $0.retry.maximumAttempts = 1
            $0.fields[key] = "for the first"
            $0.middleware.perCall = [failover]
        }
        let response = try await client.post("orders?dry=1", body: .text("an order"))
        #expect(response.status == .created)
        #expect(response.url?.absoluteString == "https://spare.example.com/v1/orders?dry=1")
        #expect(stub.calls.map { $0.fields[key] } == ["for the first", nil])
        #expect(stub.calls.last?.bodyText == "an order")
        #expect(stub.calls.map(\.attempt) == [1, 2])
        try stub.verify()
    }

    @Test(
        "A request that the first service may have executed goes to the second only if it may be repeated",
        arguments: [(HTTPRequest.Method.get, true), (.post, false)])
    func failoverAfterSending(method: HTTPRequest.Method, goesOn: Bool) async throws {
        stub.on(
            method, "https://api.example.com/v1/orders", always: .fail(.connectionClosed, progress: .ambiguous))
        if goesOn { stub.on(method, "https://spare.example.com/v1/orders", always: .respond(.ok)) }
        let failover = try makeFailover()
        let client = try client {
            $0.retry.maximumAttempts = 1
            $0.middleware.perCall = [failover]
        }
        let failure = await code { try await client.send(ServiceRequest(method: method, "orders")) }
        #expect(failure == (goesOn ? nil : ServiceError.Code.connectionClosed))
        #expect(stub.calls.count == (goesOn ? 2 : 1))
        try stub.verify()
    }
}
