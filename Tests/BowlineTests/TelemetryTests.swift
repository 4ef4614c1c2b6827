import BowlineTesting
import InMemoryTracing
import Metrics
import MetricsTestKit
import NIOCore
import Testing
import Tracing

@testable import Bowline

/// The reports of a whole client to tracers and metrics backends, over real sockets.
@Suite("Telemetry", .timeLimit(.minutes(1)))
struct TelemetryTests {
    private let tracer = InMemoryTracer()
    private let metrics = TestMetrics()

    private func withClient(
        configure: (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            let client = try withMetricsFactory(metrics) {
                try withTracer(tracer) {
                    try ServiceClient(baseURL: server.baseURL) {
                        $0.retry.baseDelay = .zero
                        $0.retry.throttledBaseDelay = .zero
                        configure(&$0)
                    }
                }
            }
            try await body(client, server)
            await client.shutdown()
        }
    }

    private func place(_ server: LoopbackServer) -> [(String, String)] {
        [("server.address", "127.0.0.1"), ("server.port", "\(server.port)")]
    }

    private func attribute(_ name: String, of span: FinishedInMemorySpan) -> String? {
        switch span.attributes[name]?.toSpanAttribute() {
        case .int32(let number): "\(number)"
        case .int64(let number): "\(number)"
        case .string(let text): text
        case .bool(let flag): "\(flag)"
        default: nil
        }
    }

    @Test("Without tracer, metrics backend and listeners, their parts of the client do not exist")
    func nothing() throws {
        let client = try ServiceClient()
        #expect(client.core.tracing == nil)
        #expect(client.core.metrics == nil)
        #expect(client.core.events == nil)
        try withMetricsFactory(metrics) {
            try withTracer(tracer) {
                let off = try ServiceClient {
                    $0.telemetry.isTracingEnabled = false
                    $0.telemetry.isMetricsEnabled = false
                }
                #expect(off.core.tracing == nil)
                #expect(off.core.metrics == nil)
                #expect(off.core.events == nil)
                let on = try ServiceClient()
                #expect(on.core.tracing != nil)
                #expect(on.core.metrics != nil)
                #expect(on.core.events != nil)
            }
        }
    }

    @Test(
        "Each attempt of a call has a span of its own, counts the attempts before it, and sends its own trace context")
    func retries() async throws {
        try await withClient { client, server in
            server.respond(inOrder: [.reply(503), .reply(502), .reply(200, body: "x")])
            _ = try await client.fetch("/users")
            let spans = tracer.finishedSpans
            #expect(spans.map { attribute("http.request.resend_count", of: $0) } == [nil, "1", "2"])
            #expect(spans.map { attribute("http.response.status_code", of: $0) } == ["503", "502", "200"])
            #expect(spans.map { attribute("network.protocol.version", of: $0) } == ["1.1", "1.1", "1.1"])
            #expect(spans.map { attribute("bowline.connection.reused", of: $0) } == ["false", "true", "true"])
            let key = try #require(HTTPField.Name(InMemoryTracer.spanIDKey))
            #expect(server.requests.map { $0[key] } == spans.map { $0.spanID })
            #expect(tracer.activeSpans.isEmpty)
        }
    }

    @Test("A derived client may switch spans off")
    func derived() async throws {
        try await withClient { client, server in
            server.respond { _ in .reply(200, body: "x") }
            let quiet = try client.with { $0.telemetry.isTracingEnabled = false }
            _ = try await quiet.fetch("/")
            #expect(tracer.finishedSpans.isEmpty)
            _ = try await client.fetch("/")
            #expect(tracer.finishedSpans.count == 1)
        }
    }

    @Test("Open connections are counted as active and idle, and timed when they close")
    func connections() async throws {
        try await withClient { client, server in
            let gate = Gate()
            server.route(.get, "/held") { _ in .reply(200, body: "x").held(by: gate) }
            let task = Task { try await client.fetch("/held") }
            try await server.waitForRequests(count: 1)
            let name = "http.client.open_connections"
            let active = try metrics.expectMeter(name, [("http.connection.state", "active")] + place(server))
            #expect(active.lastValue == 1)
            gate.open()
            _ = try await task.value
            let idle = try metrics.expectMeter(name, [("http.connection.state", "idle")] + place(server))
            #expect(active.lastValue == 0)
            #expect(idle.lastValue == 1)
            #expect(metrics.timers(label: "http.client.connection.duration").allSatisfy { $0.values.isEmpty })
            await client.shutdown()
            #expect(active.lastValue == 0)
            #expect(idle.lastValue == 0)
            #expect(try metrics.expectTimer("http.client.connection.duration", place(server)).values.count == 1)
        }
    }

