import Bowline
import BowlineTesting
import Testing

/// The tests that Docs/Cookbook.md shows.
@Suite("Tests of the cookbook", .timeLimit(.minutes(1)))
struct CookbookTesting {
    private typealias Order = CookbookReading.Order
    private typealias RequestIDs = CookbookMiddleware.RequestIDs

    @Test func waitsAsLongAsTheServiceAsks() async throws {
        let (stub, clock) = (StubTransport(), TestClock())
        let busy = StubAnswer.respond(.tooManyRequests, fields: [.retryAfter: "20"])
        stub.on(.get, "/v1/orders/{id}", inOrder: [busy, .respond(.ok, body: #"{"id":42}"#)])
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) {
            $0.clock = clock
            $0.random = { 0 }  // no more than the service asks for
        }
        async let order = client.get("orders/42").decode(Order.self)
        let end = clock.now.advanced(by: .seconds(20))
        try await eventually("the wait for the service") { clock.nextDeadline == end }
        clock.advance(to: end)
        #expect(try await order.id == 42)
        #expect(stub.calls.map(\.attempt) == [1, 2])
        try stub.verify()
    }

    @Test func survivesALostConnection() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/v1/orders/42", inOrder: [.reset, .reply(200, body: #"{"id":42}"#)])
            try await withServiceClient(server.url("/v1"), configure: { $0.retry.baseDelay = .zero }) { client in
                let order = try await client.get("orders/42").decode(Order.self)
                #expect(order.id == 42)
            }
            #expect(server.requests.map(\.path) == ["/v1/orders/42", "/v1/orders/42"])
        }
    }

    @Test func namesEachRequest() async throws {
        let next = Next { request, _ in
            #expect(request.fields[RequestIDs.field] == "id-1")
            return ServiceResponse(status: .noContent)
        }
        let response = try await RequestIDs(makeID: { "id-1" })
            .intercept(.get("orders"), context: RequestContext(), next: next)
        #expect(response.status == .noContent)
    }
}
