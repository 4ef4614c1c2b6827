import Bowline
import BowlineTesting
import Foundation

/// What Bowline does about connections, shown against a server in this process: reuse, connections that the server
/// drops, a server that stalls, and a shutdown under load. At the end both sides compare what they have counted.
@main
enum Demo {
    static func main() async throws {
        let isConsistent = try await withLoopbackServer { server in
            serve(server)
            let client = try ServiceClient(baseURL: server.baseURL)
            let caller = Caller(client: client)

            try await reuse(caller)
            try await droppedWhileIdle(caller)
            try await droppedAtReuse(caller)
            try await stall(caller)
            try await drainUnderLoad(caller, server: server)

            try await server.waitForOpenConnections(count: 0)
            return Sums(ledger: caller.ledger, pool: client.pool.snapshot(), server: server).areRight()
        }
        print(isConsistent ? "\nBoth agree." : "\nThe counts differ: something is wrong.")
        exit(isConsistent ? 0 : 1)
    }

    /// The server's manners, good and bad.
    private static func serve(_ server: LoopbackServer) {
        server.respond { request in
            switch request.path {
            case "/hello": .reply(200, body: "hello")
            case "/work": .reply(200, body: "done").delayed(by: .milliseconds(40))
            // Answers, and soon drops the connection that is idle then.
            case "/last": .reply(200, body: "goodbye").thenClose(after: .milliseconds(5))
            // Drops every connection that it gets a second request on; on a new one it behaves.
            case "/forgetful": request.number > 1 ? .close : .reply(200, body: "hello, stranger")
            case "/stall": .stall
            default: .reply(404)
            }
        }
    }

    private static func reuse(_ caller: Caller) async throws {
        Table.title("One after another share a connection; at once, each has its own, and the newest idle one is next")
        for _ in 1...3 { await caller.call(.get, "/hello") }
        await withTaskGroup { group in
            for _ in 1...4 { group.addTask { await caller.call(.get, "/work") } }
        }
        await caller.call(.get, "/hello")
    }

    private static func droppedWhileIdle(_ caller: Caller) async throws {
        Table.title("A connection that the server drops while it is idle is noticed before anybody needs it")
        await caller.call(.get, "/last")
        try await eventually("the pool has noticed") { caller.client.pool.snapshot().closed["closedByPeer"] == 1 }
        await caller.call(.get, "/hello")
    }

    private static func droppedAtReuse(_ caller: Caller) async throws {
        Table.title("Dropped at the moment of reuse: a GET is sent again, once, on a new connection; a POST if allowed")
        await caller.call(.get, "/forgetful")
        await caller.call(.post, "/forgetful", body: .text("order"))
        await caller.call(.get, "/hello")
        await caller.call(.post, "/forgetful", body: .text("order")) { $0.idempotency = .idempotent }
    }

    private static func stall(_ caller: Caller) async throws {
        Table.title("A server that stalls: the timeout that ends the wait says its name")
        await caller.call(.get, "/stall") { $0.timeouts.responseHead = .milliseconds(300) }
        await caller.call(.get, "/hello")
    }

    private static func drainUnderLoad(_ caller: Caller, server: LoopbackServer) async throws {
        Table.title("A shutdown under load: 24 workers, told nothing, ask on until they are refused", hasRows: false)
        let before = server.requests.count
        let report = try await withThrowingTaskGroup { group in
            for _ in 1...24 {
                group.addTask { while await caller.call(.get, "/work", isShown: false) {} }
            }
            try await server.waitForRequests(count: before + 100)
            let report = await caller.client.shutdown(within: .seconds(5))
            try await group.waitForAll()
            return report
        }
        Table.connections(caller.ledger.entries.filter { !$0.isShown })
        print(
            "   report: \(report.drained) drained, \(report.forced.count) cut off, \(report.connectionsClosed)",
            "connections closed, \(report.isClean ? "clean" : "not clean")"
        )
    }
}