    @Test("Requests that wait for a connection are counted, and timed when their wait ends")
    func queue() async throws {
        try await withClient {
            $0.pool.maximumPerOrigin = 1
        } _: { client, server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let tasks = (0..<3).map { number in Task { _ = try await client.fetch("/\(number)") } }
            try await server.waitForRequests(count: 1)
            try await eventually("two waiters") { client.pool.snapshot().waiting == 2 }
            let depth = try metrics.expectMeter("bowline.client.queued_requests", place(server))
            #expect(depth.lastValue == 2)
            gate.open()
            for task in tasks { try await task.value }
            #expect(depth.lastValue == 0)
            #expect(try metrics.expectTimer("bowline.client.queue.duration", place(server)).values.count == 3)
        }
    }

    @Test("Resends, retries and the remaining budget are counted")
    func resendsAndRetries() async throws {
        try await withClient {
            $0.retry.maximumAttempts = 2
        } _: { client, server in
            server.onConnection { connection in
                while let request = try await connection.readRequest() {
                    if request.path == "/dies", connection.number == 1 { return try await connection.closeNow() }
                    try await connection.reply(request.path == "/busy" ? 503 : 200, body: "x")
                }
            }
            _ = try await client.fetch("/")
            #expect(try await client.fetch("/dies").response.resends == 1)
            #expect(try await client.fetch("/busy").response.attempts == 2)
            #expect(try metrics.expectCounter("bowline.client.resends", place(server)).totalValue == 1)
            let name = "bowline.client.retries"
            let verdicts = ["retry", "attemptsExhausted"]
            for verdict in verdicts {
                let dimensions = place(server) + [("bowline.retry.verdict", verdict)]
                #expect(try metrics.expectCounter(name, dimensions).totalValue == 1)
            }
            let budget = try metrics.expectMeter("bowline.client.retry.budget", place(server))
            #expect((budget.lastValue ?? 0) > 0)
        }
    }

    @Test("A retry whose wait a shutdown ends is not counted, because it was never made")
    func abandonedRetry() async throws {
        let stub = StubTransport()
        stub.on(.get, "/", always: .respond(.badGateway))
        let client = try withMetricsFactory(metrics) {
            try ServiceClient(baseURL: "http://stub.invalid", transport: stub) {
                $0.retry.baseDelay = .seconds(20)
                $0.random = { 0.99 }
            }
        }
        let call = Task { try await client.get("/") }
        try await eventually("the decision") { metrics.meters(label: "bowline.client.retry.budget").count == 1 }
        await client.shutdown(within: .seconds(30))
        #expect(try await call.value.status == .badGateway)
        #expect(metrics.counters(label: "bowline.client.retries").allSatisfy { $0.values.isEmpty })
    }

    @Test("After a redirect, spans keep counting sendings, though attempts begin at 1 again")
    func redirected() async throws {
        try await withClient { client, server in
            server.route(.get, "/a", inOrder: [.reply(503), .reply(302, fields: [.location: "/b"])])
            server.route(.get, "/b", always: .reply(200, body: "x"))
            let response = try await client.fetch("/a").response
            #expect(response.attempts == 1)
            #expect(response.requestsSent == 3)
            let spans = tracer.finishedSpans
            #expect(spans.map { attribute("http.request.resend_count", of: $0) } == [nil, "1", "2"])
            #expect(spans.map { attribute("http.response.status_code", of: $0) } == ["503", "302", "200"])
        }
    }

    @Test(
        "The second sending after a 401 is an attempt: a span with its resend count, a measurement, a line",
        .tags(.RT19))
    func reauthenticated() async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(.get, "/") { call in
            clock.advance(by: .seconds(1))
            return .respond(call.attempt == 1 ? .unauthorized : .ok)
        }
        let tokens = AsyncStream<String> { stream in
            for token in ["t1", "t2"] { stream.yield(token) }
        }
        let client = try withTracer(tracer) {
            try withMetricsFactory(metrics) {
                try ServiceClient(baseURL: "http://stub.invalid", transport: stub) {
                    $0.useOnly(clock)
                    $0.authentication = BearerAuthentication {
                        var next = tokens.makeAsyncIterator()
                        return BearerToken(await next.next() ?? "")
                    }
                }
            }
        }
        let response = try await client.get("/")
        #expect(response.attempts == 2)
        #expect(response.requestsSent == 2)
        let spans = tracer.finishedSpans
        #expect(spans.map { attribute("http.response.status_code", of: $0) } == ["401", "200"])
        #expect(spans.map { attribute("http.request.resend_count", of: $0) } == [nil, "1"])
        #expect(spans.allSatisfy { $0.parentSpanID == nil })
        #expect(metrics.timers(label: "http.client.request.duration").map(\.values.count) == [1, 1])
        #expect(stub.calls.map { $0.fields[.authorization] } == ["Bearer t1", "Bearer t2"])
    }
}
