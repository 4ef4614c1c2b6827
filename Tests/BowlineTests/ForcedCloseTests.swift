import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import Testing

@Suite("A shutdown's deadline", .timeLimit(.minutes(1)))
struct ForcedCloseTests {
    enum Force: String, CaseIterable, Sendable {
        case deadline, secondShutdown, cancelledShutdown

        /// Closes the client by force in this way.
        func shutDown(_ client: ServiceClient) async throws -> ShutdownReport {
            if self == .deadline { return await client.shutdown(within: .zero) }
            // Long enough to differ from a forced close, and short enough for a fault to fail the test soon.
            let first = Task { await client.shutdown(within: .seconds(30)) }
            try await ShutdownTests.waitUntil(.draining, client)
            if self == .cancelledShutdown { first.cancel() } else { await client.shutdown(within: .zero) }
            let report = await first.value
            #expect(report.duration < .seconds(20), "the first deadline ended it")
            return report
        }
    }

    @Test(
        "A forced close between a new connection's lease and the first byte: forciblyClosed, neverSent, no leak",
        .tags(.LC3),
        arguments: Force.allCases
    )
    func betweenLeaseAndFirstByte(force: Force) async throws {
        try await StalledNames.with { client, transport, names, server in
            server.onConnection { connection in _ = try await connection.waitForClose() }
            let executor = HeldExecutor()
            let chunks = HandedOutChunks()
            chunks.give("payload")
            let task = Task(executorPreference: executor) {
                try await client.send(.post("/victim", body: .stream(chunks)))
            }
            try await names.asked.wait()
            try await eventually("the request to wait") { transport.snapshot().waiting == 1 && executor.isQuiet }
            executor.hold()
            try await names.answer()
            // The pool has leased the connection; the task that gets it has not run since.
            try await eventually("the lease") { transport.snapshot().active == 1 && executor.heldCount > 0 }
            // The client has a connection when the kernel has it; the server may take a moment to accept it.
            try await server.waitForConnections(count: 1)
            let report = try await force.shutDown(client)
            #expect(report.forced.map(\.target) == ["/victim"])
            #expect(report.connectionsClosed == 1)
            #expect(transport.openChannels == 0)
            executor.release()
            try await expectForciblyClosed(task, isReused: false)
            try await expectNothingLeft(transport, server, chunks)
            #expect(server.connections.map(\.bytesReceived) == [0])
        }
    }

