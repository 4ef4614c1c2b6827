import Bowline
import BowlineTesting
import NIOCore
import Testing

/// One test for each row of the design's table of the pool's knobs, through the real client.
@Suite("Pool knobs", .timeLimit(.minutes(1)))
struct PoolKnobTests {
    @Test("isEnabled: false dials for each request, says Connection: close and closes after the response")
    func isEnabled() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) {
                $0.pool.isEnabled = false
            } _: { client in
                for number in 1...3 {
                    let fetched = try await client.fetch("/\(number)")
                    #expect(fetched.connectionID == number)
                    #expect(!fetched.isReused)
                }
                try await server.waitForOpenConnections(count: 0)
                #expect(server.requests.allSatisfy { $0[.connection] == "close" })
                #expect(server.connections.count == 3)
                let snapshot = client.pool.snapshot()
                #expect(snapshot.opened == 3)
                #expect(snapshot.closed == ["poolingDisabled": 3])
                #expect(snapshot.idle == 0)
            }
        }
    }

    @Test("idleTimeout: a timer closes a connection that has been unused for that time", arguments: [90, 7])
    func idleTimeout(seconds: Int) async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                if seconds != 90 { $0.pool.idleTimeout = .seconds(seconds) }
            }
            _ = try await client.fetch("/")
            try await clock.waitForSleepers(count: 1)
            clock.advance(by: .seconds(seconds) - .nanoseconds(1))
            #expect(try await client.fetch("/").isReused)
            // The time counts from its last use, not from its opening.
            try await clock.waitForSleepers(count: 1)
            clock.advance(by: .seconds(seconds) - .nanoseconds(1))
            #expect(client.pool.snapshot().idle == 1)
            try await drive(clock, by: .nanoseconds(1)) { client.pool.snapshot().idle == 0 }
            try await server.waitForOpenConnections(count: 0)
            #expect(client.pool.snapshot().closed == ["idleTimeout": 1])
            try await end(client, clock)
        }
    }

    @Test("idleTimeout: a connection in use never times out as idle")
    func idleTimeoutSparesUsed() async throws {
        let clock = TestClock()
        let gate = Gate()
        try await withLoopbackServer { server in
            server.route(.get, "/slow") { _ in .reply(200, body: "late").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.timeouts.total = nil
                $0.timeouts.responseHead = nil
            }
            async let slow = client.fetch("/slow")
            try await server.waitForRequests(count: 1)
            clock.advance(by: .seconds(1000))
            gate.open()
            #expect(try await slow.text == "late")
            #expect(client.pool.snapshot().closed["idleTimeout"] == nil)
            try await end(client, clock)
        }
    }

    @Test("maximumIdlePerOrigin: at capacity the least recently used connection closes and the returning one stays")
    func maximumIdlePerOrigin() async throws {
        let gates = (0..<3).map { _ in Gate() }
        try await withLoopbackServer { server in
            server.respond { request in
                .reply(200, body: "x").held(by: gates[Int(request.path.dropFirst()) ?? 0])
            }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumIdlePerOrigin = 2
            } _: { client in
                let tasks = (0..<3).map { index in Task { try await client.fetch("/\(index)").connectionID } }
                try await server.waitForRequests(count: 3)
                var connections: [Int] = []
                for index in 0..<3 {
                    gates[index].open()
                    connections.append(try await tasks[index].value)
                }
                try await server.waitForOpenConnections(count: 2)
                let snapshot = client.pool.snapshot()
                #expect(snapshot.idle == 2)
                #expect(snapshot.closed == ["idleCapacity": 1])
                // The newest two are left. The most recently used comes first.
                #expect(try await client.fetch("/0").connectionID == connections[2])
                let both = (0..<2).map { index in Task { try await client.fetch("/\(index)").connectionID } }
                var seen: Set<Int> = []
                for task in both { seen.insert(try await task.value) }
                #expect(!seen.contains(connections[0]))
            }
        }
    }

    @Test("maximumIdlePerOrigin: 0 keeps none")
    func noIdle() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumIdlePerOrigin = 0
            } _: { client in
                for number in 1...2 { #expect(try await client.fetch("/").connectionID == number) }
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().closed == ["idleCapacity": 2])
            }
        }
    }

    @Test("maximumIdle: over all origins the least recently used connection is closed first")
    func maximumIdle() async throws {
        try await withLoopbackServers(4) { servers in
            for server in servers { server.respond { _ in .reply(200, body: "x") } }
            let client = try ServiceClient { $0.pool.maximumIdle = 2 }
            // The order of use is 1 2 1 3 4: at each turn the longest unused connection is closed.
            for index in [0, 1, 0] { _ = try await client.fetch(servers[index].url("/")) }
            _ = try await client.fetch(servers[2].url("/"))
            try await servers[1].waitForOpenConnections(count: 0)
            #expect(servers[0].openConnectionCount == 1)
            _ = try await client.fetch(servers[3].url("/"))
            try await servers[0].waitForOpenConnections(count: 0)
            let snapshot = client.pool.snapshot()
            #expect(snapshot.idle == 2)
            #expect(snapshot.closed == ["totalIdleCapacity": 2])
            #expect(servers.map(\.openConnectionCount) == [0, 0, 1, 1])
            await client.shutdown()
        }
    }

    @Test("maximumPerOrigin: beyond it requests wait, and are served in the order of their arrival")
    func maximumPerOrigin() async throws {
        let gate = Gate()
        try await withLoopbackServer { server in
            server.route(.get, "/held") { _ in .reply(200, body: "x").held(by: gate) }
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 1
            } _: { client in
                let first = Task { try await client.fetch("/held") }
                try await server.waitForRequests(count: 1)
                var waiting: [Task<FetchedResponse, any Error>] = []
                for number in 1...6 {
                    waiting.append(Task { try await client.fetch("/\(number)") })
                    try await eventually("\(number) waiters") { client.pool.snapshot().waiting == number }
                }
                gate.open()
                _ = try await first.value
                for task in waiting { #expect(try await task.value.connectionID == 1) }
                #expect(server.requests.map(\.path) == ["/held", "/1", "/2", "/3", "/4", "/5", "/6"])
                #expect(server.connections.count == 1)
            }
        }
    }

    @Test("N + k requests at a limit of N use N connections, and none is lost", .tags(.PO1), arguments: [1, 2, 5])
    func limitIsKept(limit: Int) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = limit
            } _: { client in
                try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 0..<(limit * 20) { group.addTask { try await client.fetch("/\(number)").text } }
                    for try await text in group { #expect(text == "x") }
                }
                #expect(server.requests.count == limit * 20)
                #expect((1...limit).contains(server.connections.count))
            }
        }
    }

    @Test("maximumWaiting: one waiter more fails with poolSaturated at once", arguments: [0, 1, 3])
    func maximumWaiting(limit: Int) async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 1
                $0.pool.maximumWaiting = limit
            } _: { client in
                let first = Task { try await client.fetch("/first") }
                try await server.waitForRequests(count: 1)
                let waiting = (0..<limit).map { _ in Task { try await client.fetch("/waits") } }
                try await eventually("\(limit) waiters") { client.pool.snapshot().waiting == limit }
                let error = try await serviceError { _ = try await client.fetch("/toomany") }
                #expect(error.code == .poolSaturated)
                #expect(error.progress == .neverSent)
                gate.open()
                _ = try await first.value
                for task in waiting { _ = try await task.value }
                #expect(server.executions(of: "/toomany") == 0)
            }
        }
    }

    @Test(
        "maximumLifetime: a connection is retired within ± 10 % of it when it is next unused, and no request is cut",
        arguments: [(0.0, 90), (0.5, 100), (0.999999, 110)]
    )
    func maximumLifetime(random: Double, seconds: Int) async throws {
        let clock = TestClock()
        let gate = Gate()
        try await withLoopbackServer { server in
            server.route(.get, "/slow") { _ in .reply(200, body: "late").held(by: gate) }
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.random = { random }
                $0.pool.idleTimeout = nil
                $0.pool.maximumLifetime = .seconds(100)
                $0.timeouts.total = nil
                $0.timeouts.responseHead = nil
            }
            _ = try await client.fetch("/")
            clock.advance(by: .seconds(seconds) - .milliseconds(1))
            #expect(try await client.fetch("/").isReused)
            async let slow = client.fetch("/slow")
            try await server.waitForRequests(count: 3)
            clock.advance(by: .milliseconds(2))
            gate.open()
            let late = try await slow
            #expect(late.text == "late")
            #expect(late.isReused)
            try await server.waitForOpenConnections(count: 0)
            #expect(client.pool.snapshot().closed == ["lifetimeExceeded": 1])
            #expect(try await !client.fetch("/").isReused)
            try await end(client, clock)
        }
    }

    @Test("maximumLifetime: an unused connection is retired by a timer")
    func lifetimeOfIdle() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.random = { 0.5 }
                $0.pool.maximumLifetime = .seconds(30)
            }
            _ = try await client.fetch("/")
            try await clock.waitForSleepers(count: 1)
            try await drive(clock, by: .seconds(30)) { client.pool.snapshot().idle == 0 }
            try await server.waitForOpenConnections(count: 0)
            #expect(client.pool.snapshot().closed == ["lifetimeExceeded": 1])
            try await end(client, clock)
        }
    }

    @Test("maximumUses: a connection is retired after this number of requests", .tags(.KA18), arguments: [1, 3])
    func maximumUses(limit: Int) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumUses = limit
            } _: { client in
                for number in 0..<(3 * limit) {
                    let fetched = try await client.fetch("/")
                    #expect(fetched.connectionID == number / limit + 1)
                    #expect(fetched.response.connection?.requests == number % limit + 1)
                }
                try await server.waitForOpenConnections(count: 0)
                #expect(client.pool.snapshot().closed == ["usesExceeded": 3])
                #expect(server.connections.map(\.requests) == [limit, limit, limit])
            }
        }
    }

    @Test("minimumIdlePerOrigin: this number of unused connections is kept ready, and lost ones are replaced")
    func minimumIdlePerOrigin() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/close") { _ in .reply(200, fields: [.connection: "close"], body: "x") }
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) {
                $0.pool.minimumIdlePerOrigin = 3
            } _: { client in
                _ = try await client.fetch("/")
                // The ready connections came on top of the one in use, which then joined them.
                try await eventually("4 idle") { client.pool.snapshot().idle == 4 }
                _ = try await client.fetch("/close")
                #expect(client.pool.snapshot().idle == 3)
                _ = try await client.fetch("/close")
                try await eventually("3 idle again") { client.pool.snapshot().idle == 3 }
                // The server may not have accepted a connection that the client already has.
                try await server.waitForConnections(count: 5)
                #expect(server.connections.count == 5)
            }
        }
    }

    @Test("prewarm opens connections ahead, and the first requests use them")
    func prewarm() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            try await withServiceClient(server.baseURL) { client in
                try await client.pool.prewarm(origin: server.url("/some/path"), connections: 3)
                #expect(client.pool.snapshot().idle == 3)
                // Ready connections count.
                try await client.pool.prewarm(origin: server.baseURL, connections: 3)
                try await server.waitForConnections(count: 3)
                #expect(client.pool.snapshot().opened == 3)
                let tasks = (0..<3).map { _ in Task { try await client.fetch("/") } }
                try await server.waitForRequests(count: 3)
                gate.open()
                for task in tasks {
                    let facts = try #require(try await task.value.response.connection)
                    #expect(facts.requests == 1)
                    #expect(!facts.isReused)
                }
                #expect(server.connections.count == 3)
            }
        }
    }

    @Test("prewarm stops at the pool's limits, and says why a dial failed")
    func prewarmLimits() async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 2
            } _: { client in
                try await client.pool.prewarm(origin: server.baseURL, connections: 10)
                #expect(client.pool.snapshot().idle == 2)
                let negative = try await serviceError {
                    try await client.pool.prewarm(origin: server.baseURL, connections: -1)
                }
                #expect(negative.code == .invalidRequest)
                let malformed = try await serviceError { try await client.pool.prewarm(origin: "nope", connections: 1) }
                #expect(malformed.code == .invalidURL)
                await server.stop()
                try await eventually("no idle connection") { client.pool.snapshot().idle == 0 }
                let refused = try await serviceError {
                    try await client.pool.prewarm(origin: "http://127.0.0.1:\(server.port)", connections: 2)
                }
                #expect(refused.code == .connectionRefused)
            }
        }
    }

    @Test(
        "A preset has the design's numbers",
        arguments: [
            (PoolOptions.highThroughput, 50, Duration.seconds(120)), (.lowMemory, 2, .seconds(10)),
            (.manyDestinations, 1, .seconds(30)),
        ])
    func presets(preset: PoolOptions, maximumIdlePerOrigin: Int, idleTimeout: Duration) {
        #expect(preset.maximumIdlePerOrigin == maximumIdlePerOrigin)
        #expect(preset.idleTimeout == idleTimeout)
    }

    @Test("The defaults are the design's numbers")
    func defaults() {
        let defaults = PoolOptions()
        #expect(defaults.isEnabled)
        #expect(defaults.idleTimeout == .seconds(90))
        #expect(defaults.maximumIdlePerOrigin == 64)
        #expect(defaults.maximumIdle == 512)
        #expect(defaults.maximumPerOrigin == 256)
        #expect(defaults.maximumWaiting == 10_000)
        #expect(defaults.maximumLifetime == .seconds(600))
        #expect(defaults.maximumUses == nil)
        #expect(defaults.minimumIdlePerOrigin == 0)
    }

    @Test(
        "A preset keeps its number of unused connections",
        arguments: [(PoolOptions.highThroughput, 50), (.lowMemory, 2), (.manyDestinations, 1)]
    )
    func presetEffect(preset: PoolOptions, kept: Int) async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            try await withServiceClient(server.baseURL) {
                $0.pool = preset
            } _: { client in
                let tasks = (0..<kept + 3).map { _ in Task { try await client.fetch("/") } }
                try await server.waitForRequests(count: kept + 3)
                gate.open()
                for task in tasks { _ = try await task.value }
                try await server.waitForOpenConnections(count: kept)
                #expect(client.pool.snapshot().idle == kept)
                #expect(client.pool.snapshot().closed == ["idleCapacity": 3])
            }
        }
    }
}

/// Moves the clock once, then lets other threads run until the effect shows.
func drive(_ clock: TestClock, by duration: Duration, until condition: () -> Bool) async throws {
    clock.advance(by: duration)
    try await eventually("the clock's effect") { condition() }
}

/// Shuts down a client whose clock stands still.
func end(_ client: ServiceClient, _ clock: TestClock) async throws {
    async let report = client.shutdown(within: .seconds(1))
    #expect(await report.isClean)
}

/// Runs `body` with several servers.
func withLoopbackServers<Result>(
    _ count: Int, _ body: ([LoopbackServer]) async throws -> Result
) async throws -> Result {
    var servers: [LoopbackServer] = []
    for _ in 0..<count { servers.append(try await LoopbackServer.start()) }
    do {
        let result = try await body(servers)
        for server in servers { await server.stop() }
        return result
    } catch {
        for server in servers { await server.stop() }
        throw error
    }
}
