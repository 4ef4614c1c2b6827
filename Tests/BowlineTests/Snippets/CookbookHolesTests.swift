import Bowline
import BowlineTesting
import Testing

@Suite("What the recipes do when a service is in trouble", .timeLimit(.minutes(1)))
struct CookbookHolesTests {
    @Test("A followed stream comes back after its service has restarted, also if the first reconnection is refused")
    func follow() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "/v1/orders/events",
            inOrder: [
                .respond(body: "retry: 0\nid: 7\ndata: a\n\n"),
                .fail(.connectionRefused, progress: .neverSent),
                .respond(body: "id: 8\ndata: b\n\n"), .respond(.noContent),
            ])
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) { $0.retry = .never }
        let seen = Guarded([String]())
        try await CookbookReading().follow(client) { event in seen.withLock { $0.append(event.data) } }
        #expect(seen.withLock { $0 } == ["a", "b"])
    }

    @Test("Requests that were never sent because they were invalid do not open a breaker")
    func breaker() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "/v1/orders",
            inOrder: [
                .fail(.invalidRequest, progress: .neverSent), .fail(.invalidRequest, progress: .neverSent),
                .respond(.ok),
            ])
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) {
            $0.retry = .never
            $0.middleware.perCall = [CookbookMiddleware.CircuitBreaker(failuresInARow: 2)]
        }
        for _ in 1...2 { _ = await Requests.failure { try await client.get("orders") } }
        #expect(try await client.get("orders").status == .ok)
    }
}
