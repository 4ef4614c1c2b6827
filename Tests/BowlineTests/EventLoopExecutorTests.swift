import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Synchronization
import Testing

@Suite("Tasks on the event loops' executors", .timeLimit(.minutes(1)))
struct EventLoopExecutorTests {
    @Test("A task on an event loop's executor gets its response without leaving the loop")
    func staysOnLoop() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                let isOnLoop = try await client.withEventLoopExecutor {
                    let before = pthread_self()
                    for _ in 0..<50 { _ = try await client.get("/").body.collect(upTo: 10) }
                    return before == pthread_self()
                }
                #expect(isOnLoop)
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("A task that yields until its response arrives does not keep the loop from reading it")
    func yielding() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                let flag = Flag()
                let status = try await client.withEventLoopExecutor {
                    async let response = {
                        // Also on failure, so that the loop below ends.
                        defer { flag.isSet.store(true, ordering: .relaxed) }
                        return try await client.get("/").status.code
                    }()
                    // Ends with the suite's time limit, too: otherwise a loop that cannot read would never end.
                    while !flag.isSet.load(ordering: .relaxed), !Task.isCancelled { await Task.yield() }
                    return try await response
                }
                #expect(status == 200)
            }
        }
    }

    @Test("Tasks of several clients that compute and yield do not keep the loops from reading either")
    func yieldingInSeveralClients() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let baseURL = server.baseURL
            // More clients than loops: some share a loop.
            let statuses = try await withThrowingTaskGroup { group in
                for _ in 0..<(2 * System.coreCount + 2) {
                    group.addTask {
                        try await withServiceClient(baseURL) { client in
                            try await client.withEventLoopExecutor { try await Self.getWhileBusy(client) }
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count == 2 * System.coreCount + 2)
            #expect(statuses.allSatisfy { $0 == 200 })
        }
    }

    /// Computes between two yields for longer than the shortest pause, until the response arrives.
    private static func getWhileBusy(_ client: ServiceClient) async throws -> Int {
        let flag = Flag()
        async let response = {
            defer { flag.isSet.store(true, ordering: .relaxed) }
            return try await client.get("/").status.code
        }()
        while !flag.isSet.load(ordering: .relaxed), !Task.isCancelled {
            let end = ContinuousClock.now + .microseconds(40)
            while ContinuousClock.now < end {}
            await Task.yield()
        }
        return try await response
    }

    @Test("Tasks that wake each other without end do not keep the loop from reading")
    func wakingEachOther() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                let status = try await client.withEventLoopExecutor {
                    try await withThrowingTaskGroup { group in
                        let (pings, ping) = AsyncStream.makeStream(of: Void.self)
                        let (pongs, pong) = AsyncStream.makeStream(of: Void.self)
                        group.addTask {
                            for await _ in pings { pong.yield() }
                            return Int?.none
                        }
                        group.addTask {
                            ping.yield()
                            for await _ in pongs { ping.yield() }
                            return Int?.none
                        }
                        group.addTask { try await client.get("/").status.code }
                        let status = try await group.next()
                        ping.finish()
                        pong.finish()
                        try await group.waitForAll()
                        return status
                    }
                }
                #expect(status == 200)
            }
        }
    }
}

private final class Flag: Sendable {
    let isSet = Atomic(false)
}
