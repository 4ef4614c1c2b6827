import BowlineCore
import BowlineTesting
import Metrics
import MetricsTestKit
import Testing

@testable import BowlineCall

@Suite("Balancing over base URLs", .timeLimit(.minutes(1)))
struct BalancedListTests {
    private static let two = ["http://a.example:8080/api", "http://b.example/api/"]

    // MARK: URLs

    @Test(
        "The endpoint's base URL replaces the client's; the rest of the path and the query stay", .tags(.BA12),
        arguments: [
            ("https://api.example/v1/users/42?full=1", "http://a.example:8080/api/users/42?full=1"),
            ("https://api.example/v1", "http://a.example:8080/api"),
            ("https://api.example/v1/", "http://a.example:8080/api/"),
            ("https://api.example/v1?x=%2F", "http://a.example:8080/api?x=%2F"),
            ("https://api.example/v10/users", "http://a.example:8080/v10/users"),
            ("https://api.example/login", "http://a.example:8080/login"),
        ])
    func urls(requested: String, sent: String) async throws {
        let harness = try BalancingHarness(urls: ["http://a.example:8080/api"])
        harness.stub.on(.get, sent, always: .respond())
        let response = try await harness.get(requested)
        #expect(harness.sent == [sent])
        #expect(response.url?.absoluteString == sent)
        #expect(harness.inFlight == 0)
    }

    @Test("An attempt's placement keeps the origin that the caller named, and whether it is a hedge")
    func placement() async throws {
        let harness = try BalancingHarness(urls: ["http://a.example"])
        harness.stub.on(.get, "/users", always: .respond())
        var context = harness.context()
        context.placement = AttemptPlacement(isHedge: true)
        _ = try await harness.get(context: context)
        let placement = try #require(harness.stub.calls.first?.context.placement)
        #expect(placement.namedOrigin?.description == "https://api.example:443")
        #expect(placement.placedOrigin?.description == "http://a.example:80")
        #expect(placement.isHedge)
        #expect(placement.address == nil)
    }

    @Test("A request to another origin than the base URL's goes there")
    func otherOrigin() async throws {
        let harness = try BalancingHarness(urls: Self.two)
        harness.stub.on(.get, "http://api.example/v1/users", always: .respond())
        _ = try await harness.get("http://api.example/v1/users")
        #expect(harness.sent == ["http://api.example/v1/users"])
        #expect(harness.stub.calls.first?.context.placement == nil)
    }

    @Test("A client without a base URL has nothing that endpoints could replace")
    func withoutBase() throws {
        let harness = try BalancingHarness(.fixed([ServiceEndpoint("http://a.example")]), base: nil)
        var options = BalancingOptions()
        options.endpoints = .fixed([ServiceEndpoint("http://a.example")])
        #expect(harness.balancers.attempts(options) == nil)
    }

    // MARK: Retries

    @Test("A retry goes to an endpoint that the call has not used; when all were used, to any", .tags(.BA7))
    func retries() async throws {
        let harness = try BalancingHarness(urls: ["http://a.example", "http://b.example", "http://c.example"])
        harness.stub.on(.get, "/users", always: .respond(.serviceUnavailable))
        let response = try await harness.getRetrying(attempts: 4)
        #expect(response.status == .serviceUnavailable)
        let hosts = harness.stub.calls.compactMap { $0.request.origin?.host }
        #expect(hosts.count == 4)
        #expect(Set(hosts.prefix(3)) == ["a.example", "b.example", "c.example"])
        #expect(harness.inFlight == 0)
    }

    @Test("The retry budget counts the origin that the caller names")
    func budget() async throws {
        let harness = try BalancingHarness(urls: Self.two)
        harness.stub.on(.get, "/api/users", always: .respond(.serviceUnavailable))
        let budgets = RetryBudgets()
        let options = RetryBudgetOptions()
        _ = try await harness.getRetrying(attempts: 3) {
            $0.budgets = budgets
            $0.retry.budget = options
        }
        let named = try ServiceURL("https://api.example").origin
        #expect(budgets.count == 1)
        // 100 are free in the window, and the one request adds a fifth.
        #expect(budgets.left(for: named, at: harness.clock.now, options) == 98)
    }

    // MARK: Ejection

