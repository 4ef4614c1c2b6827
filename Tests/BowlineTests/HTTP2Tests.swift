import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("HTTP/2 over sockets", .timeLimit(.minutes(1)))
struct HTTP2Tests {
    /// The server and the gate of a test: `/hold` answers when the gate is open.
    private struct Setting {
        let server: LoopbackServer
        let gate: Gate

        func waitForReset() async throws {
            try await eventually("a stream was reset") { server.requests.contains { $0.wasReset } }
        }
    }

    private func withClient(
        isEncrypted: Bool = true, streams: Int = 100, sent: SentFields = SentFields(),
        configure: @escaping (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, Setting) async throws -> Void
    ) async throws {
        var options: LoopbackServer.Options = isEncrypted ? .http2(LoopbackTLS()) : .http2
        options.http2?.maximumStreams = streams
        options.recordedBodyLimit = 1 << 24
        try await withLoopbackServer(options) { server in
            let gate = Gate()
            server.route(.get, "/hold", always: .reply(200, body: "held").held(by: gate))
            server.route(.post, "/echo") { request in
                let trailers = request.trailers ?? [:]
                return .reply(200, body: request.body, framing: .chunked, trailers: trailers)
            }
            server.respond { request in
                let count = Int(request.path.dropFirst("/bytes/".count)) ?? 0
                return .reply(200, body: ByteBuffer(repeating: 0x61, count: count))
            }
            try await withServiceClient(server.baseURL) {
                $0.middleware.perAttempt = [sent]
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                if !isEncrypted { $0.http2.negotiation = .http2Only }
                $0.retry.maximumAttempts = 1
                configure(&$0)
            } _: { client in
                try await body(client, Setting(server: server, gate: gate))
            }
            #expect(server.problems.isEmpty)
            await sent.compare(with: server.requests)
        }
    }

    @Test(
        "With TLS client and peer speak the protocol that the peer chooses; the response names it, and the stream",
        .tags(.H2u))
    func negotiated() async throws {
        try await withClient { client, _ in
            for number in 1...3 {
                let response = try await client.fetch("/bytes/10").response
                #expect(response.connection?.protocolVersion == .http2)
                #expect(response.connection?.stream == 2 * number - 1)
                #expect(response.connection?.requests == number)
            }
            #expect(client.pool.snapshot().opened == 1)
            #expect(client.pool.snapshot().idle == 1)
        }
    }

