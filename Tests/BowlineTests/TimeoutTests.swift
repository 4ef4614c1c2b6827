import Bowline
import BowlineTesting
import NIOCore
import NIOPosix
import Testing

@Suite("Limits in time", .timeLimit(.minutes(1)))
struct TimeoutTests {
    private static let stalled: @Sendable (LoopbackConnection) async throws -> Void = { connection in
        _ = try await connection.readRequestHead()
        try await connection.stall()
    }

    private func expectNear(
        _ elapsed: Duration?, _ expected: Duration, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard let elapsed else {
            Issue.record("no elapsed time", sourceLocation: sourceLocation)
            return
        }
        // A deadline is noticed at most one sweep late.
        #expect(elapsed >= expected, sourceLocation: sourceLocation)
        #expect(elapsed <= expected + .milliseconds(10), sourceLocation: sourceLocation)
    }

    @Test("A peer that does not complete the TCP handshake causes connectTimeout after exactly that time", .tags(.TO1))
    func connectBlackhole() async throws {
        let clock = TestClock()
        var options = LoopbackServer.Options()
        options.backlog = 0
        options.acceptsConnections = false
        try await withLoopbackServer(options) { server in
            // The kernel's queue of such a listener holds one connection; the next one's SYN is dropped.
            let filler = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: server.port).get()
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.connect = .seconds(3)
            }
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await eventually("the dial") { client.pool.snapshot().dialling == 1 }
            }
            #expect(error.code == .connectTimeout)
            #expect(error.phase == .connecting)
            #expect(error.progress == .neverSent)
            #expect(error.attempts == 1)
            expectNear(error.elapsed, .seconds(3))
            try await eventually("the dial to be over") { client.pool.snapshot().dialling == 0 }
            try await filler.close()
            await client.shutdown()
        }
    }

    @Test(
        "A peer that accepts and never speaks TLS causes connectTimeout, and gets no byte of the request", .tags(.TO2))
    func silentHandshake() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let received = Guarded("")
            server.onConnection { connection in
                let bytes = try await connection.read(atLeast: 100)
                received.withLock { $0 = String(buffer: bytes) }
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: "https://localhost:\(server.port)") {
                $0.useOnly(clock)
                $0.timeouts.connect = .seconds(10)
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            }
            let error = try await clock.failure {
                try await client.fetch("/secret")
            } once: {
                try await eventually("the client's hello") { received.withLock { !$0.isEmpty } }
            }
            #expect(error.code == .connectTimeout)
            #expect(error.phase == .connecting)
            expectNear(error.elapsed, .seconds(10))
            try await server.waitForOpenConnections(count: 0)
            #expect(received.withLock { !$0.contains("secret") })
            await client.shutdown()
        }
    }

    @Test(
        "responseHead ends a request whose response head does not come in time after the request's end",
        .tags(.TO3, .TO8, .TO10), arguments: [false, true])
    func responseHead(hasPartOfHead: Bool) async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let isPartSent = Gate()
            server.onConnection { connection in
                _ = try await connection.readRequest()
                if hasPartOfHead { try await connection.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX") }
                isPartSent.open()
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.responseHead = .seconds(30)
            }
            // The 103 and the part of a head are one segment: a client that has seen the former has the latter.
            let isSeen = Gate(isOpen: !hasPartOfHead)
            let error = try await clock.failure {
                var request = ServiceRequest.get("/")
                request.options.onInformational = { _ in isSeen.open() }
                return try await client.fetch(request)
            } once: {
                try await isPartSent.wait()
                try await isSeen.wait()
            }
            #expect(error.code == .responseHeadTimeout)
            #expect(error.phase == .awaitingHead)
            #expect(error.progress == (hasPartOfHead ? .responseStarted : .ambiguous))
            #expect(error.attempts == 1)
            #expect(error.description.contains("phase: awaitingHead"))
            #expect(error.description.contains("after: 30 s"))
            expectNear(error.elapsed, .seconds(30))
            // TO8: the connection of a request that timed out is closed.
            try await server.waitForOpenConnections(count: 0)
            #expect(client.pool.snapshot().closed == ["timedOut": 1])
            await client.shutdown()
        }
    }

    @Test("The wait for the head begins when the request was sent, however slow its producer is", .tags(.TO3))
    func responseHeadBeginsAfterTheBody() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.responseHead = .seconds(5)
                $0.timeouts.bodyIdle = .seconds(5)
            }
            let chunks = HandedOutChunks()
            async let fetched = client.fetch(.post("/", body: .stream(chunks)))
            for round in 1...4 {
                chunks.give("x")
                try await eventually("a chunk") {
                    guard let request = server.requests.first else { return false }
                    return server.connections[0].bytesReceived >= request.head.utf8.count + 6 * round
                }
                clock.advance(by: .seconds(20))
                try await eventually("no timer that is due") { (clock.nextDeadline ?? .distantFuture) > clock.now }
            }
            chunks.hand.finish()
            #expect(try await fetched.text == "xxxx")
            await client.shutdown()
        }
    }

    @Test("Gaps in a response body shorter than bodyIdle pass, a longer one fails", .tags(.TO4))
    func bodyIdle() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let next = Gate()
            server.onConnection { connection in
                _ = try await connection.readRequest()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                for _ in 1...5 {
                    try await next.wait()
                    next.close()
                    try await connection.send("abcde")
                }
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.bodyIdle = .seconds(30)
            }
            let response = try await client.get("/")
            let count = Guarded(0)
            let error = try await clock.failure {
                for try await chunk in response.body {
                    #expect(chunk == ByteBuffer(string: "abcde"))
                    count.withLock { $0 += 1 }
                }
            } once: {
                for expected in 1...5 {
                    clock.advance(by: .seconds(20))
                    next.open()
                    try await eventually("a chunk") { count.withLock { $0 } == expected }
                }
            }
            #expect(error.code == .bodyIdleTimeout)
            #expect(error.phase == .receivingBody)
            #expect(error.progress == .responseStarted)
            #expect(try #require(error.elapsed) >= .seconds(130))
            #expect(try #require(error.elapsed) <= .seconds(131))
            try await server.waitForOpenConnections(count: 0)
            await client.shutdown()
        }
    }

    @Test(
        "Time in which the client does not read, because the reader is slow, does not count as the peer's idleness",
        .tags(.TO4))
    func pausedReader() async throws {
        let clock = TestClock()
        try await withLoopbackServer(.unixSocket) { server in
            let count = 4 << 20
            server.respond { _ in .reply(200, body: ByteBuffer(repeating: 0x61, count: count)) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.bodyIdle = .seconds(30)
            }
            let response = try await client.get("/")
            _ = try await settled("what the reader is sent") { 0 }
            for _ in 1...3 {
                clock.advance(by: .seconds(100))
                // The action of a due timer would end the server's connection.
                let open = try await settled("the connection") { server.openConnectionCount }
                #expect(open == 1)
            }
            #expect(try await response.body.collect(upTo: count).readableBytes == count)
            await client.shutdown()
        }
    }

    // MARK: Attempt and total

    enum Stage: String, CaseIterable, Sendable {
        case queued, dialling, sending, awaitingHead, receivingBody
    }

    @Test(
        "total, attempt and an inherited deadline end a request in each phase", .tags(.TO5, .TO10),
        arguments: Stage.allCases,
        [
            "total", "attempt", "inherited", "override",
        ])
    func wholeRequest(stage: Stage, limit: String) async throws {
        let clock = TestClock()
        let isDialling = stage == .dialling
        let events = RecordedEvents()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                if isDialling { return try await connection.stall() }
                guard try await connection.readRequestHead() != nil else { return }
                if stage == .receivingBody {
                    try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
                }
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: isDialling ? "https://localhost:\(server.port)" : server.baseURL) {
                $0.useOnly(clock)
                if limit == "total" { $0.timeouts.total = .seconds(7) }
                if limit == "attempt" { $0.timeouts.attempt = .seconds(7) }
                if limit == "override" { $0.timeouts.total = .seconds(70) }
                $0.pool.maximumPerOrigin = 1
                $0.telemetry.events = [events]
            }
            var blocker: Task<Void, any Error>?
            if stage == .queued {
                blocker = Task {
                    var request = ServiceRequest.get("/blocker")
                    request.options.timeouts.total = .unlimited
                    request.options.timeouts.attempt = .unlimited
                    _ = try await client.send(request)
                }
                try await server.waitForRequestHeads(count: 1)
            }
            let chunks = HandedOutChunks()
            var request = ServiceRequest.get("/")
            if stage == .sending { request.body = .stream(chunks) }
            if limit == "override" { request.options.timeouts.total = .seconds(7) }
            let sent = request
            let error = try await clock.failure {
                let deadline = limit == "inherited" ? 7 : 1000
                return try await Deadline.with(.after(.seconds(deadline), clock: clock)) {
                    try await client.fetch(sent)
                }
            } once: {
                switch stage {
                case .queued: try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
                case .dialling: try await server.waitForConnections(count: 1)
                case .sending, .awaitingHead: try await server.waitForRequestHeads(count: 1)
                case .receivingBody: try await events.wait(for: "head 200")
                }
            }
            // The attempt's limit ends with the response head: the body continues until the task's deadline.
            let isAttemptOver = limit == "attempt" && stage == .receivingBody
            #expect(error.code == (limit == "attempt" && !isAttemptOver ? .attemptTimeout : .deadlineExceeded))
            #expect(error.attempts == 1)
            let phase = try #require(error.phase)
            #expect(error.description.contains("phase: \(phase), attempt: 1, after: \(isAttemptOver ? 100 : 70)"))
            expectNear(error.elapsed, .seconds(isAttemptOver ? 1000 : 7))
            expectPlace(of: error, at: stage)
            blocker?.cancel()
            _ = await blocker?.result
            if stage != .dialling { try await server.waitForOpenConnections(count: 0) }
            #expect(client.pool.snapshot().waiting == 0)
            await client.shutdown(within: .zero)
        }
    }

    /// The error says how far the request got.
    private func expectPlace(of error: ServiceError, at stage: Stage) {
        switch stage {
        case .queued:
            #expect(error.phase == .queued)
            #expect(error.progress == .neverSent)
            #expect(error.message.contains("waiting for a connection"))
        case .dialling:
            #expect(error.phase == .queued || error.phase == .connecting)
            #expect(error.progress == .neverSent)
        case .sending:
            #expect(error.phase == .sending)
            #expect(error.progress == .ambiguous)
        case .awaitingHead:
            #expect(error.phase == .awaitingHead)
            #expect(error.progress == .ambiguous)
        case .receivingBody: #expect(error.progress == .responseStarted)
        }
    }

    @Test(
        "A body that takes longer than timeouts.attempt arrives whole; with .streaming also one that outlasts the total",
        arguments: [false, true], [false, true])
    func attemptEndsWithHead(isHTTP2: Bool, isStreaming: Bool) async throws {
        let clock = TestClock()
        try await withLoopbackServer(isHTTP2 ? .http2 : LoopbackServer.Options()) { server in
            let count = 4 << 20
            server.respond { _ in .reply(200, body: ByteBuffer(repeating: 0x61, count: count)) }
            let sent = SentFields(isMarking: false)
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.middleware.perAttempt = [sent]
                $0.timeouts.attempt = .seconds(5)
                $0.timeouts.total = .seconds(60)
                $0.http2.negotiation = isHTTP2 ? .http2Only : .http1Only
                $0.http2.keepAliveInterval = nil
            }
            let response = try await client.get("/") { if isStreaming { $0.timeouts = .streaming } }
            // The reader is slow, so the exchange is still open while time passes.
            _ = try await settled("what the reader is sent") { 0 }
            clock.advance(by: isStreaming ? .seconds(1000) : .seconds(59))
            let open = try await settled("the connection") { server.openConnectionCount }
            #expect(open == 1)
            #expect(try await response.body.collect(upTo: count).readableBytes == count)
            await client.shutdown()
            await sent.compare(with: server.requests)
        }
    }

    @Test("poolAcquire limits the wait for a connection, the dial included", .tags(.TO5), arguments: [true, false])
    func poolAcquire(isQueued: Bool) async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                if isQueued { _ = try await connection.readRequestHead() }
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: isQueued ? server.baseURL : "https://localhost:\(server.port)") {
                $0.useOnly(clock)
                $0.timeouts.poolAcquire = .seconds(4)
                $0.pool.maximumPerOrigin = 1
            }
            var blocker: Task<Void, any Error>?
            if isQueued {
                blocker = Task { _ = try await client.get("/blocker") }
                try await server.waitForRequestHeads(count: 1)
            }
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await eventually("a waiter with its deadline") {
                    client.pool.snapshot().waiting == 1
                        && clock.nextDeadline == MonotonicInstant(nanoseconds: 4_000_000_000)
                }
            }
            #expect(error.code == .poolAcquireTimeout)
            #expect(error.phase == (isQueued ? .queued : .connecting))
            #expect(error.progress == .neverSent)
            #expect(error.message.contains("poolAcquire"))
            expectNear(error.elapsed, .seconds(4))
            blocker?.cancel()
            _ = await blocker?.result
            await client.shutdown(within: .zero)
        }
    }

    @Test(
        "After a deadline has passed a request fails at once, without a dial", .tags(.TO6),
        arguments: [0, -1, -1_000_000_000_000])
    func deadlineInThePast(seconds: Int) async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError {
                    _ = try await Deadline.with(.after(.seconds(seconds))) { try await client.fetch("/") }
                }
                #expect(error.code == .deadlineExceeded)
                #expect(error.progress == .neverSent)
                #expect(client.pool.snapshot().opened == 0)
                #expect(client.pool.snapshot().dialling == 0)
            }
            #expect(server.connections.isEmpty)
        }
    }

    @Test("An inherited deadline shortens and never lengthens; the earlier of two nested ones counts")
    func inheritedDeadlines() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.onConnection(Self.stalled)
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.total = .seconds(9)
            }
            for (outer, inner, expected) in [(5, 100, 5), (100, 5, 5), (100, 50, 9), (9, 9, 9)] {
                let count = server.requests.count
                let error = try await clock.failure {
                    try await Deadline.with(.after(.seconds(outer), clock: clock)) {
                        try await Deadline.with(.after(.seconds(inner), clock: clock)) { try await client.fetch("/") }
                    }
                } once: {
                    try await server.waitForRequestHeads(count: count + 1)
                }
                #expect(error.code == .deadlineExceeded)
                expectNear(error.elapsed, .seconds(expected))
            }
            #expect(Deadline.current == nil)
            await client.shutdown()
        }
    }

    @Test("A request's own limit wins over the client's, whether shorter or longer", arguments: [nil, 2, 200])
    func overrides(seconds: Int?) async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.onConnection(Self.stalled)
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.responseHead = .seconds(30)
            }
            var request = ServiceRequest.get("/")
            if let seconds { request.options.timeouts.responseHead = .limited(.seconds(seconds)) }
            let sent = request
            let error = try await clock.failure {
                try await client.fetch(sent)
            } once: {
                try await server.waitForRequests(count: 0)
                try await server.waitForRequestHeads(count: 1)
            }
            #expect(error.code == .responseHeadTimeout)
            expectNear(error.elapsed, .seconds(seconds ?? 30))
            await client.shutdown()
        }
    }

    @Test("A request's limit of zero or less is refused by name before a connection is made", arguments: [0, -1])
    func badOverrides(seconds: Int) async throws {
        let changes: [(String, (inout RequestOptions) -> Void)] = [
            ("timeouts.poolAcquire", { $0.timeouts.poolAcquire = .limited(.seconds(seconds)) }),
            ("timeouts.responseHead", { $0.timeouts.responseHead = .limited(.seconds(seconds)) }),
            ("timeouts.bodyIdle", { $0.timeouts.bodyIdle = .limited(.seconds(seconds)) }),
            ("timeouts.attempt", { $0.timeouts.attempt = .limited(.seconds(seconds)) }),
            ("timeouts.total", { $0.timeouts.total = .limited(.seconds(seconds)) }),
            ("continueTimeout", { $0.continueTimeout = .seconds(seconds) }),
        ]
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                for (name, change) in changes {
                    var request = ServiceRequest.get("/")
                    change(&request.options)
                    let error = try await serviceError { [request] in _ = try await client.fetch(request) }
                    #expect(error.code == .invalidRequest)
                    #expect(error.message.contains("options.\(name)"))
                }
            }
            #expect(server.connections.isEmpty)
        }
    }

    @Test("A limit that races the response has exactly one outcome, and the next request succeeds", .tags(.TO7))
    func limitRacesResponse() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let gate = Gate()
            server.route(.get, "/race") { _ in .reply(200, body: "answer").held(by: gate) }
            server.respond { _ in .reply(200, body: "next") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.responseHead = .seconds(1)
            }
            var answers = 0
            for _ in 1...100 {
                gate.close()
                let task = Task { try await client.fetch("/race") }
                try await gate.waitForWaiters()
                async let opened: Void = gate.open()
                clock.advance(by: .seconds(1))
                await opened
                do {
                    let text = try await task.value.text
                    #expect(text == "answer")
                    answers += 1
                } catch let error as ServiceError {
                    #expect(error.code == .responseHeadTimeout)
                }
                #expect(try await client.fetch("/next").text == "next")
            }
            print("TO7: \(answers) of 100 races won by the response")
            await client.shutdown()
        }
    }

    @Test("Requests that have ended leave no timers", .tags(.TO9))
    func noTimersAreLeft() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            var client: ServiceClient? = try ServiceClient(baseURL: server.baseURL) { $0.clock = clock }
            for _ in 1...500 { _ = try await client?.fetch("/") }
            // At most one per event loop and one for the pool: none per request.
            #expect(clock.sleeperCount <= System.coreCount + 1)
            await client?.shutdown()
            client = nil
            try await eventually("the last timer to go") { clock.sleeperCount == 0 }
        }
    }
}