    @Test("An endpoint that answers 500 five times is ejected: event, metric, and no more attempts", .tags(.BA3))
    func ejected() async throws {
        let backend = TestMetrics()
        let metrics = try #require(withMetricsFactory(backend) { ClientMetrics() })
        let harness = try BalancingHarness(
            .fixed([ServiceEndpoint("http://a.example"), ServiceEndpoint("http://b.example")]),
            further: [MetricsListener(metrics: metrics)])
        harness.stub.on(.get, "/users") { call in
            .respond(call.request.origin?.host == "a.example" ? .internalServerError : .ok)
        }
        let pipeline = try harness.pipeline()
        while harness.stub.calls.count(where: { $0.request.origin?.host == "a.example" }) < 5 {
            _ = try await harness.get(through: pipeline)
        }
        #expect(harness.recorded.all == ["api.example: updated 2", "api.example: ejected http://a.example:80 5.0 s"])
        let before = harness.stub.calls.count
        for _ in 0..<50 { _ = try await harness.get(through: pipeline) }
        #expect(harness.stub.calls.dropFirst(before).allSatisfy { $0.request.origin?.host == "b.example" })
        let counter = try backend.expectCounter(
            "bowline.client.endpoint.ejections", [("server.address", "api.example"), ("server.port", "443")])
        #expect(counter.totalValue == 1)
    }

    @Test(
        "These outcomes count as failures of the endpoint", .tags(.BA4),
        arguments: [
            StubAnswer.respond(.internalServerError), .respond(.badGateway), .respond(.serviceUnavailable),
            .respond(.gatewayTimeout), .fail(.connectionRefused, progress: .neverSent),
            .fail(.connectTimeout, progress: .neverSent), .fail(.tlsHandshakeFailed, progress: .neverSent),
            .fail(.connectionClosed, progress: .ambiguous), .fail(.responseHeadTimeout, progress: .ambiguous),
            .fail(.attemptTimeout, progress: .ambiguous), .fail(.deadlineExceeded, progress: .ambiguous),
            .fail(.streamReset, progress: .ambiguous), .fail(.protocolViolation, progress: .responseStarted),
        ])
    func failures(answer: StubAnswer) async throws {
        #expect(try await ejections(after: answer) == 1)
    }

    @Test(
        "These outcomes do not count as failures of the endpoint", .tags(.BA4),
        arguments: [
            StubAnswer.respond(.ok), .respond(.notFound), .respond(.tooManyRequests), .respond(.requestTimeout),
            .respond(.notImplemented), .fail(.deadlineExceeded, progress: .neverSent),
            .fail(.poolSaturated, progress: .neverSent), .fail(.poolAcquireTimeout, progress: .neverSent),
            .fail(.invalidRequest, progress: .neverSent), .fail(.requestBodyFailed, progress: .ambiguous),
            .fail(.forciblyClosed, progress: .ambiguous), .fail(.shuttingDown, progress: .neverSent),
            .respond(with: { _ in throw CancellationError() }),
        ])
    func noFailures(answer: StubAnswer) async throws {
        #expect(try await ejections(after: answer) == 0)
    }

    /// Returns how many endpoints are ejected after many attempts with this answer from one of two endpoints.
    private func ejections(after answer: StubAnswer) async throws -> Int {
        let harness = try BalancingHarness(urls: ["http://a.example", "http://b.example"])
        harness.stub.on(.get, "http://a.example/users", always: answer)
        harness.stub.on(.get, "http://b.example/users", always: .respond())
        let pipeline = try harness.pipeline()
        for _ in 0..<60 { _ = try? await harness.get(through: pipeline) }
        #expect(harness.inFlight == 0)
        let endpoints = harness.balancers.snapshot().flatMap(\.endpoints)
        return endpoints.count { $0.ejectedFor != nil }
    }

    @Test("An answer or an error of middleware says nothing about the endpoint", .tags(.BA4))
    func middleware() async throws {
        let harness = try BalancingHarness(urls: ["http://a.example", "http://b.example"])
        let answering = Intercepting { _, _, _ in ServiceResponse(status: .internalServerError) }
        let throwing = Intercepting { _, _, _ in throw ServiceError(.connectionClosed, "made by middleware") }
        for middleware in [answering, throwing] {
            let pipeline = try harness.pipeline { $0.perAttempt = [middleware] }
            for _ in 0..<30 { _ = try? await harness.get(through: pipeline) }
        }
        #expect(harness.sent == [])
        #expect(harness.inFlight == 0)
        let endpoints = harness.balancers.snapshot().flatMap(\.endpoints)
        #expect(endpoints.count == 2)
        #expect(endpoints.allSatisfy { $0.ejectedFor == nil && $0.latency == nil })
    }

    @Test("The latency of an endpoint is the time until its response head", .tags(.BA1))
    func latency() async throws {
        let harness = try BalancingHarness(urls: ["http://a.example"])
        harness.stub.on(.get, "/users") { [clock = harness.clock] _ in
            clock.advance(by: .milliseconds(120))
            return .respond()
        }
        _ = try await harness.get()
        let endpoint = try #require(harness.balancers.snapshot().first?.endpoints.first)
        #expect(endpoint.latency == .milliseconds(120))
        #expect(endpoint.endpoint == .url(try ServiceURL("http://a.example")))
    }