    @Test("A peer that chooses HTTP/1.1, or nothing, gets HTTP/1.1", .tags(.H2u), arguments: [["http/1.1"], []])
    func fallsBack(protocols: [String]) async throws {
        var tls = LoopbackTLS()
        tls.applicationProtocols = protocols
        try await withLoopbackServer(.tls(tls)) { server in
            server.route(.get, "/") { _ in .reply(200, body: "one") }
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            } _: { client in
                let response = try await client.fetch("/").response
                #expect(response.connection?.protocolVersion == .http1_1)
            }
        }
    }

    @Test("With http2Only a peer without HTTP/2 is a failed dial", .tags(.H2u))
    func insists() async throws {
        try await withLoopbackServer(.tls()) { server in
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                $0.http2.negotiation = .http2Only
                $0.retry.maximumAttempts = 1
            } _: { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .tlsHandshakeFailed)
                #expect(error.progress == .neverSent)
            }
        }
    }

    @Test("http1Only does not offer HTTP/2", .tags(.H2u))
    func offersNothing() async throws {
        try await withClient(configure: { $0.http2.negotiation = .http1Only }) { client, setting in
            let response = try await client.fetch("/bytes/1").response
            #expect(response.connection?.protocolVersion == .http1_1)
            #expect(setting.server.connections.map(\.applicationProtocol) == ["http/1.1"])
        }
    }

    @Test(
        "The error of a peer that answers HTTP/1.1 with HTTP/2's SETTINGS asks whether it speaks HTTP/2 only",
        arguments: [true, false])
    func speaksHTTP2Only(waitsForRequest: Bool) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                if waitsForRequest { _ = try await connection.readRequestHead() }
                try await connection.send("\0\0\0\u{4}\0\0\0\0\0")
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.retry = .never }
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.message.hasSuffix("does it speak HTTP/2 only?"), "\(error)")
            await client.shutdown(within: .zero)
        }
    }

    @Test("A cold burst of 100 requests makes one dial", .tags(.PO12), arguments: [true, false])
    func coldBurst(isEncrypted: Bool) async throws {
        try await withClient(isEncrypted: isEncrypted) { client, setting in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<100 { group.addTask { _ = try await client.fetch("/hold") } }
                try await setting.gate.waitForWaiters(count: 100)
                let snapshot = client.pool.snapshot()
                #expect(snapshot.streams == 100)
                #expect(snapshot.active == 1)
                #expect(snapshot.opened == 1)
                setting.gate.open()
                try await group.waitForAll()
            }
            #expect(setting.server.connections.count == 1)
        }
    }

    @Test(
        "With one stream allowed, the client makes four connections, and the other requests wait and are served",
        .tags(.H2g))
    func streamLimit() async throws {
        try await withClient(streams: 1) { client, setting in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await client.fetch("/hold").response.resends } }
                try await setting.gate.waitForWaiters(count: 4)
                try await eventually("the others wait") { client.pool.snapshot().waiting == 16 }
                setting.gate.open()
                // A peer that got more streams than it allows would have refused some.
                #expect(try await group.reduce(0, +) == 0)
            }
            #expect(setting.server.connections.count == 4)
            #expect(setting.server.requests.count == 20)
        }
    }

    @Test("A reader that stops blocks its own stream, and not the others", .tags(.H2j))
    func slowReader() async throws {
        let configure: @Sendable (inout ClientConfiguration) -> Void = {
            $0.http2.streamWindow = 65_535
            $0.http2.connectionWindow = 65_535
        }
        try await withClient(configure: configure) { client, _ in
            let slow = try await client.get("/bytes/3000000")
            var reader = slow.body.makeAsyncIterator()
            let first = try await reader.next()
            #expect((first?.readableBytes ?? 0) > 0)
            for _ in 0..<5 {
                #expect(try await client.fetch("/bytes/300000").text.utf8.count == 300_000)
            }
            var sum = first?.readableBytes ?? 0
            while let chunk = try await reader.next() { sum += chunk.readableBytes }
            #expect(sum == 3_000_000)
        }
    }

    @Test("A body and trailers pass in both directions", .tags(.H2s), arguments: [0, 1, 65_536, 3_000_000])
    func echo(size: Int) async throws {
        let sent = SentFields()
        try await withClient(sent: sent) { client, _ in
            let bytes = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
            var rest = bytes
            let (chunks, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
            while let piece = rest.readSlice(length: min(100_000, rest.readableBytes)), piece.readableBytes > 0 {
                continuation.yield(piece)
            }
            continuation.finish()
            let body = RequestBody.stream(chunks).trailers { HTTPFields.sum }
            sent.note(body, yields: bytes)
            let response = try await client.send(.post("/echo", body: body))
            #expect(try await response.body.collect(upTo: 1 << 24) == bytes)
            #expect(response.body.trailers?.map(\.name) == ["x-sum"])
            let whole = try await client.send(.post("/echo", body: .bytes(bytes)))
            #expect(try await whole.body.collect(upTo: 1 << 24) == bytes)
            #expect(client.pool.snapshot().opened == 1)
        }
    }

    @Test("A cancelled request resets its stream and leaves the connection in use", .tags(.CA8, .H2w))
    func cancelled() async throws {
        try await withClient { client, setting in
            let held = Task { try await client.fetch("/hold") }
            try await setting.gate.waitForWaiters(count: 1)
            held.cancel()
            await #expect(throws: CancellationError.self) { try await held.value }
            try await setting.waitForReset()
            #expect(try await client.fetch("/bytes/3").connectionID == 1)
            try await eventually("its place is free") { client.pool.snapshot().idle == 1 }
            #expect(client.pool.snapshot().opened == 1)
        }
    }

    @Test("A timeout resets its stream and leaves the connection in use", .tags(.TO3, .TO8))
    func timedOut() async throws {
        try await withClient(configure: { $0.timeouts.responseHead = .milliseconds(100) }) { client, setting in
            let error = try await serviceError { _ = try await client.fetch("/hold") }
            #expect(error.code == .responseHeadTimeout)
            #expect(error.progress == .ambiguous)
            #expect(try await client.fetch("/bytes/3").connectionID == 1)
            try await setting.waitForReset()
        }
    }

    @Test(
        "responseHead ends a request on time, and not with the next limit of another kind",
        .tags(.TO3)
    )
    func timedOutOnTime() async throws {
        let clock = TestClock()
        try await withClient(isEncrypted: false) {
            $0.useOnly(clock)
            $0.http2.keepAliveInterval = nil
            $0.timeouts.responseHead = .milliseconds(100)
        } _: { client, setting in
            let error = try await clock.failure {
                try await client.fetch("/hold")
            } once: {
                try await setting.gate.waitForWaiters(count: 1)
            }
            #expect(error.code == .responseHeadTimeout)
            #expect(error.elapsed == .milliseconds(100))
        }
    }

    @Test("A silent peer gets a PING and is closed on time, even if no other limit moves the clock", .tags(.H2n))
    func silentPeerOnTime() async throws {
        let clock = TestClock()
        let isAsked = Gate()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                var peer = try await RawHTTP2Connection(connection)
                peer.answersPings = false
                while true {
                    _ = try await peer.nextSection()
                    isAsked.open()
                }
            }
            try await withComparedHTTP2Client(server) {
                $0.useOnly(clock)
                $0.http2.keepAliveInterval = .seconds(30)
                $0.http2.keepAliveTimeout = .seconds(15)
            } _: { client, _ in
                let error = try await clock.failure {
                    try await client.fetch("/")
                } once: {
                    try await isAsked.wait()
                }
                #expect(error.code == .connectionClosed)
                #expect(error.message.contains("http2.keepAliveTimeout"))
                // The client's loop notes the peer's last bytes, and the sent PING, in its own time, perhaps one clock
                // step later.
                let elapsed = try #require(error.elapsed)
                #expect(elapsed >= .seconds(45))
                #expect(elapsed <= .seconds(90))
            }
        }
    }

    @Test("A body that is dropped resets its stream and leaves the connection in use", .tags(.KA8))
    func abandoned() async throws {
        try await withClient { client, setting in
            do {
                let response = try await client.get("/bytes/50000000")
                #expect(response.status == .ok)
            }
            try await setting.waitForReset()
            #expect(try await client.fetch("/bytes/3").connectionID == 1)
        }
    }

    @Test(
        "A peer that neither answers a PING nor sends anything is closed, and its requests' errors say so", .tags(.H2n))
    func silentPeer() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                // SETTINGS, and nothing more.
                try await connection.send(String(decoding: [0, 0, 0, 4, 0, 0, 0, 0, 0] as [UInt8], as: UTF8.self))
                try await connection.waitForClose()
            }
            try await withServiceClient(server.baseURL) {
                $0.http2.negotiation = .http2Only
                $0.http2.keepAliveInterval = .seconds(1)
                $0.http2.keepAliveTimeout = .milliseconds(100)
                $0.retry.maximumAttempts = 1
            } _: { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .connectionClosed)
                #expect(error.progress == .ambiguous)
                #expect(error.message.contains("http2.keepAliveTimeout"))
                #expect(client.pool.snapshot().closed == ["keepAliveFailed": 1])
            }
        }
    }

    @Test("A drain lets the streams end and then closes; it cuts nothing", .tags(.LC14))
    func drains() async throws {
        try await withClient { client, setting in
            let held = Task { try await client.fetch("/hold").text }
            try await setting.gate.waitForWaiters(count: 1)
            let shutdown = Task { await client.shutdown(within: .seconds(10)) }
            try await eventually("the drain has begun") {
                await Requests.failure { try await client.fetch("/bytes/1") } != nil
            }
            setting.gate.open()
            #expect(try await held.value == "held")
            let report = await shutdown.value
            #expect(report.isClean)
        }
    }

    @Test(
        "A drain serves every admitted request that waits for a stream or a dial, and none twice",
        arguments: 0..<10)
    func drainsWaiters(round: Int) async throws {
        try await withClient(streams: 2) { client, setting in
            let isHeld = round.isMultiple(of: 2)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<24 {
                    group.addTask {
                        var request = ServiceRequest.get(isHeld ? "/hold" : "/bytes/3")
                        request.options.allowsResend = false
                        return try await client.fetch(request).response.status.code
                    }
                }
                if isHeld {
                    try await setting.gate.waitForWaiters(count: 8)
                    try await eventually("the others wait") { client.pool.snapshot().waiting == 16 }
                }
                let shutdown = Task { await client.shutdown(within: .seconds(10)) }
                setting.gate.open()
                var statuses: [Int] = []
                while let result = await group.nextResult() {
                    switch result {
                    case .success(let status): statuses.append(status)
                    // The requests that came after the drain began.
                    case .failure(let error as ServiceError) where error.code == .shuttingDown: statuses.append(0)
                    case .failure(let error): throw error
                    }
                }
                #expect(await shutdown.value.isClean)
                return statuses
            }
            #expect(statuses.count == 24)
            #expect(statuses.filter { $0 == 200 }.count == setting.server.requests.count)
            if isHeld { #expect(!statuses.contains(0)) }
        }
    }

    @Test("A shutdown that runs out of time resets the streams that are left, and reports them", .tags(.LC3))
    func forced() async throws {
        try await withClient { client, setting in
            let held = Task { try await client.fetch("/hold").text }
            try await setting.gate.waitForWaiters(count: 1)
            let report = await client.shutdown(within: .zero)
            #expect(!report.isClean)
            let error = try await serviceError { _ = try await held.value }
            #expect(error.code == .forciblyClosed)
            #expect(error.progress == .ambiguous)
        }
    }

    @Test(
        "CONNECT and Upgrade are refused before anything is sent",
        arguments: [ServiceRequest.get("/").with("Upgrade", "websocket"), ServiceRequest(method: .connect, "/")])
    func refused(request: ServiceRequest) async throws {
        try await withClient { client, setting in
            let error = try await serviceError { _ = try await client.fetch(request) }
            #expect(error.code == .invalidRequest)
            #expect(error.progress == .neverSent)
            #expect(setting.server.requests.isEmpty)
            #expect(try await client.fetch("/bytes/3").connectionID == 1)
        }
    }

    @Test(
        "A connection carries its maximum of requests, and none fails, even if it must not be sent again",
        .tags(.KA18),
        arguments: [1, 3])
    func maximumUses(uses: Int) async throws {
        try await withClient(configure: { $0.pool.maximumUses = uses }) { client, setting in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        for _ in 0..<10 {
                            var request = ServiceRequest.get("/bytes/3")
                            request.options.allowsResend = false
                            _ = try await client.fetch(request)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(setting.server.requests.count == 160)
            #expect(setting.server.connections.allSatisfy { $0.requests <= uses })
        }
    }

    @Test(
        "A connection that ends before its first answer is not a reused one: its requests are not sent again",
        .tags(.RT8))
    func newConnectionLost() async throws {
        try await withClient { client, setting in
            let gate = Gate()
            setting.server.route(.get, "/lost", always: .close.held(by: gate))
            try await withThrowingTaskGroup(of: ServiceError?.self) { group in
                for _ in 0..<10 {
                    group.addTask { await Requests.failure { try await client.fetch("/lost") } as? ServiceError }
                }
                try await gate.waitForWaiters(count: 10)
                gate.open()
                for try await error in group {
                    #expect(error?.code == .connectionClosed)
                    #expect(error?.progress == .ambiguous)
                }
            }
            #expect(setting.server.requests.count == 10)
        }
    }

    @Test("The places of streams that were reset together become free, and the connection idle")
    func resetTogether() async throws {
        let configure: @Sendable (inout ClientConfiguration) -> Void = {
            $0.timeouts.responseHead = .milliseconds(100)
            $0.http2.keepAliveInterval = .seconds(1)
        }
        try await withClient(configure: configure) { client, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { _ = await Requests.failure { try await client.fetch("/hold") } } }
                try await group.waitForAll()
            }
            try await eventually("all places are free") {
                client.pool.snapshot().streams == 0 && client.pool.snapshot().idle == 1
            }
        }
    }

    @Test(
        "Hundreds of requests that are cancelled at random leave a connection that works, and no place taken",
        .tags(.CA16))
    func cancelledAtRandom() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        try await withClient(streams: 20) { client, _ in
            var random = SeededRandom(seed: seed)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<400 {
                    let yields = Int.random(in: 0..<200, using: &random)
                    group.addTask {
                        let request = Task { try await client.fetch(number % 3 == 0 ? "/bytes/200000" : "/bytes/100") }
                        for _ in 0..<yields { await Task.yield() }
                        if number % 2 == 0 { request.cancel() }
                        _ = try? await request.value
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await client.fetch("/bytes/3").text == "aaa", "seed \(seed)")
            try await eventually("all places are free, seed \(seed)") { client.pool.snapshot().streams == 0 }
            #expect(client.pool.snapshot().opened <= 4 + client.pool.snapshot().closed.values.reduce(0, +))
        }
    }
}

extension HTTPFields {
    fileprivate static var sum: HTTPFields {
        var fields: HTTPFields = [:]
        if let name = HTTPField.Name("X-Sum") { fields[name] = "1" }
        return fields
    }
}

extension ServiceRequest {
    fileprivate func with(_ name: String, _ value: String) -> ServiceRequest {
        var copy = self
        if let name = HTTPField.Name(name) { copy.fields[name] = value }
        return copy
    }
}
