import Bowline
import BowlineTesting
import BowlineTransport
import Testing

@Suite("While a dial hangs in its handshake", .timeLimit(.minutes(1)))
struct LateDialTests {
    @Test("The request after one that has waited for it in vain makes a dial of its own")
    func nextRequest() async throws {
        let clock = TestClock()
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200, body: "x") }
            try await Relay.with(on: "127.0.0.2", to: server.port, holding: 1) { relay, port in
                let client = try ServiceClient(baseURL: "https://127.0.0.2:\(port)") {
                    $0.useOnly(clock)
                    $0.tls.verification = .disabled
                    $0.timeouts.attempt = .seconds(3)
                }
                let error = try await clock.failure(
                    of: { try await client.fetch("/") }, noLaterThan: MonotonicInstant(nanoseconds: 3_000_000_000)
                ) {
                    try await eventually("the first connection") { relay.peers.count == 1 }
                }
                #expect(error.code == .attemptTimeout)
                #expect(error.progress == .neverSent)
                #expect(try await client.fetch("/").text == "x")
                #expect(relay.peers.count == 2)
                #expect(server.requests.map(\.path) == ["/"])
                #expect(client.pool.snapshot().dialling == 1)
                await client.shutdown(within: .zero)
            }
        }
    }

    @Test("Without timeouts.connect it ends with timeouts.poolAcquire")
    func unboundedDial() async throws {
        let clock = TestClock()
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200, body: "x") }
            try await Relay.with(on: "127.0.0.2", to: server.port, holding: 1) { relay, port in
                let client = try ServiceClient(baseURL: "https://127.0.0.2:\(port)") {
                    $0.useOnly(clock)
                    $0.tls.verification = .disabled
                    $0.timeouts.poolAcquire = .seconds(2)
                }
                let error = try await clock.failure(
                    of: { try await client.fetch("/") }, noLaterThan: MonotonicInstant(nanoseconds: 2_000_000_000)
                ) {
                    try await eventually("the first connection") { relay.peers.count == 1 }
                }
                #expect(error.code == .poolAcquireTimeout)
                #expect(client.pool.snapshot().dialling == 0)
                #expect(try await client.fetch("/").text == "x")
                #expect(relay.peers.count == 2)
                await client.shutdown(within: .zero)
            }
        }
    }
}