    @Test("Attempts that wait for an answer are in flight; a cancelled one is not any more", .tags(.BA1))
    func cancelled() async throws {
        let harness = try BalancingHarness(urls: ["http://a.example", "http://b.example"])
        let gate = Gate()
        harness.stub.on(.get, "/users", always: .respond().held(by: gate))
        let task = Task { try await harness.get() }
        try await harness.stub.waitForCalls(count: 1)
        #expect(harness.inFlight == 1)
        task.cancel()
        let result = await task.result
        #expect(throws: CancellationError.self) { try result.get() }
        #expect(harness.inFlight == 0)
        #expect(harness.recorded.all == ["api.example: updated 2"])
    }

    // MARK: Lists

    @Test("Derived clients with the same list share its balancer, others do not")
    func shared() throws {
        let harness = try BalancingHarness(urls: Self.two)
        var options = BalancingOptions()
        options.endpoints = .fixed(Self.two.map { ServiceEndpoint($0) })
        _ = harness.balancers.attempts(options)
        options.consecutiveFailures = 7
        _ = harness.balancers.attempts(options)
        #expect(harness.balancers.snapshot().count == 1)
        options.endpoints = .fixed([ServiceEndpoint("http://c.example")])
        _ = harness.balancers.attempts(options)
        #expect(harness.balancers.snapshot().count == 2)
    }

    @Test("Lists that no client uses any more are forgotten beyond a number")
    func bounded() throws {
        let harness = try BalancingHarness(urls: Self.two)
        let first = try harness.pipeline()
        for number in 0..<500 {
            var options = BalancingOptions()
            options.endpoints = .fixed([ServiceEndpoint("http://e\(number).example")])
            _ = harness.balancers.attempts(options)
        }
        withExtendedLifetime(first) {
            #expect(harness.balancers.snapshot().count == Balancers.usualLists)
        }
    }
}

/// Hedges of balanced attempts.
@Suite("Balancing and hedges", .timeLimit(.minutes(1)))
struct BalancedHedgeTests {
    private static let delay: Duration = .milliseconds(100)

    private func hedged(_ harness: BalancingHarness) throws -> Next {
        var hedging = HedgingOptions()
        hedging.delay = .after(Self.delay)
        return try harness.pipeline { $0.hedging = hedging }
    }

    @Test(
        "A hedge goes to another endpoint; the cancelled loser is no failure, and its endpoint counts as slow",
        .tags(.HG14, .BA7))
    func otherEndpoint() async throws {
        let harness = try BalancingHarness(urls: ["http://a.example", "http://b.example"])
        let gate = Gate()
        let first = Shared<String?>(nil)
        harness.stub.on(.get, "/users") { call in
            let host = call.request.origin?.host
            let isFirst = first.change { first in
                if first == nil { first = host }
                return first == host
            }
            return isFirst ? .respond().held(by: gate) : .respond()
        }
        let pipeline = try hedged(harness)
        async let response = harness.get(through: pipeline)
        // The stub records a call before the answer is chosen.
        try await eventually("the first attempt to be held") { first.value != nil }
        try await harness.clock.waitForSleepers()
        #expect(harness.inFlight == 1)
        harness.clock.advance(by: Self.delay)
        let status = try await response.status
        #expect(status == .ok)
        let hosts = harness.stub.calls.compactMap { $0.request.origin?.host }
        #expect(Set(hosts) == ["a.example", "b.example"])
        #expect(harness.stub.calls.map { $0.context.placement?.isHedge ?? false } == [false, true])
        #expect(harness.inFlight == 0)
        let endpoints = harness.balancers.snapshot().flatMap(\.endpoints)
        #expect(endpoints.allSatisfy { $0.ejectedFor == nil })
        let slow = try #require(endpoints.first { $0.endpoint.description.contains(first.value ?? "none") })
        // Its answer would have come later: the time is added to the estimate, which was the same time.
        #expect(slow.latency == Self.delay * 2)
    }

    @Test("A hedge of an attempt to an address goes to another address", .tags(.HG14, .BA7))
    func otherAddress() async throws {
        let harness = try BalancingHarness(.addresses)
        harness.listing.know(["192.0.2.1", "192.0.2.2"])
        let gate = Gate()
        harness.stub.on(.get, "/v1/users") { call in
            call.context.placement?.isHedge == true ? .respond() : .respond().held(by: gate)
        }
        let pipeline = try hedged(harness)
        async let response = harness.get(through: pipeline)
        try await harness.stub.waitForCalls(count: 1)
        try await harness.clock.waitForSleepers()
        harness.clock.advance(by: Self.delay)
        let status = try await response.status
        #expect(status == .ok)
        #expect(Set(harness.addresses) == ["192.0.2.1", "192.0.2.2"])
        #expect(harness.inFlight == 0)
    }
}
