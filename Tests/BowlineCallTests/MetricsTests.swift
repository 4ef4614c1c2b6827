import BowlineCore
import BowlineTesting
import Metrics
import MetricsTestKit
import Testing

@testable import BowlineCall

@Suite("Metrics", .timeLimit(.minutes(1)))
struct MetricsTests {
    private let backend = TestMetrics()
    private let stub = StubTransport()
    private let clock = TestClock()
    private let place = [("server.address", "api.example.com"), ("server.port", "443")]

    private func makeMetrics() throws -> ClientMetrics {
        try #require(withMetricsFactory(backend) { ClientMetrics() })
    }

    private func pipeline(_ metrics: ClientMetrics) throws -> Next {
        let road = TestRoad {
            $0.metrics = metrics
            $0.clock = clock
        }
        return try road.over(stub)
    }

    private func request(_ method: HTTPRequest.Method = .get, host: String = "api.example.com") throws -> ServiceRequest
    {
        var request = ServiceRequest(method: method, "/")
        request.url = try ServiceURL("https://\(host)/")
        return request
    }

    @Test(
        "Each attempt is one measurement in seconds of the client's clock, with method, place and status as dimensions")
    func duration() async throws {
        let metrics = try makeMetrics()
        stub.on(.get, "/") { [clock] call in
            clock.advance(by: .milliseconds(250))
            return .respond(call.attempt == 1 ? .serviceUnavailable : .ok)
        }
        for attempt in 1...3 {
            _ = try await pipeline(metrics)(request(), context: RequestContext(attempt: attempt))
        }
        let method = [("http.request.method", "GET")]
        let failed = try backend.expectTimer(
            "http.client.request.duration",
            method + place + [("http.response.status_code", "503"), ("error.type", "503")])
        let succeeded = try backend.expectTimer(
            "http.client.request.duration", method + place + [("http.response.status_code", "200")])
        #expect(failed.values == [250_000_000])
        #expect(succeeded.values == [250_000_000, 250_000_000])
        #expect(succeeded.displayUnit == .seconds)
    }

    @Test("Attempts in flight are counted until their response head arrives")
    func active() async throws {
        let metrics = try makeMetrics()
        let gate = Gate()
        stub.on(.get, "/", inOrder: [.respond(.ok).held(by: gate)], repeatsLast: true)
        let tasks = try (0..<2).map { _ in
            let request = try request()
            let next = try pipeline(metrics)
            return Task { _ = try await next(request, context: RequestContext()) }
        }
        try await gate.waitForWaiters(count: 2)
        let meter = try backend.expectMeter("http.client.active_requests", [("http.request.method", "GET")] + place)
        #expect(meter.lastValue == 2)
        gate.open()
        for task in tasks { try await task.value }
        #expect(meter.lastValue == 0)
    }

    @Test("A failure is recorded with its code; a cancellation is not an error")
    func failures() async throws {
        let metrics = try makeMetrics()
        stub.on(
            .get, "/",
            inOrder: [
                .fail(.connectionClosed, progress: .ambiguous), .respond { _ in throw CancellationError() },
            ])
        for _ in 1...2 {
            await #expect(throws: (any Error).self) {
                _ = try await pipeline(metrics)(request(), context: RequestContext())
            }
        }
        let method = [("http.request.method", "GET")]
        let label = "http.client.request.duration"
        #expect(try backend.expectTimer(label, method + place + [("error.type", "connectionClosed")]).values.count == 1)
        #expect(try backend.expectTimer(label, method + place).values.count == 1)
    }

    @Test("The number of methods and places is bounded, whatever requests are made")
    func bounds() async throws {
        let metrics = try makeMetrics()
        stub.on(nil, "/", always: .respond(.ok))
        for number in 0..<300 {
            let method = try #require(HTTPRequest.Method("BREW\(number)"))
            _ = try await pipeline(metrics)(request(method, host: "h\(number).example.com"), context: RequestContext())
        }
        let timers = backend.timers(label: "http.client.request.duration")
        // One for each place of its own, and one for the others.
        #expect(timers.count == ClientMetrics.maximumPlaces + 1)
        let methods = Set(timers.flatMap { $0.dimensions.filter { $0.0 == "http.request.method" }.map(\.1) })
        #expect(methods == ["_OTHER"])
        let shared = timers.first { $0.dimensions.contains { $0 == ("server.address", "_OTHER") } }
        #expect(shared?.values.count == 300 - ClientMetrics.maximumPlaces)
    }

    @Test("Series beyond the limit share one series, with OpenTelemetry's overflow dimension")
    func overflow() throws {
        let table = InstrumentTable<RequestSeries, Counter> { [backend] in
            Counter(label: "overflow", dimensions: $0, factory: backend)
        }
        let place = ServerPlace.other
        for status in 0..<(ClientMetrics.maximumSeries + 7) {
            table[RequestSeries(method: .get, place: place, status: status)].increment()
        }
        #expect(try backend.expectCounter("overflow", [("otel.metric.overflow", "true")]).values.count == 7)
        #expect(backend.counters(label: "overflow").count == ClientMetrics.maximumSeries + 1)
    }

    @Test("An instrument is made once for all attempts with the same dimensions")
    func madeOnce() async throws {
        let metrics = try makeMetrics()
        stub.on(.get, "/", always: .respond(.ok))
        for _ in 0..<5 { _ = try await pipeline(metrics)(request(), context: RequestContext()) }
        let series = RequestSeries(
            method: .get, place: metrics.place(try #require(try request().url?.origin)), status: 200)
        #expect(metrics.duration[series] === metrics.duration[series])
        #expect(backend.timers(label: "http.client.request.duration").count == 1)
    }

    @Test("without a metrics backend there are no metrics")
    func noBackend() {
        #expect(ClientMetrics() == nil)
        #expect(withMetricsFactory(NOOPMetricsHandler.instance) { ClientMetrics() } == nil)
    }
}
