import Bowline
import BowlineTesting
import Testing

@Suite("The gates of a client", .timeLimit(.minutes(1)))
struct ResilienceClientTests {
    private let clock = TestClock()
    private let stub = StubTransport()

    private func makeClient(_ configure: (inout ClientConfiguration) -> Void) throws -> ServiceClient {
        try ServiceClient(baseURL: "http://example.com", transport: stub) {
            $0.clock = clock
            $0.random = { 0.5 }
            $0.retry.maximumAttempts = 1
            // Nothing but gates and retries sleeps on the clock.
            $0.timeouts.total = nil
            $0.timeouts.responseHead = nil
            $0.timeouts.bodyIdle = nil
            configure(&$0)
        }
    }

    private static func one(_ configuration: inout ClientConfiguration) {
        configuration.resilience.concurrency = ConcurrencyOptions()
        configuration.resilience.concurrency?.limit = .fixed(1)
        configuration.resilience.concurrency?.maximumWait = .seconds(60)
    }

    private func waitUntil(waiting count: Int, _ client: ServiceClient) async throws {
        try await eventually("\(count) to wait") { client.resilience.snapshot().waiting == count }
    }

    // MARK: Drain

    @Test("During a drain, the first attempts of admitted calls go on waiting for the gates", .tags(.GA8))
    func drainWaits() async throws {
        let client = try makeClient(Self.one)
        let gate = Gate()
        stub.on(.get, "/{n}", always: .respond(.ok).held(by: gate))
        async let first = client.get("1")
        try await gate.waitForWaiters()
        async let second = client.get("2")
        try await waitUntil(waiting: 1, client)
        async let report = client.shutdown(within: .seconds(30))
        try await ShutdownTests.waitUntil(.draining, client)
        gate.open()
        #expect(try await first.status == .ok)
        #expect(try await second.status == .ok)
        #expect(await report.isClean)
        #expect(await report.drained == 2)
        #expect(client.resilience.snapshot().inFlight == 0)
    }

    @Test(
        "A drain ends a retry that waits for a gate; the caller gets the outcome before the retry, with its body",
        .tags(.GA8))
    func drainEndsRetry() async throws {
        let client = try makeClient {
            $0.retry.maximumAttempts = 3
            $0.retry.baseDelay = .zero
            $0.resilience.rate = RateOptions()
            $0.resilience.rate?.perSecond = 0.1
            $0.resilience.rate?.burst = 1
            $0.resilience.rate?.maximumWait = .seconds(60)
        }
        stub.on(.get, "/1", always: .respond(.serviceUnavailable, body: "busy"))
        let call = Task { try await client.get("1") }
        try await waitUntil(waiting: 1, client)
        let report = await client.shutdown(within: .seconds(30))
        let response = try await call.value
        #expect(response.status == .serviceUnavailable)
        #expect(try await response.text() == "busy")
        #expect(report.isClean)
        #expect(stub.calls.count == 1)
        #expect(client.resilience.snapshot().waiting == 0)
    }

    @Test(
        "A shutdown's deadline ends an attempt that waits for a gate, with the exact progress", .tags(.GA8),
        arguments: [true, false])
    func forced(isQueued: Bool) async throws {
        let client = try makeClient { configuration in
            if isQueued { return Self.one(&configuration) }
            configuration.resilience.rate = RateOptions()
            configuration.resilience.rate?.perSecond = 0.01
            configuration.resilience.rate?.burst = 1
            configuration.resilience.rate?.maximumWait = .seconds(1000)
        }
        let gate = Gate()
        stub.on(.get, "/1", always: .respond(.ok).held(by: gate))
        let first = Task { try await client.get("1") }
        try await gate.waitForWaiters()
        let second = Task { try await client.get("2") }
        try await waitUntil(waiting: 1, client)
        let report = await client.shutdown(within: .zero)
        #expect(report.forced.count == 2)
        let error = try await serviceError { _ = try await second.value }
        #expect(error.code == .forciblyClosed)
        #expect(error.progress == .neverSent)
        _ = await first.result
        #expect(client.resilience.snapshot().waiting == 0)
        #expect(client.resilience.snapshot().inFlight == 0)
    }

