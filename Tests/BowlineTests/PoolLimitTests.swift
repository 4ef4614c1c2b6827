import Bowline
import BowlineTesting
import NIOCore
import Testing

/// The pool at its limits and under disorder. `PoolKnobTests` covers the knobs one by one.
@Suite("Pool limits", .timeLimit(.minutes(1)))
struct PoolLimitTests {
    @Test("A failed dial fails its waiter at once and frees its place for the next waiter", .tags(.PO2, .PO9))
    func failedDials() async throws {
        let server = try await LoopbackServer.start()
        await server.stop()
        let client = try ServiceClient(baseURL: server.baseURL) {
            $0.pool.maximumPerOrigin = 2
            $0.timeouts.poolAcquire = nil
            $0.timeouts.total = nil
        }
        try await withThrowingTaskGroup(of: ServiceError.self) { group in
            for _ in 0..<50 {
                group.addTask { try await serviceError { _ = try await client.fetch(.post("/", body: .text("x"))) } }
            }
            for try await error in group {
                #expect(error.code == .connectionRefused)
                #expect(error.progress == .neverSent)
                #expect(error.phase == .connecting)
            }
        }
        let snapshot = client.pool.snapshot()
        #expect(snapshot.waiting == 0)
        #expect(snapshot.dialling == 0)
        #expect(snapshot.active == 0)
        #expect(snapshot.opened == 0)
        await client.shutdown()
    }

    @Test("A wait for a connection that is too long fails, and the waiter takes no connection later", .tags(.PO3))
    func acquireTimeout() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.pool.maximumPerOrigin = 1
            }
            async let first = client.fetch("/first")
            try await server.waitForRequests(count: 1)
            let late = Task { try await client.fetch("/late") }
            try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
            clock.advance(by: .seconds(10))
            let error = try await serviceError { _ = try await late.value }
            #expect(error.code == .poolAcquireTimeout)
            #expect(error.progress == .neverSent)
            #expect(error.phase == .queued)
            #expect(error.elapsed == .seconds(10))
            gate.open()
            _ = try await first
            #expect(try await client.fetch("/next").isReused)
            #expect(server.executions(of: "/late") == 0)
            try await end(client, clock)
        }
    }

    @Test("A lease takes the most recently used connection", .tags(.PO5))
    func mostRecentlyUsed() async throws {
        try await withLoopbackServer { server in
            let gates = (0..<3).map { _ in Gate() }
            server.respond { request in
                let index = Int(request.path.dropFirst())
                return index.map { .reply(200, body: "x").held(by: gates[$0]) } ?? .reply(200, body: "x")
            }
            try await withServiceClient(server.baseURL) { client in
                let tasks = (0..<3).map { index in Task { try await client.fetch("/\(index)").connectionID } }
                try await server.waitForRequests(count: 3)
                var order: [Int] = []
                for index in [2, 0, 1] {
                    gates[index].open()
                    order.append(try await tasks[index].value)
                }
                for _ in 0..<3 { #expect(try await client.fetch("/x").connectionID == order[2]) }
            }
        }
    }

    @Test("The idle timer and a lease race for a connection: one wins, and no request is lost", .tags(.PO6))
    func idleTimerAgainstLease() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: request.path) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.pool.idleTimeout = .seconds(1)
                $0.timeouts.total = nil
                $0.timeouts.poolAcquire = nil
                $0.timeouts.connect = nil
                $0.timeouts.responseHead = nil
                $0.timeouts.bodyIdle = nil
            }
            for number in 0..<300 {
                async let fetched = client.fetch(.post("/\(number)", body: .text("x")))
                clock.advance(by: .seconds(1))
                #expect(try await fetched.text == "/\(number)")
                #expect(server.executions(of: "/\(number)") == 1)
            }
            let snapshot = client.pool.snapshot()
            #expect(snapshot.opened == snapshot.idle + snapshot.closed.values.reduce(0, +))
            try await end(client, clock)
        }
    }

    @Test("A dial that finishes after a returned connection served its request goes to the pool", .tags(.PO8))
    func lateDial() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                for _ in 0..<200 {
                    async let one = client.fetch("/1")
                    async let two = client.fetch("/2")
                    _ = try await (one, two)
                }
                try await eventually("no dial") { client.pool.snapshot().dialling == 0 }
                let snapshot = client.pool.snapshot()
                #expect(snapshot.opened == snapshot.idle)
                #expect(snapshot.closed.isEmpty)
                try await server.waitForOpenConnections(count: snapshot.idle)
            }
        }
    }

    @Test("Servers that close at random lose no GET, and the pool's counts are balanced at the end", .tags(.PO10))
    func churn() async throws {
        let random = SeededRandom.fromEnvironment().source()
        try await withLoopbackServer { server in
            server.respond { request in
                let reply = ScriptedReply.reply(200, body: request.path)
                switch random() {
                case ..<0.05: return reply.thenClose()
                case ..<0.10: return reply.thenReset()
                case ..<0.15: return .reply(200, fields: [.connection: "close"], body: request.path)
                case ..<0.18: return reply.followed(by: "junk")
                default: return reply
                }
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 16 }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for worker in 0..<64 {
                    group.addTask {
                        var failures = 0
                        for number in 0..<50 {
                            let path = "/\(worker)/\(number)"
                            do {
                                let fetched = try await client.fetch(path)
                                #expect(fetched.text == path)
                            } catch let error as ServiceError {
                                // A reset may destroy a response in flight; a resend may meet another reset.
                                #expect(error.code == .connectionClosed || error.code == .incompleteBody)
                                failures += 1
                            }
                        }
                        return failures
                    }
                }
                let failures = try await group.reduce(0, +)
                #expect(failures < 320)
            }
            let snapshot = client.pool.snapshot()
            #expect(snapshot.active == 0)
            #expect(snapshot.waiting == 0)
            #expect(snapshot.idle <= 16)
            await client.shutdown(within: .seconds(5))
            try await server.waitForOpenConnections(count: 0)
            let ended = client.pool.snapshot()
            #expect(ended.opened == ended.closed.values.reduce(0, +))
            #expect(ended.idle == 0)
            #expect(ended.active == 0)
            #expect(ended.dialling == 0)
        }
    }

    @Test("One slow host does not delay requests to another", .tags(.PO11))
    func slowHost() async throws {
        try await withLoopbackServers(2) { servers in
            servers[0].respond { _ in .stall }
            servers[1].respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient { $0.pool.maximumPerOrigin = 2 }
            let stuck = (0..<20).map { _ in Task { try await client.fetch(servers[0].url("/")) } }
            try await servers[0].waitForRequests(count: 2)
            for _ in 0..<20 { #expect(try await client.fetch(servers[1].url("/")).text == "x") }
            #expect(servers[0].connections.count == 2)
            for task in stuck { task.cancel() }
            for task in stuck { await #expect(throws: CancellationError.self) { try await task.value } }
            await client.shutdown()
        }
    }
}
