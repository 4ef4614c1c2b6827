import Bowline
import BowlineTesting
import Foundation

/// Calls a faulty orders service with a typed client, and shuts the client down during a burst of orders. The service's
/// own count must show that it has taken each order exactly once.
@main
enum Demo {
    static func main() async throws {
        let isRight = try await withLoopbackServer { server in
            let service = OrderService()
            service.serve(server)
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.timeouts.attempt = .milliseconds(600)
                $0.middleware.perCall = [Reporter()]
                $0.retry.onDecision = { print("   … attempt \($0.attempt): \($0.cause), so \($0.verdict)") }
            }
            let orders = Orders(client: client)
            var placed = try await story(orders, service)
            placed += try await overHTTP2(service)
            placed += try await burst(orders, service, server)

            let ids = Set(placed).count
            print("\norders confirmed \(placed.count), distinct \(ids); the service: \(service.requests) requests,")
            print("\(service.keys) keys, \(service.executions) orders taken")
            return ids == placed.count && ids == service.executions && service.keys == ids && server.problems.isEmpty
        }
        print(isRight ? "Each order was taken exactly once." : "The counts differ: something is wrong.")
        exit(isRight ? 0 : 1)
    }

    private static func story(_ orders: Orders, _ service: OrderService) async throws -> [Int] {
        print("An order, and another on the same connection")
        var placed = [try await orders.place("rope").id, try await orders.place("rope").id]
        print("A compressed catalogue")
        print("   \(try await orders.catalogue().count) articles")
        print("A redirect to the first order")
        _ = try await orders.latest()
        let chapters: [(String, OrderService.Mood)] = [
            ("503 with Retry-After: 1", .busy),
            ("The order is taken, and the answer never comes: the same key again", .stalling),
            ("The connection is dropped while it is idle …", .droppingIdle),
            ("… and at the moment of reuse", .droppingReused),
        ]
        for (title, mood) in chapters {
            print(title)
            service.feel(mood)
            placed.append(try await orders.place("shackle").id)
            if mood == .droppingIdle {
                try await eventually("the pool has noticed") {
                    orders.client.pool.snapshot().closed["closedByPeer"] != nil
                }
                placed.append(try await orders.place("shackle").id)
            }
            print("   pool: \(orders.client.pool.snapshot())")
        }
        return placed
    }

    /// Calls the same service over HTTP/2, on connections that go away after 10 requests: 24 orders at once.
    private static func overHTTP2(_ service: OrderService) async throws -> [Int] {
        print("HTTP/2, from a server that goes away (GOAWAY) after every 10 requests: 24 orders at once")
        var options = LoopbackServer.Options.http2
        options.http2?.requestsPerConnection = 10
        return try await withLoopbackServer(options) { server in
            service.serve(server)
            return try await withServiceClient(server.baseURL) {
                $0.http2.negotiation = .http2Only
            } _: { client in
                let orders = Orders(client: client)
                let placed = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 1...24 { group.addTask { try await orders.place("cleat").id } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let shares = server.connections.map { "\($0.requests)" }.joined(separator: " + ")
                print("   \(placed.count) orders confirmed; requests by connection: \(shares)")
                return placed
            }
        }
    }

    /// Sends SIGTERM while 12 slow orders are in flight.
    private static func burst(_ orders: Orders, _ service: OrderService, _ server: LoopbackServer) async throws -> [Int]
    {
        print("SIGTERM in a burst of slow orders")
        service.feel(.slow)
        signal(SIGTERM, SIG_IGN)
        let (signals, arrived) = AsyncStream<Void>.makeStream()
        let source = DispatchSource.makeSignalSource(signal: SIGTERM)
        source.setEventHandler { arrived.yield() }
        source.resume()
        defer { source.cancel() }

        let before = server.requests.count
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 1...12 { group.addTask { try await orders.place("anchor").id } }
            try await server.waitForRequests(count: before + 12)
            kill(getpid(), SIGTERM)
            for await _ in signals { break }
            print("   \(await orders.client.shutdown(within: .seconds(5)))")
            do {
                _ = try await orders.place("anchor")
                print("   an order after the end was taken: wrong")
                exit(1)
            } catch let error as ServiceError where error.code == .shuttingDown {
                print("   an order after the end: refused")
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}