    // MARK: client.resilience

    @Test("A client without gates knows no scope", .tags(.GA9))
    func off() async throws {
        let client = try makeClient { _ in }
        stub.on(.get, "/x", always: .respond(.ok))
        _ = try await client.get("x")
        #expect(client.resilience.snapshot().scopes.isEmpty)
        let error = try await serviceError { try client.resilience.isolate(origin: "http://example.com") }
        #expect(error.code == .invalidRequest)
    }

    @Test("isolate and reset work on the breaker of one scope, for all derived clients", .tags(.GA4, .BR6))
    func byHand() async throws {
        let client = try makeClient { $0.resilience = .standard }
        let derived = try client.with { $0.timeouts.total = .seconds(5) }
        stub.on(.get, "/x", always: .respond(.ok))
        try derived.resilience.isolate(origin: "http://example.com/path", scope: "search")
        let search: (inout RequestOptions) -> Void = { $0.policyScope = "search" }
        let error = try await serviceError { _ = try await client.get("x", options: search) }
        #expect(error.code == .circuitOpen)
        #expect(error.refusal?.reason == .isolated)
        #expect(!"\(error)".contains("search"))
        let whole = try await client.get("x")
        #expect(whole.status == .ok)
        let snapshot = client.resilience.snapshot()
        #expect(snapshot.scopes.map(\.scope.description) == ["http://example.com:80", "http://example.com:80#search"])
        #expect(snapshot.scopes.map(\.breaker.state) == [.closed, .isolated])
        #expect(snapshot.scopes.map(\.admitted) == [1, 0])
        #expect(snapshot.scopes.map(\.refused) == [0, 1])
        try client.resilience.reset(origin: "http://example.com", scope: "search")
        let again = try await derived.get("x", options: search)
        #expect(again.status == .ok)
        let invalid = try await serviceError { try client.resilience.isolate(origin: "example") }
        #expect(invalid.code == .invalidURL)
    }

    @Test("A derived client may have other knobs over the same gates", .tags(.GA4))
    func derived() async throws {
        let client = try makeClient(Self.one)
        let wider = try client.with { $0.resilience.concurrency?.limit = .fixed(2) }
        let off = try client.with { $0.resilience = .off }
        let gate = Gate()
        stub.on(.get, "/{n}", always: .respond(.ok).held(by: gate))
        async let first = client.get("1")
        try await gate.waitForWaiters()
        async let second = wider.get("2")
        try await gate.waitForWaiters(count: 2)
        #expect(client.resilience.snapshot().inFlight == 2)
        async let third = wider.get("3")
        try await waitUntil(waiting: 1, wider)
        async let fourth = off.get("4")
        try await gate.waitForWaiters(count: 3)
        gate.open()
        _ = try await (first, second, third, fourth)
        #expect(client.resilience.snapshot().scopes.map(\.admitted) == [3])
    }

    @Test("Listeners get refusals, waits and changes of breakers, also those by hand", .tags(.GA10))
    func events() async throws {
        let listener = Listener()
        let client = try makeClient {
            $0.resilience = .standard
            $0.telemetry.events = [listener]
        }
        stub.on(.get, "/x", always: .respond(.ok))
        try client.resilience.isolate(origin: "http://example.com")
        _ = try? await client.get("x")
        try client.resilience.reset(origin: "http://example.com")
        #expect(listener.texts == ["closed → isolated", "refused breaker isolated", "isolated → closed"])
    }

    private final class Listener: ServiceEventListener {
        private let kept = Guarded<[String]>([])
        var texts: [String] { kept.withLock { $0 } }

        func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal) {
            kept.withLock { $0.append("refused \(refusal.gate) \(refusal.reason)") }
        }

        func breakerChanged(_ change: BreakerChange) {
            kept.withLock { $0.append("\(change.from) → \(change.to)") }
        }
    }
}
