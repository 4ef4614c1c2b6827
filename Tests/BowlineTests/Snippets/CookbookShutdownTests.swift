import Bowline
import BowlineTesting
import Logging
import ServiceLifecycle
import Testing

/// Runs the recipe of Docs/Cookbook.md about a service group.
@Suite("Recipes of the cookbook: shutdown", .timeLimit(.minutes(1)))
struct CookbookShutdownTests {
    @Test("A group that ends lets the call in flight finish, and then ends the client")
    func group() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.route(.put, "/orders/{id}/synced") { _ in .reply(204).held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            let (changes, source) = AsyncStream<Int>.makeStream()
            let group = CookbookShutdown().group(client, changes, Logger(label: "cookbook"), signals: [])
            async let running: Void = group.run()
            source.yield(7)
            try await server.waitForRequests(count: 1)
            await group.triggerGracefulShutdown()
            gate.open()
            try await running
            #expect(server.requests.map(\.path) == ["/orders/7/synced"])
            let error = await Requests.failure { try await client.get("orders") }
            #expect((error as? ServiceError)?.code == .shuttingDown)
            let report = await client.shutdown()
            #expect(report.isClean)
        }
    }
}
