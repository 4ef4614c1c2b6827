import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import NIOPosix
import Testing

@Suite("Cancellation", .timeLimit(.minutes(1)))
struct CancellationTests {
    enum Stage: String, CaseIterable, Sendable {
        case beforeStart, queued, connecting, handshake, awaitingContinue, awaitingHead, partOfHead, readingBody
        case pausedBody, draining
    }

    @Test(
        "Cancelling a request throws CancellationError in each phase, and leaves nothing behind",
        .tags(.CA1, .CA2, .CA4, .CA5, .CA6, .CA8, .CA9, .CA12),
        arguments: Stage.allCases
    )
    func cancelledInEachPhase(stage: Stage) async throws {
        var options = LoopbackServer.Options()
        if stage == .connecting {
            options.backlog = 0
            options.acceptsConnections = false
        }
        try await withLoopbackServer(options) { server in
            server.onConnection { connection in
                if stage == .handshake { return try await connection.stall() }
                guard let head = try await connection.readRequestHead() else { return }
                if head.path == "/fine" {
                    try await connection.reply(200, body: "fine")
                    return
                }
                if stage == .partOfHead { try await connection.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2") }
                if stage == .readingBody { try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx") }
                if stage == .pausedBody {
                    try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
                    for _ in 0..<1000 { try await connection.send(ByteBuffer(repeating: 0x61, count: 65_536)) }
                }
                try await connection.stall()
            }
            let filler: (any Channel)? =
                stage == .connecting
                ? try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.1", port: server.port).get() : nil
            let scheme = stage == .handshake ? "https://localhost" : "http://127.0.0.1"
            let client = try ServiceClient(baseURL: "\(scheme):\(server.port)") {
                if stage == .queued { $0.pool.maximumPerOrigin = 1 }
            }
            var blocker: Task<Void, any Error>?
            if stage == .queued {
                blocker = Task { _ = try await client.get("/blocker") }
                try await server.waitForRequestHeads(count: 1)
            }
            let reached = Gate()
            let mayStart = Gate(isOpen: stage != .beforeStart)
            let task = Task {
                // A gate's wait would throw; the cancelled task has to call the client.
                while !mayStart.isOpen { await Task.yield() }
                var request = ServiceRequest.post("/", body: stage == .awaitingContinue ? .text("body") : .none)
                if stage == .awaitingContinue { request.options.continueTimeout = .seconds(50) }
                request.options.onInformational = { _ in reached.open() }
                let response = try await client.send(request)
                for try await _ in response.body {
                    reached.open()
                    if stage == .pausedBody { while !Task.isCancelled { await Task.yield() } }
                }
            }
            switch stage {
            case .beforeStart: break
            case .queued: try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
            case .connecting: try await eventually("the dial") { client.pool.snapshot().dialling == 1 }
            case .handshake: try await server.waitForConnections(count: 1)
            case .awaitingContinue, .awaitingHead, .draining: try await server.waitForRequestHeads(count: 1)
            case .partOfHead, .readingBody, .pausedBody: try await reached.wait()
            }
            let shutdown: Task<ShutdownReport, Never>? =
                stage == .draining ? Task { await client.shutdown(within: .seconds(30)) } : nil
            if stage == .draining { await Self.waitUntilDraining(client) }
            let start = ContinuousClock.now
            task.cancel()
            mayStart.open()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(ContinuousClock.now - start < .seconds(5))
            try await expectNothingLeft(stage, client, server, blocker: blocker)
            if let report = await shutdown?.value { #expect(report.isClean) }
            try await filler?.close()
            await client.shutdown(within: .zero)
            if stage != .connecting { try await server.waitForOpenConnections(count: 0) }
        }
    }

    private static func waitUntilDraining(_ client: ServiceClient) async {
        for await progress in client.shutdownProgress where progress.state != .running { return }
    }

    private func expectNothingLeft(
        _ stage: Stage, _ client: ServiceClient, _ server: LoopbackServer, blocker: Task<Void, any Error>?
    ) async throws {
        try await eventually("the pool to have no waiter") { client.pool.snapshot().waiting == 0 }
        blocker?.cancel()
        _ = await blocker?.result
        switch stage {
        case .beforeStart: #expect(server.connections.isEmpty)
        case .connecting, .handshake: return
        default:
            try await server.waitForOpenConnections(count: 0)
            #expect(server.requests.allSatisfy { $0.bodyLength == 0 })
            #expect(server.requests.count == 1)
        }
        try await eventually("the pool to be empty") { client.pool.snapshot().active == 0 }
        guard stage != .draining else { return }
        #expect(try await client.fetch("/fine").text == "fine")
    }

    @Test(
        "Cancelling during an upload ends the upload, cancels the producer and closes the connection", .tags(.CA7),
        arguments: [false, true])
    func cancelledUpload(isSendBufferFull: Bool) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard try await connection.readRequestHead() != nil else { return }
                if isSendBufferFull { try await connection.pauseReading() }
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            let counted = CountedChunks(of: 65_536)
            let handedOut = HandedOutChunks()
            let task = Task {
                try await client.post("/", body: isSendBufferFull ? .stream(counted) : .stream(handedOut))
            }
            try await server.waitForRequestHeads(count: 1)
            if isSendBufferFull {
                // The writer waits for the kernel and does not ask the producer.
                #expect(try await settled("the upload") { counted.bytesTaken } > 65_536)
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            if isSendBufferFull {
                let taken = counted.bytesTaken
                #expect(try await settled("the upload") { counted.bytesTaken } == taken)
            } else {
                try await handedOut.cancelled.wait()
            }
            try await eventually("the connection to be closed") { client.pool.snapshot().closed == ["cancelled": 1] }
            #expect(server.requests.allSatisfy { !$0.isComplete })
            await client.shutdown()
        }
    }

    @Test(
        "Cancelling while the transport dials for a resend throws CancellationError, and there is no third sending",
        .tags(.CA4))
    func cancelledResend() async throws {
        try await StalledNames.with { client, transport, names, server in
            server.respond { request in request.path == "/first" ? .reply(200, body: "x") : .close }
            async let first = client.fetch("/first")
            try await names.asked.wait()
            try await names.answer()
            _ = try await first
            names.asked.close()
            let task = Task { try await client.fetch("/victim") }
            try await names.asked.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            try await names.answer()
            try await eventually("the late connection in the pool") { transport.snapshot().idle == 1 }
            #expect(server.executions(of: "/victim") == 1)
        }
    }

    @Test("Cancelling after the response was read changes nothing", .tags(.CA13))
    func cancelledAfterwards() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x", framing: .chunked) }
            try await withServiceClient(server.baseURL) { client in
                let task = Task { try await client.fetch("/") }
                let before = try await task.value
                task.cancel()
                let after = try await task.value
                #expect(before.text == "x")
                #expect(after.text == "x")
                let next = try await client.fetch("/")
                #expect(next.isReused)
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("A request that is cancelled before its first byte leaves its connection usable", .tags(.CA14))
    func cancelledBeforeTheFirstByte() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.fetch("/")
                for _ in 1...50 {
                    let mayStart = Gate()
                    let task = Task {
                        while !mayStart.isOpen { await Task.yield() }
                        return try await client.fetch(.post("/never", body: .stream(CountedChunks(of: 1, limit: 1))))
                    }
                    task.cancel()
                    mayStart.open()
                    await #expect(throws: CancellationError.self) { _ = try await task.value }
                    #expect(try await client.fetch("/").isReused)
                }
                #expect(server.executions(of: "/never") == 0)
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test(
        "A response that is dropped unread releases its connection", .tags(.CA15), arguments: [false, true])
    func droppedResponse(hasBegunReading: Bool) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard try await connection.readRequestHead() != nil else { return }
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\nabc")
                try await connection.stall()
            }
            try await withServiceClient(server.baseURL) { client in
                func drop() async throws {
                    let response = try await client.get("/")
                    if hasBegunReading {
                        var iterator = response.body.makeAsyncIterator()
                        #expect(try await iterator.next() == ByteBuffer(string: "abc"))
                    }
                }
                try await drop()
                try await server.waitForOpenConnections(count: 0)
                try await eventually("the pool to be empty") { client.pool.snapshot().active == 0 }
                #expect(client.pool.snapshot().closed == ["bodyAbandoned": 1])
            }
        }
    }