    @Test(
        "A forced close between a waiter's lease and its first byte: forciblyClosed, neverSent, no leak", .tags(.LC3),
        arguments: Force.allCases
    )
    func betweenHandOverAndFirstByte(force: Force) async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            var options = TransportOptions()
            options.pool.maximumPerOrigin = 1
            let transport = try PooledTransport(options: options)
            let client = try ServiceClient(baseURL: server.baseURL, transport: transport)
            let first = Task { try await client.fetch("/first") }
            try await server.waitForRequests(count: 1)
            let executor = HeldExecutor()
            let chunks = HandedOutChunks()
            chunks.give("payload")
            let task = Task(executorPreference: executor) {
                try await client.send(.put("/victim", body: .stream(chunks)))
            }
            try await eventually("the second request to wait") {
                transport.snapshot().waiting == 1 && executor.isQuiet
            }
            executor.hold()
            gate.open()
            _ = try await first.value
            try await eventually("the hand-over") { transport.snapshot().active == 1 && executor.heldCount > 0 }
            _ = try await force.shutDown(client)
            #expect(transport.openChannels == 0)
            executor.release()
            try await expectForciblyClosed(task, isReused: true)
            try await expectNothingLeft(transport, server, chunks)
            #expect(server.requests.map(\.path) == ["/first"])
        }
    }

    private func expectForciblyClosed(_ task: Task<ServiceResponse, any Error>, isReused: Bool) async throws {
        let error = try await serviceError { _ = try await task.value }
        #expect(error.code == .forciblyClosed)
        #expect(error.progress == .neverSent)
        #expect(error.attempts == 1)
        #expect(error.connectionWasReused == isReused)
    }

    private func expectNothingLeft(
        _ transport: PooledTransport, _ server: LoopbackServer, _ chunks: HandedOutChunks
    ) async throws {
        let snapshot = transport.snapshot()
        #expect(snapshot.active + snapshot.idle + snapshot.dialling + snapshot.waiting == 0)
        #expect(snapshot.opened == snapshot.closed.values.reduce(0, +))
        #expect(transport.openChannels == 0)
        try await server.waitForOpenConnections(count: 0)
        // The producer of the body was cancelled.
        try await chunks.cancelled.wait()
    }

    @Test("A forced close during a resend keeps the first sending's ambiguous progress", .tags(.LC3))
    func duringResend() async throws {
        try await StalledNames.with { client, transport, names, server in
            server.respond { request in request.path == "/first" ? .reply(200, body: "x") : .close }
            async let first = client.fetch("/first")
            try await names.asked.wait()
            try await names.answer()
            _ = try await first
            names.asked.close()
            let task = Task { try await client.fetch("/victim") }
            // The name is resolved again, for the resend's new connection.
            try await names.asked.wait()
            #expect(server.executions(of: "/victim") == 1)
            let report = await client.shutdown(within: .zero)
            #expect(report.forced.count == 1)
            let error = try await serviceError { _ = try await task.value }
            #expect(error.code == .forciblyClosed)
            #expect(error.progress == .ambiguous)
        }
    }

    enum Stage: String, CaseIterable, Sendable {
        case middleware, queued, handshake, sending, awaitingContinue, awaitingHead, receivingBody

        var phase: RequestPhase {
            switch self {
            case .middleware: .pipeline
            case .queued: .queued
            case .handshake: .connecting
            case .sending, .awaitingContinue: .sending
            case .awaitingHead: .awaitingHead
            case .receivingBody: .receivingBody
            }
        }

        var progress: RequestProgress {
            switch self {
            case .middleware, .queued, .handshake: .neverSent
            case .sending, .awaitingContinue, .awaitingHead: .ambiguous
            case .receivingBody: .responseStarted
            }
        }
    }

    /// Delays requests for `/victim`.
    private struct Waiting: ServiceMiddleware {
        let gate: Gate
        let reached: Gate

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            if request.url?.path == "/victim" {
                reached.open()
                try await gate.wait()
            }
            return try await next(request, context: context)
        }
    }

    @Test(
        "A forced close fails each call with forciblyClosed; error and report name phase and attempt, in each phase",
        .tags(.LC3),
        arguments: Stage.allCases
    )
    func inEachPhase(stage: Stage) async throws {
        let waiting = Waiting(gate: Gate(isOpen: stage != .middleware), reached: Gate())
        try await withLoopbackServer { server in
            server.onConnection { connection in
                if stage == .handshake { return try await connection.stall() }
                guard try await connection.readRequestHead() != nil else { return }
                if stage == .receivingBody {
                    try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
                }
                try await connection.stall()
            }
            let scheme = stage == .handshake ? "https" : "http"
            let client = try ServiceClient(baseURL: "\(scheme)://127.0.0.1:\(server.port)") {
                $0.pool.maximumPerOrigin = 1
                $0.middleware.perAttempt = [waiting]
            }
            var blocker: Task<Void, any Error>?
            if stage == .queued {
                blocker = Task { _ = try await client.get("/blocker") }
                try await server.waitForRequestHeads(count: 1)
            }
            let chunks = HandedOutChunks()
            var request = ServiceRequest.post("/victim")
            if stage == .sending { request.body = .stream(chunks) }
            if stage == .awaitingContinue {
                request.body = .text("body")
                request.options.continueTimeout = .seconds(50)
            }
            let sent = request
            let hasHead = Gate()
            let task = Task {
                let response = try await client.send(sent)
                hasHead.open()
                _ = try await response.body.collect(upTo: 100)
            }
            switch stage {
            case .middleware: try await waiting.reached.wait()
            case .queued: try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
            case .handshake: try await server.waitForConnections(count: 1)
            case .sending, .awaitingContinue, .awaitingHead: try await server.waitForRequestHeads(count: 1)
            case .receivingBody: try await hasHead.wait()
            }
            // The server may have the request's head before the upload's task has asked for the body.
            if stage == .sending { try await chunks.asked.wait() }
            // The server may have the request before the client's loop has noted the sending: one turn of each loop.
            for loop in client.eventLoopExecutors { await withTaskExecutorPreference(loop) {} }
            let report = await client.shutdown(within: .zero)
            let cut = try #require(report.forced.first { $0.target == "/victim" })
            #expect(cut.method == "POST")
            #expect(cut.phase == stage.phase)
            #expect(cut.attempt == 1)
            #expect(!report.isClean)
            waiting.gate.open()
            let error = try await serviceError { try await task.value }
            #expect(error.code == .forciblyClosed)
            #expect(error.progress == stage.progress)
            #expect(error.attempts == 1)
            #expect(error.phase == stage.phase)
            #expect(error.message.contains("phase \(stage.phase), attempt 1"))
            if stage == .sending { try await chunks.cancelled.wait() }
            _ = await blocker?.result
            try await server.waitForOpenConnections(count: 0)
            #expect(server.requests.allSatisfy { $0.path != "/victim" || stage.progress != .neverSent })
        }
    }

    @Test(
        "After a forced close at a random moment, the server has seen no request that failed as neverSent",
        .tags(.LC3, .LC9, .LC10))
    func atRandomMoments() async throws {
        var random = SeededRandom.fromEnvironment()
        var counts: [String: Int] = [:]
        for _ in 0..<60 {
            let limit = random.next(in: 1..<17)
            let pause = random.next(in: 0..<100)
            let ended = try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "ok") }
                var options = TransportOptions()
                options.pool.maximumPerOrigin = limit
                let transport = try PooledTransport(options: options)
                let client = try ServiceClient(baseURL: server.baseURL, transport: transport)
                let outcomes = await withTaskGroup(of: (String, String).self) { group in
                    for index in 0..<100 {
                        group.addTask {
                            do {
                                let response = try await client.post("/\(index)", body: .text("x"))
                                _ = try await response.body.collect(upTo: 10)
                                return ("/\(index)", "answered")
                            } catch let error as ServiceError {
                                return ("/\(index)", "\(error.code) \(error.progress)")
                            } catch {
                                return ("/\(index)", "\(error)")
                            }
                        }
                    }
                    group.addTask {
                        while server.requests.count < pause, !Task.isCancelled { await Task.yield() }
                        await client.shutdown(within: .zero)
                        return ("", "")
                    }
                    return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                }
                #expect(transport.openChannels == 0)
                try await server.waitForOpenConnections(count: 0)
                // The server's scripts have read every byte that came.
                await server.stop()
                let paths = server.requests.map(\.path)
                let seen = Set(paths)
                for (path, outcome) in outcomes where !path.isEmpty {
                    switch outcome {
                    case "answered", "forciblyClosed responseStarted": #expect(seen.contains(path))
                    case "forciblyClosed neverSent", "shuttingDown neverSent": #expect(!seen.contains(path))
                    case "forciblyClosed ambiguous": break
                    default: Issue.record("\(path) ended with \(outcome)")
                    }
                }
                #expect(paths.count == seen.count)
                return outcomes
            }
            for (path, outcome) in ended where !path.isEmpty { counts[outcome, default: 0] += 1 }
        }
        print("forced at random moments: \(counts)")
    }

    @Test("A shutdown returns after it has closed the channels in a handshake as well: none stays open", .tags(.LC8))
    func dialsAreClosed() async throws {
        for _ in 0..<30 {
            try await withLoopbackServer { server in
                server.onConnection { connection in _ = try await connection.waitForClose() }
                var options = TransportOptions()
                // If HTTP/2 is possible, one dial comes first and the others wait for its result.
                options.http2.negotiation = .http1Only
                let transport = try PooledTransport(options: options)
                let client = try ServiceClient(baseURL: "https://127.0.0.1:\(server.port)", transport: transport)
                var tasks: [Task<ServiceResponse, any Error>] = []
                for _ in 0..<4 { tasks.append(Task { try await client.get("/") }) }
                try await server.waitForConnections(count: 4)
                #expect(transport.openChannels == 4)
                await client.shutdown(within: .zero)
                #expect(transport.openChannels == 0)
                for task in tasks {
                    let error = try await serviceError { _ = try await task.value }
                    #expect(error.code == .forciblyClosed)
                }
                try await server.waitForOpenConnections(count: 0)
            }
        }
    }

    @Test("A channel counts from its dial to its end, and a failed dial leaves no count")
    func channelCount() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let transport = try PooledTransport(options: TransportOptions())
            let client = try ServiceClient(baseURL: server.baseURL, transport: transport)
            _ = try await client.fetch("/")
            #expect(transport.openChannels == 1)
            await server.closeConnections()
            await server.stopListening()
            try await eventually("no channel") { transport.openChannels == 0 }
            #expect(try await serviceError { _ = try await client.fetch("/") }.code == .connectionRefused)
            try await eventually("no channel") { transport.openChannels == 0 }
            #expect(await client.shutdown().duration < .milliseconds(900))
        }
    }

    @Test("After the deadline connections get one more second to close, then the shutdown returns")
    func oneMoreSecond() async throws {
        let clock = TestClock()
        try await withLoopbackServer(.tls()) { server in
            let isServed = Gate()
            server.onConnection { connection in
                guard try await connection.readRequest() != nil else { return }
                // From here the peer reads nothing, not even a close_notify.
                try await connection.pauseReading()
                isServed.open()
                try await connection.stall()
            }
            var options = TransportOptions()
            options.clock = clock
            options.tls.trustRoots = .pem(TestCertificates.authority)
            let transport = try PooledTransport(options: options)
            let client = try ServiceClient(baseURL: server.baseURL, transport: transport) { $0.useOnly(clock) }
            let task = Task { try await client.get("/") }
            try await isServed.wait()
            let shutdown = Task { await client.shutdown(within: .seconds(3)) }
            try await ShutdownTests.waitUntil(.draining, client)
            // The deadline, then the second for closing. Limits of the transport sleep on the same clock.
            for seconds in [3, 4] {
                let due = MonotonicInstant(nanoseconds: Int64(seconds) * 1_000_000_000)
                try await eventually("a sleeper until \(seconds) s") { clock.nextDeadline == due }
                clock.advanceToNextDeadline()
            }
            let report = await shutdown.value
            #expect(report.duration == .seconds(4))
            #expect(try await serviceError { _ = try await task.value }.code == .forciblyClosed)
            try await eventually("the channel to close in the end") { transport.openChannels == 0 }
        }
    }
}
