import Bowline
import BowlineTesting

/// Requests that several suites make.
enum Requests {
    /// Sends `count` requests at once, each on a connection of its own. The server must answer all of them.
    static func concurrently(_ count: Int, _ client: ServiceClient, _ server: LoopbackServer) async throws {
        let gate = Gate()
        server.route(.get, "/concurrent") { _ in .reply(200, body: "x").held(by: gate) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask { _ = try await client.get("/concurrent").body.collect(upTo: 100) }
            }
            try await gate.waitForWaiters(count: count)
            gate.open()
            try await group.waitForAll()
        }
    }

    /// The error that `operation` throws; nil if it does not throw.
    static func failure(_ operation: () async throws -> some Any) async -> (any Error)? {
        do {
            _ = try await operation()
            return nil
        } catch {
            return error
        }
    }
}
