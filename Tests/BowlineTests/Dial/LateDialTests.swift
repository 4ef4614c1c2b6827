import Bowline
import BowlineTesting
import BowlineTransport
import Testing

@Suite("While a dial hangs in its handshake", .timeLimit(.minutes(1)))
struct LateDialTests {
    @Test("The request after one that has waited for it in vain makes a dial of its own")
    func nextRequest() async throws {
        try await secondRequest(after: .attemptTimeout, at: 3, stillDialling: 1) { $0.timeouts.attempt = .seconds(3) }
    }

    @Test("Without timeouts.connect it ends with timeouts.poolAcquire")
    func unboundedDial() async throws {
        try await secondRequest(after: .poolAcquireTimeout, at: 2, stillDialling: 0) {
            $0.timeouts.poolAcquire = .seconds(2)
        }
    }

    /// The first connection leads nowhere. The first request fails after `seconds`, and the second succeeds.
    private func secondRequest(
        after code: ServiceError.Code, at seconds: Int64, stillDialling dialling: Int,
        configure: (inout ClientConfiguration) -> Void
    ) async throws {
        let clock = TestClock()
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200, body: "x") }
            try await Relay.with(on: "127.0.0.2", to: server.port, holding: 1) { relay, port in
                let client = try ServiceClient(baseURL: "https://127.0.0.2:\(port)") {
                    $0.useOnly(clock)
                    $0.tls.verification = .disabled
                    configure(&$0)
                }
                let limit = MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
                let error = try await clock.failure(of: { try await client.fetch("/") }, noLaterThan: limit) {
                    try await eventually("the first connection") { relay.peers.count == 1 }
                }
                #expect(error.code == code)
                #expect(error.progress == .neverSent)
                #expect(client.pool.snapshot().dialling == dialling)
                #expect(try await client.fetch("/").text == "x")
                #expect(relay.peers.count == 2)
                #expect(server.requests.map(\.path) == ["/"])
                await client.shutdown(within: .zero)
            }
        }
    }
}
