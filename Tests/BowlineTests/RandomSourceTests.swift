import Bowline
import BowlineTesting
import Testing

@Suite("A program's own random source", .timeLimit(.minutes(1)))
struct RandomSourceTests {
    @Test(
        "Random numbers that are NaN, or outside 0 to 1, end no process: pool, retries and keys clamp them",
        arguments: [Double.nan, .infinity, -.infinity, 1e300, -1e300, 2, -1])
    func outside(number: Double) async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/retried", inOrder: [.reply(503), .reply(200)])
            server.route(.post, "/keyed", inOrder: [.reply(200)])
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.random = { number }
                $0.makesIdempotencyKeys = true
                $0.pool.minimumIdlePerOrigin = 1
                $0.retry.baseDelay = .milliseconds(1)
            }
            #expect(try await client.get("retried").status == .ok)
            #expect(try await client.post("keyed", body: .text("x")).status == .ok)
            #expect(client.configuration.random() == (number.isNaN ? 0 : min(max(number, 0), 1)))
            await client.shutdown(within: .seconds(1))
        }
    }
}
