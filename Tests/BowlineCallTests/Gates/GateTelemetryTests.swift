import BowlineCore
import BowlineTesting
import Logging
import Metrics
import MetricsTestKit
import Testing

@testable import BowlineCall

@Suite("Telemetry of gates", .timeLimit(.minutes(1)))
struct GateTelemetryTests {
    private let backend = TestMetrics()
    private let log = CollectedLog()
    private let place = [("server.address", "stub.invalid"), ("server.port", "80")]

    private func makeHarness(_ resilience: (inout ResilienceOptions) -> Void) throws -> GateHarness {
        let metrics = try #require(withMetricsFactory(backend) { ClientMetrics() })
        return GateHarness(resilience, metrics: metrics, logger: log.logger(.info))
    }

    private static func slow(_ options: inout ResilienceOptions) {
        options.rate = RateOptions()
        options.rate?.perSecond = 1
        options.rate?.burst = 1
        options.rate?.maximumWait = .zero
    }

    @Test("Refusals are counted by gate and reason, and waits are measured", .tags(.GA10))
    func refusalsAndWaits() async throws {
        let harness = try makeHarness { options in
            Self.slow(&options)
            options.rate?.maximumWait = .seconds(1)
        }
        harness.stub.on(.get, "/x", always: .respond(.ok))
        _ = try await harness.call()
        let waiting = try await harness.start()
        _ = try await harness.error { $0.policyScope = nil }
        try await harness.clock.waitForSleepers(count: 1)
        harness.clock.advanceToNextDeadline()
        _ = try await waiting.value
        let gate = place + [("bowline.gate", "rate")]
        let refusals = try backend.expectCounter(
            "bowline.client.gate.refusals", gate + [("bowline.gate.reason", "waitTooLong")])
        #expect(refusals.totalValue == 1)
        let waits = try backend.expectTimer("bowline.client.gate.wait.duration", gate)
        #expect(waits.values == [1_000_000_000])
        // A refused attempt is no request.
        let requests = backend.timers(label: "http.client.request.duration").flatMap(\.values)
        #expect(requests.count == 2)
    }

    @Test("The limit of concurrency and the breaker's state are measured for each scope", .tags(.GA10, .CO4))
    func states() async throws {
        let harness = try makeHarness { options in
            options = .standard
            options.concurrency?.limit = .adaptive(initial: 4, minimum: 1, maximum: 100)
            options.breaker?.minimumAttempts = 20
        }
        harness.stub.on(.get, "/x", always: .respond(.serviceUnavailable))
        for _ in 0..<20 {
            _ = try await harness.call { $0.policyScope = "search" }
            harness.clock.advance(by: .milliseconds(50))
        }
        let scope = place + [("bowline.scope", "search")]
        let limit = try backend.expectMeter("bowline.client.concurrency.limit", scope)
        #expect(try #require(limit.lastValue) < 4)
        #expect(try backend.expectMeter("bowline.client.breaker.state", scope).lastValue == 2)
        let changes = try backend.expectCounter(
            "bowline.client.breaker.changes", scope + [("bowline.breaker.state", "open")])
        #expect(changes.totalValue == 1)
    }

    @Test("The number of scope names in dimensions is bounded, and so is their length", .tags(.GA10))
    func bounds() async throws {
        let harness = try makeHarness(Self.slow)
        harness.stub.on(.get, "/x", always: .respond(.ok))
        for number in 0..<300 {
            let name = "\(number) \(String(repeating: "n", count: 200))"
            for _ in 0..<2 { _ = try await harness.error { $0.policyScope = name } }
        }
        let counters = backend.counters(label: "bowline.client.gate.refusals")
        #expect(counters.count == ClientMetrics.maximumScopeNames + 1)
        let names = counters.flatMap(\.dimensions).filter { $0.0 == "bowline.scope" }.map(\.1)
        #expect(names.allSatisfy { $0.count <= 64 })
        let other = try backend.expectCounter(
            "bowline.client.gate.refusals",
            place + [("bowline.scope", "_OTHER"), ("bowline.gate", "rate"), ("bowline.gate.reason", "waitTooLong")])
        #expect(other.totalValue == Int64(300 - ClientMetrics.maximumScopeNames))
    }

    @Test(
        "A refusal is logged as a warning, at most once in ten seconds for each origin; names are cut and escaped",
        .tags(.GA10))
    func refusalLines() async throws {
        let harness = try makeHarness(Self.slow)
        harness.stub.on(.get, "/x", always: .respond(.ok))
        let name = "search\n\(String(repeating: "x", count: 100))"
        _ = try await harness.call { $0.policyScope = name }
        for _ in 0..<5 { _ = try await harness.error { $0.policyScope = name } }
        harness.clock.advance(by: .seconds(10))
        _ = try await harness.call { $0.policyScope = name }
        _ = try await harness.error { $0.policyScope = name }
        let lines = log.lines.filter { $0.message.hasPrefix("refused by") }
        #expect(
            lines.map(\.message) == [
                "refused by the rate gate: waitTooLong",
                "refused by the rate gate: waitTooLong; 4 more since the last line",
            ])
        let first = try #require(lines.first)
        #expect(first.level == .warning)
        #expect(first.metadata["bowline.gate"] == "rate")
        #expect(first.metadata["bowline.gate.reason"] == "waitTooLong")
        #expect(first.metadata["bowline.gate.retry_after"] == "1.0 s")
        #expect(first.metadata["bowline.scope"] == "search?\(String(repeating: "x", count: 57))")
        #expect(first.metadata["server.address"] == "http://stub.invalid:80")
    }

    @Test("Changes of a breaker are logged", .tags(.GA10))
    func breakerLines() async throws {
        let harness = try makeHarness { options in
            options.breaker = BreakerOptions()
            options.breaker?.minimumAttempts = 2
            options.breaker?.probes = 1
        }
        harness.stub.on(
            .get, "/x", inOrder: [.respond(.badGateway), .respond(.badGateway), .respond(.ok)], repeatsLast: true)
        for _ in 0..<2 { _ = try await harness.call() }
        harness.clock.advance(by: .seconds(7))
        _ = try await harness.call()
        let lines = log.lines.filter { $0.message.hasPrefix("circuit breaker") }
        #expect(lines.map(\.level) == [.warning, .info, .info])
        #expect(lines[0].message.hasPrefix("circuit breaker open for "))
        #expect(lines[0].message.hasSuffix(", was closed"))
        #expect(lines[1].message == "circuit breaker half open, was open")
        #expect(lines[2].message == "circuit breaker closed, was half open")
        #expect(lines[0].metadata["bowline.breaker.state"] == "open")
    }
}