    @Test(
        "A thousand tasks that are cancelled at random moments leave nothing behind, and the next request succeeds",
        .tags(.CA16),
        arguments: 1...4)
    func stress(round: Int) async throws {
        var random = SeededRandom.fromEnvironment("CA16 round \(round)")
        let delays = (0..<1000).map { _ in random.next(in: 0..<1_500_000) }
        let kinds = (0..<1000).map { _ in random.next(in: 0..<4) }
        let clock = ContinuousClock()
        try await withLoopbackServer { server in
            server.respond { request in
                let framing = request.path.hasSuffix("1") ? ScriptedResponse.Framing.chunks(of: 3) : .length
                return .reply(200, body: "\(request.bodyLength)\(request.path)", framing: framing)
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 32 }
            let answered = await withTaskGroup(of: Bool.self) { group in
                for index in 0..<1000 {
                    group.addTask {
                        let task = Task {
                            let body: RequestBody =
                                switch kinds[index] {
                                case 0: .none
                                case 1: .text("abc")
                                case 2: .stream(CountedChunks(of: 3, limit: 50))
                                default: .replayable { CountedChunks(of: 65_536, limit: 4) }
                                }
                            return try await client.fetch(.put("/\(index)", body: body)).text
                        }
                        // A random moment to cancel at. The test does not wait for an event here.
                        try? await clock.sleep(for: .microseconds(delays[index]))
                        task.cancel()
                        do {
                            let text = try await task.value
                            #expect(text.hasSuffix("/\(index)"))
                            return true
                        } catch is CancellationError {
                            return false
                        } catch {
                            Issue.record("neither answered nor cancelled: \(error)")
                            return false
                        }
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            print("CA16: \(answered) of 1000 answered")
            try await eventually("the pool to be quiet") {
                let snapshot = client.pool.snapshot()
                return snapshot.active == 0 && snapshot.waiting == 0 && snapshot.dialling == 0
            }
            #expect(try await client.fetch("/next").text == "0/next")
            let idle = client.pool.snapshot().idle
            try await server.waitForOpenConnections(count: idle)
            let report = await client.shutdown(within: .seconds(5))
            #expect(report.isClean)
            try await server.waitForOpenConnections(count: 0)
        }
    }
}
