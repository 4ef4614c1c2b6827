import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Shutdown", .timeLimit(.minutes(1)))
struct ShutdownTests {
    @Test("An idle client shuts down at once and closes every connection", .tags(.LC1))
    func idleClient() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: server.baseURL)
            try await Requests.concurrently(5, client, server)
            let report = await client.shutdown(within: .seconds(5))
            #expect(report.isClean)
            #expect(report.drained == 0)
            #expect(report.connectionsClosed == 5)
            #expect(report.duration < .milliseconds(500))
            try await server.waitForOpenConnections(count: 0)
            #expect(server.connections.allSatisfy { $0.end == .clientFinished })
        }
    }

    @Test("A drain waits for requests in flight and for those that wait for a connection", .tags(.LC2, .LC6))
    func drainWaits() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "late").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 1 }
            async let first = client.get("/1").body.collect(upTo: 10)
            try await server.waitForRequests(count: 1)
            async let queued = client.get("/2").body.collect(upTo: 10)
            try await eventually("the second request to wait") { client.pool.snapshot().waiting == 1 }

            async let report = client.shutdown(within: .seconds(10))
            try await Self.waitUntil(.draining, client)
            let refused = await #expect(throws: ServiceError.self) { try await client.get("/3") }
            #expect(refused?.code == .shuttingDown)
            #expect(refused?.progress == .neverSent)
            gate.open()
            #expect(try await first == ByteBuffer(string: "late"))
            #expect(try await queued == ByteBuffer(string: "late"))
            let result = await report
            #expect(result.isClean)
            #expect(result.drained == 2)
            #expect(server.requests.count == 2)
        }
    }

    @Test("A body that is being read is in flight until its end", .tags(.LC2))
    func bodyBeingRead() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.answerInHalves(second: gate)
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            var body = response.body.makeAsyncIterator()
            #expect(try await body.next() == ByteBuffer(string: "hello"))
            async let report = client.shutdown(within: .seconds(10))
            try await Self.waitUntil(.draining, client)
            gate.open()
            var rest = ByteBuffer()
            while var chunk = try await body.next() { rest.writeBuffer(&chunk) }
            #expect(rest == ByteBuffer(string: "world"))
            let result = await report
            #expect(result.isClean)
            #expect(result.drained == 1)
        }
    }

    @Test("An unread response that arrived whole does not delay a drain")
    func unreadWholeBody() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "unread") }
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            let report = await client.shutdown(within: .seconds(10))
            #expect(report.isClean)
            #expect(report.duration < .seconds(5))
            #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "unread"))
        }
    }

    /// The result of a shutdown at its deadline: one call waits for a response head, another one for a connection.
    private struct CutOff {
        let report: ShutdownReport
        let waiting: (any Error)?
        let queued: (any Error)?
    }

    private func cutOff() async throws -> CutOff {
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 1 }
            var request = ServiceRequest.post("/orders/7?secret=1", body: .text("x"))
            request.options.targetTemplate = "/orders/{id}"
            async let waiting = Requests.failure { [request] in try await client.send(request) }
            try await server.waitForRequests(count: 1)
            async let queued = Requests.failure { try await client.get("/queued?secret=2") }
            try await eventually("the second request to wait") { client.pool.snapshot().waiting == 1 }

            let report = await client.shutdown(within: .milliseconds(50))
            let seen = CutOff(report: report, waiting: await waiting, queued: await queued)
            try await server.waitForOpenConnections(count: 0)
            return seen
        }
    }

    @Test("A shutdown reports the calls that it cuts off at its deadline, without their queries", .tags(.LC3))
    func reportOfCutOff() async throws {
        let report = try await cutOff().report
        #expect(!report.isClean)
        #expect(report.forced.count == 2)
        let cut = try #require(report.forced.first { $0.method == "POST" })
        #expect(cut.target == "/orders/{id}")
        #expect(cut.phase == .awaitingHead)
        #expect(cut.attempt == 1)
        #expect(cut.age >= .milliseconds(50))
        // A call without a template has its path, without the query.
        #expect(report.forced.contains { $0.method == "GET" && $0.target == "/queued" && $0.phase == .queued })
        #expect(report.duration < .seconds(2))
    }

    @Test("A call that a shutdown cuts off fails, and its error says how far it got", .tags(.LC3))
    func errorsOfCutOff() async throws {
        let cut = try await cutOff()
        let waiting = try #require(cut.waiting as? ServiceError)
        #expect(waiting.code == .forciblyClosed)
        #expect(waiting.progress == .ambiguous)
        let queued = try #require(cut.queued as? ServiceError)
        #expect(queued.code == .forciblyClosed)
        #expect(queued.progress == .neverSent)
    }

    @Test("A body that is cut off fails its reader", .tags(.LC3))
    func forcedWhileReading() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                .bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").thenStall()
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            async let failure = Requests.failure { try await response.body.collect(upTo: 100) }
            let report = await client.shutdown(within: .milliseconds(20))
            #expect(report.forced.map(\.phase) == [.receivingBody])
            let error = try #require(await failure as? ServiceError)
            #expect(error.code == .forciblyClosed)
            #expect(error.progress == .responseStarted)
        }
    }

    @Test("A hundred shutdowns at once, and later ones, give one result", .tags(.LC7))
    func manyShutdowns() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            let client = try ServiceClient(baseURL: server.baseURL)
            _ = try await client.get("/")
            let durations = await withTaskGroup(of: Duration.self) { group in
                for _ in 0..<100 { group.addTask { await client.shutdown(within: .seconds(1)).duration } }
                return await group.reduce(into: Set<Duration>()) { $0.insert($1) }
            }
            #expect(durations.count == 1)
            #expect(await client.shutdown(within: .zero).duration == durations.first)
        }
    }

    @Test("The earlier deadline wins")
    func earlierDeadlineWins() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let clock = TestClock()
            let client = try ServiceClient(baseURL: server.baseURL) { $0.useOnly(clock) }
            let began = clock.now
            async let failure = Requests.failure { try await client.get("/") }
            try await server.waitForRequests(count: 1)
            let long = Task { await client.shutdown(within: .seconds(600)) }
            try await eventually("the first deadline") { clock.nextDeadline == began.advanced(by: .seconds(600)) }
            let short = Task { await client.shutdown(within: .seconds(5)) }
            let isEarlier =
                (try? await eventually("the earlier deadline") {
                    clock.nextDeadline == began.advanced(by: .seconds(5))
                }) != nil
            #expect(isEarlier)
            // If the earlier deadline does not count, the later one ends the test.
            clock.advance(by: isEarlier ? .seconds(5) : .seconds(600))
            let report = await short.value
            #expect(report.forced.count == 1)
            #expect(report.duration == .seconds(5))
            #expect(await long.value.duration == .seconds(5))
            _ = await failure
        }
    }

    @Test("Cancelling the task that shuts down moves the deadline to now")
    func cancelledShutdown() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let client = try ServiceClient(baseURL: server.baseURL)
            async let failure = Requests.failure { try await client.get("/") }
            try await server.waitForRequests(count: 1)
            let shutdown = Task { await client.shutdown(within: .seconds(30)) }
            try await Self.waitUntil(.draining, client)
            shutdown.cancel()
            let report = await shutdown.value
            #expect(report.forced.count == 1)
            #expect(report.duration < .seconds(20))
            let error = await failure as? ServiceError
            #expect(error?.code == .forciblyClosed)
        }
    }

    @Test(
        "A shutdown while connecting or in the TLS handshake leaves no socket", .tags(.LC8), arguments: [false, true])
    func shutdownWhileDialling(hasWaiter: Bool) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in _ = try await connection.waitForClose() }
            let base = server.baseURL.replacing("http://", with: "https://")
            let client = try ServiceClient(baseURL: base)
            let task = Task { try await client.get("/") }
            try await server.waitForConnections(count: 1)
            if !hasWaiter {
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            let report = await client.shutdown(within: .milliseconds(20))
            #expect(report.forced.count == (hasWaiter ? 1 : 0))
            if hasWaiter {
                let error = await #expect(throws: ServiceError.self) { try await task.value }
                #expect(error?.code == .forciblyClosed)
            }
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test(
        "Each request that races a shutdown is answered or refused, and the server saw no refused one",
        .tags(.LC9, .LC15))
    func requestsRaceShutdown() async throws {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<20 {
            let pause = random.next(in: 0..<400)
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "ok") }
                let client = try ServiceClient(baseURL: server.baseURL)
                let shutdown = Task {
                    try await server.waitForRequests(count: pause)
                    return await client.shutdown(within: .seconds(10))
                }
                // Each path, and whether it was answered.
                let outcomes = try await withThrowingTaskGroup(of: [String: Bool].self) { group in
                    for worker in 0..<16 {
                        group.addTask { try await Self.send(200, as: worker, client) }
                    }
                    var outcomes: [String: Bool] = [:]
                    for try await some in group { outcomes.merge(some) { $1 } }
                    return outcomes
                }
                let answered = outcomes.values.count { $0 }
                let refused = Set(outcomes.filter { !$0.value }.keys)
                let report = try await shutdown.value
                #expect(report.isClean)
                #expect(report.drained <= answered)
                #expect(answered + refused.count == 16 * 200)
                try await server.waitForOpenConnections(count: 0)
                await server.stop()
                // The server's record: each answered request once, and no refused one.
                #expect(server.requests.count == answered)
                #expect(server.requests.allSatisfy { $0.isComplete })
                let seen = Set(server.requests.map(\.path))
                #expect(refused.isDisjoint(with: seen))
            }
        }
    }

    private static func send(_ count: Int, as worker: Int, _ client: ServiceClient) async throws -> [String: Bool] {
        var outcomes: [String: Bool] = [:]
        for index in 0..<count {
            let path = "/\(worker)/\(index)"
            do {
                let body = try await client.get(path).body.collect(upTo: 9)
                #expect(body == ByteBuffer(string: "ok"))
                outcomes[path] = true
            } catch let error as ServiceError where error.code == .shuttingDown {
                outcomes[path] = false
            }
        }
        return outcomes
    }

    @Test("Progress is a sequence that begins with the present state and ends with closed")
    func progress() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            async let answer = client.get("/")
            try await server.waitForRequests(count: 1)
            var steps: [ShutdownProgress] = []
            async let report = client.shutdown(within: .seconds(10))
            for await step in client.shutdownProgress {
                steps.append(step)
                if step.state == .draining { gate.open() }
            }
            _ = try await answer
            _ = await report
            #expect(steps.last?.state == .closed)
            #expect(steps.last?.inFlight == 0)
            #expect(steps.contains { $0.state == .draining })
        }
    }

    static func waitUntil(_ state: ShutdownProgress.State, _ client: ServiceClient) async throws {
        for await progress in client.shutdownProgress where progress.state == state { return }
        throw CancellationError()
    }
}
