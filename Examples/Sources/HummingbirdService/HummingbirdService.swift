import Bowline
import BowlineTesting
import Claims
import Foundation
import Hummingbird
import Logging
import ServiceLifecycle

/// Runs a Hummingbird server and its client of another service in one group. SIGTERM arrives while requests are in
/// flight, and all of them are answered: `swift run --package-path Examples HummingbirdService`.
@main
enum HummingbirdService {
    static func main() async throws {
        try await withLoopbackServer { prices in
            // The other service answers when the gate is open.
            let gate = Gate()
            prices.route(.get, "/prices/rope", always: .reply(200, body: "12").held(by: gate))

            let client = try ServiceClient(baseURL: prices.url("prices"))
            let (ports, port) = AsyncStream<Int>.makeStream()
            let shop = Application(
                router: router(client),
                configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
                onServerRunning: { port.yield($0.localAddress?.port ?? 0) },
                logger: quiet
            )
            // A group ends its services in reverse order. The server ends first, because it still needs the client for
            // its requests in flight.
            let group = ServiceGroup(services: [client, shop], gracefulShutdownSignals: [.sigterm], logger: quiet)

            async let running: Void = group.run()
            for await port in ports {
                try await shoppers(count: 8, "http://127.0.0.1:\(port)", prices, gate)
                break
            }
            try await running
            print("The group has ended")
            claim("the client with it: it takes no requests any more", await isShutDown(client))
            try await prices.waitForOpenConnections(count: 0)
            claim("and its connections are closed", prices.openConnectionCount == 0)
        }
    }

    private static func router(_ client: ServiceClient) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("shop/{item}") { _, context in
            let item = try context.parameters.require("item")
            let price = try await client.get(PercentEncoding.segment(item)).expecting(.ok).text()
            return "\(item): \(price) crowns"
        }
        return router
    }

    /// Sends requests that are in flight when the signal arrives.
    private static func shoppers(
        count: Int, _ shop: String, _ prices: LoopbackServer, _ gate: Gate
    ) async throws {
        try await withServiceClient(shop, configure: { $0.retry = .never }) { shopper in
            try await withThrowingTaskGroup(of: String.self) { tasks in
                for _ in 1...count {
                    tasks.addTask { try await shopper.get("shop/rope").expecting(.ok).text() }
                }
                try await prices.waitForRequests(count: count)
                print("SIGTERM, with \(count) requests under way")
                kill(getpid(), SIGTERM)
                try await eventually("the server listens no more") {
                    do {
                        _ = try await shopper.get("health", fields: [.connection: "close"])
                        return false
                    } catch let error as ServiceError {
                        return error.code == .connectionRefused
                    }
                }
                gate.open()
                let answers = try await tasks.reduce(into: []) { $0.append($1) }
                claim("all \(count) are answered", answers == Array(repeating: "rope: 12 crowns", count: count))
            }
        }
    }

    private static func isShutDown(_ client: ServiceClient) async -> Bool {
        do {
            _ = try await client.get("rope")
            return false
        } catch {
            return (error as? ServiceError)?.code == .shuttingDown
        }
    }

    private static var quiet: Logger {
        var logger = Logger(label: "shop")
        logger.logLevel = .warning
        return logger
    }
}
