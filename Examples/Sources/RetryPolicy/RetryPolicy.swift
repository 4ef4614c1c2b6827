import Bowline
import BowlineTesting
import Claims
import Synchronization

/// Shows which requests are retried, when, and when the client gives up:
/// `swift run --package-path Examples RetryPolicy`.
@main
enum RetryPolicy {
    private static let verdicts = Mutex<[RetryDecision.Verdict]>([])

    static func main() async throws {
        try await withLoopbackServer { server in
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.retry.maximumAttempts = 4
                $0.retry.baseDelay = .milliseconds(10)
                $0.retry.throttledBaseDelay = .milliseconds(20)
                $0.timeouts.attempt = .milliseconds(300)  // so that there is time for another one
                $0.timeouts.total = .seconds(5)
                $0.retry.onDecision = { decision in
                    print("    attempt \(decision.attempt): \(decision.cause), so \(decision.verdict)")
                    verdicts.withLock { $0.append(decision.verdict) }
                }
            }
            try await recovering(client, server)
            try await careful(client, server)
            try await keyed(client, server)
            try await down(client, server)
            await client.shutdown()
        }
    }

    /// One service with three faults: overload, silence, a broken gateway.
    private static func recovering(_ client: ServiceClient, _ server: LoopbackServer) async throws {
        print("A service that recovers")
        server.route(.get, "/stock", inOrder: [.reply(503), .stall, .reply(502), .reply(200, body: "12")])
        let response = try await client.get("stock")
        claim("the fourth attempt has the answer", response.attempts == 4)
        claim("that is the one the caller gets", try await response.text() == "12")
    }

    /// A request that may have been executed is not retried.
    private static func careful(_ client: ServiceClient, _ server: LoopbackServer) async throws {
        print("A POST that the service may have acted on")
        server.route(.post, "/payments", inOrder: [.reply(502), .reply(201)])
        let refused = try await client.post("payments", body: .text("10 crowns"))
        claim("is sent once", refused.status == .badGateway && refused.attempts == 1)
        claim("and the hook says why", verdicts.withLock { $0.last } == .giveUp(.notIdempotent))
    }

    /// With a key, the service recognises a repeated request, so a POST may be retried.
    private static func keyed(_ client: ServiceClient, _ server: LoopbackServer) async throws {
        print("The same, with an idempotency key")
        server.route(.post, "/orders", inOrder: [.reply(502), .reply(201)])
        let made = try await client.post("orders", body: .text("a rope")) { $0.makesIdempotencyKey = true }
        let keys = server.requests.filter { $0.path == "/orders" }.compactMap { $0.fields[.init("Idempotency-Key")!] }
        claim("is sent again", made.status == .created && made.attempts == 2)
        claim("with the same key", keys.count == 2 && keys.first == keys.last)
    }

    /// The retry budget of an origin prevents a flood of retries to a service that is down.
    private static func down(_ client: ServiceClient, _ server: LoopbackServer) async throws {
        print("A service that is down, and 200 calls")
        let careful = try client.with {
            $0.retry.baseDelay = .zero
            $0.retry.budget?.ratio = 0.1
            $0.retry.budget?.perSecond = 1
            $0.retry.budget?.window = .seconds(20)
            $0.retry.onDecision = nil
        }
        server.route(.get, "/health", always: .reply(502))
        for _ in 1...200 { _ = try await careful.get("health") }
        let extra = server.requests.count { $0.path == "/health" } - 200
        // A tenth of the calls, plus one retry for each second of the window.
        claim("get \(extra) requests beyond the 200", (1...40).contains(extra))
    }
}
