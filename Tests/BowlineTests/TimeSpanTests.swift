import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("What the limits cover, and the clock that they use", .timeLimit(.minutes(1)))
struct TimeSpanTests {
    /// Lets a request on when its gate is open (a blocker at once); retries once if the request fails.
    private struct Twice: ServiceMiddleware {
        let gate: Gate

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            if request.url?.path != "/blocker" { try await gate.wait() }
            do {
                return try await next(request, context: context)
            } catch is ServiceError {
                var context = context
                context.attempt += 1
                return try await next(request, context: context)
            }
        }
    }

    @Test("total covers admission to last byte: middleware, queue, attempts and body share one limit")
    func totalSpansEverything() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let gate = Gate()
            let blocker = Gate()
            let hasHead = Gate()
            server.route(.get, "/blocker") { _ in .reply(200, body: "x").held(by: blocker) }
            server.route(
                .get, "/total",
                inOrder: [
                    .stall, .bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx").thenStall(),
                ])
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.pool.maximumPerOrigin = 1
                $0.middleware.perCall = [Twice(gate: gate)]
            }
            var request = ServiceRequest.get("/total")
            request.options.timeouts.total = .seconds(50)
            request.options.timeouts.responseHead = .seconds(20)
            let sent = request
            async let occupied = client.fetch("/blocker")
            try await blocker.waitForWaiters()
            let task = Task {
                let response = try await client.send(sent)
                hasHead.open()
                return try await response.body.collect(upTo: 100)
            }
            try await gate.waitForWaiters()
            clock.advance(by: .seconds(10))
            gate.open()
            // In the queue until 20 s.
            try await eventually("the request to wait") { client.pool.snapshot().waiting == 1 }
            clock.advance(by: .seconds(10))
            blocker.open()
            _ = try await occupied
            // An attempt whose head does not come, until 40 s.
            try await server.waitForRequests(count: 2)
            try await Self.pass(20, on: clock)
            // Another attempt, whose body does not end.
            try await hasHead.wait()
            try await Self.pass(10, on: clock)
            let error = try await serviceError { _ = try await task.value }
            #expect(error.code == .deadlineExceeded)
            #expect(error.phase == .receivingBody)
            #expect(error.attempts == 2)
            #expect(error.message.contains("deadline"))
            #expect(clock.now <= MonotonicInstant(nanoseconds: 50_010_000_000))
            await client.shutdown()
        }
    }

    /// Moves the clock by a number of seconds, and by the little that a sweep of deadlines may be late.
    private static func pass(_ seconds: Int, on clock: TestClock) async throws {
        let end = clock.now.advanced(by: .seconds(seconds))
        try await eventually("a timer that is due by then") { (clock.nextDeadline ?? .distantFuture) <= end }
        clock.advance(by: .seconds(seconds))
    }

    @Test("attempt limits each attempt, total limits all of them together")
    func attemptBoundsEach() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.attempt = .seconds(5)
                $0.timeouts.total = .seconds(8)
                $0.middleware.perCall = [Twice(gate: Gate(isOpen: true))]
            }
            // The middleware's own limit would pass one second after the whole request's limit.
            let last = clock.now.advanced(by: .milliseconds(8010))
            let error = try await clock.failure(
                of: { try await client.fetch("/") }, noLaterThan: last
            ) {
                try await server.waitForRequests(count: 1)
                clock.advanceToNextDeadline()
                try await server.waitForRequests(count: 2)
            }
            // The second attempt had 5 s of its own, of which the whole request's 8 s left 3.
            #expect(error.code == .deadlineExceeded)
            #expect(error.attempts == 2)
            let elapsed = try #require(error.elapsed)
            #expect(elapsed > .milliseconds(2980))
            #expect(elapsed <= .milliseconds(3010))
            await client.shutdown()
        }
    }

    @Test(
        "Every limit uses the injected clock: on a clock that stands still no limit passes, however small",
        arguments: [false, true])
    func clockStandsStill(isEncrypted: Bool) async throws {
        let clock = TestClock()
        try await withLoopbackServer(isEncrypted ? .tls() : LoopbackServer.Options()) { server in
            let response = ScriptedResponse(200, body: "as slow as it likes", framing: .chunks(of: 1))
            server.respond { _ in .trickle(response, size: 40, every: .milliseconds(5)) }
            let tick = Duration.nanoseconds(1)
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.clock = clock
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                $0.timeouts.connect = tick
                $0.timeouts.poolAcquire = tick
                $0.timeouts.responseHead = tick
                $0.timeouts.bodyIdle = tick
                $0.timeouts.attempt = tick
                $0.timeouts.total = tick
                $0.pool.idleTimeout = tick
                $0.pool.maximumLifetime = tick
                $0.connection.discardTimeout = tick
            }
            for round in 1...2 {
                let fetched = try await client.fetch("/")
                #expect(fetched.text == "as slow as it likes")
                #expect(fetched.isReused == (round == 2))
                #expect(fetched.response.timings.started == clock.now)
            }
            // The same for a drain with a limit of zero: it is over when its request is.
            let last = Task { try await client.fetch("/") }
            try await server.waitForRequests(count: 3)
            let report = await client.shutdown(within: tick)
            #expect(report.isClean)
            #expect(report.duration == .zero)
            #expect(try await last.value.text == "as slow as it likes")
        }
    }

    @Test("Requests in flight share one timer for each event loop, whatever their number and their limits", .tags(.TO9))
    func oneTimerPerLoop() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.clock = clock }
            let tasks = (1...200).map { index in
                Task {
                    var request = ServiceRequest.get("/")
                    request.options.timeouts.total = .seconds(Double(1000 + index))
                    request.options.timeouts.responseHead = .seconds(Double(2000 - index))
                    return try await client.fetch(request)
                }
            }
            try await server.waitForRequests(count: 200)
            // One timer for each loop and one for the pool.
            try await eventually("the dials' timers to go") { clock.sleeperCount <= System.coreCount + 1 }
            #expect(client.pool.snapshot().active == 200)
            gate.open()
            for task in tasks { _ = try await task.value }
            await client.shutdown()
        }
    }

    @Test(
        "Deadline.current applies to requests of child tasks, and of tasks that a task starts, and not beyond its scope"
    )
    func inheritance() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                try await Deadline.with(.after(.zero)) { () async throws -> Void in
                    let codes = await withTaskGroup(of: ServiceError.Code?.self) { group in
                        for _ in 1...2 {
                            group.addTask {
                                (await Requests.failure { try await client.fetch("/child") } as? ServiceError)?.code
                            }
                        }
                        return await group.reduce(into: Set()) { $0.insert($1) }
                    }
                    #expect(codes == [.deadlineExceeded])
                    let started = Task { try await client.fetch("/started") }
                    #expect(try await serviceError { _ = try await started.value }.code == .deadlineExceeded)
                    #expect(try await Task.detached { try await client.fetch("/detached").text }.value == "x")
                }
                #expect(try await client.fetch("/after").text == "x")
            }
            #expect(Set(server.requests.map(\.path)) == ["/detached", "/after"])
        }
    }
}
