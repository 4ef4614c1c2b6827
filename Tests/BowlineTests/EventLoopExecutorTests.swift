import Bowline
import BowlineTesting
import Foundation
import Synchronization
import Testing

@Suite("Tasks on the event loops' executors", .timeLimit(.minutes(1)))
struct EventLoopExecutorTests {
    @Test("a task on an event loop's executor gets its response without leaving the loop")
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

    @Test("tasks that yield until a response is there do not keep the loop from reading it")
    func yielding() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                let flag = Flag()
                let status = try await client.withEventLoopExecutor {
                    async let response = {
                        // Also when it fails: the loop below is to end.
                        defer { flag.isSet.store(true, ordering: .relaxed) }
                        return try await client.get("/").status.code
                    }()
                    while !flag.isSet.load(ordering: .relaxed) { await Task.yield() }
                    return try await response
                }
                #expect(status == 200)
            }
        }
    }

    @Test("tasks that wake each other without end do not keep the loop from reading")
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
