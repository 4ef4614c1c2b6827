import Bowline
import Logging
import ServiceLifecycle
import UnixSignals

/// The recipe of Docs/Cookbook.md about a service group; `CookbookShutdownTests` runs it.
struct CookbookShutdown {
    struct OrderSync: Service {
        let client: ServiceClient
        let changes: AsyncStream<Int>

        func run() async throws {
            for await id in changes.cancelOnGracefulShutdown() {
                _ = try await client.put("orders/\(id)/synced").expecting()
            }
        }
    }

    func group(
        _ client: ServiceClient, _ changes: AsyncStream<Int>, _ logger: Logger,
        signals: [UnixSignal] = [.sigterm, .sigint]
    ) -> ServiceGroup {
        let sync = OrderSync(client: client, changes: changes)
        return ServiceGroup(services: [client, sync], gracefulShutdownSignals: signals, logger: logger)
    }
}
