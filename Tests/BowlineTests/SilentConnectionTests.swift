import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Unused connections that have died silently. Either the path has forgotten them (a NAT, a failover, a stopped
/// process), or the peer has, and resets each connection at its next byte.
@Suite("Silent connections (HTTP/1.1)", .timeLimit(.minutes(1)))
struct SilentConnectionTests {
    enum Death: Sendable {
        /// No byte comes back.
        case silence
        /// A reset answers the next byte.
        case reset
    }

    private static let count = 8

    /// Runs `body` with a client that has eight unused connections, all of them dead; new ones work.
    private func withDeadConnections(
        _ death: Death, isEncrypted: Bool = false, _ configure: (inout ClientConfiguration) -> Void,
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        let all = Gate()
        try await withLoopbackServer(isEncrypted ? .tls() : LoopbackServer.Options()) { server in
            server.onConnection { connection in
                guard connection.number <= Self.count else { return try await connection.serveRequests() }
                guard try await connection.readRequest() != nil else { return }
                try await all.wait()
                try await connection.reply(200, body: "x")
                switch death {
                case .silence: try await connection.stall()
                case .reset:
                    _ = try await connection.read()
                    try await connection.reset()
                }
            }
            server.respond { _ in .reply(200, body: "new") }
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                $0.retry.baseDelay = .zero
                configure(&$0)
            } _: { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<Self.count { group.addTask { _ = try await client.fetch("/") } }
                    try await all.waitForWaiters(count: Self.count)
                    all.open()
                    try await group.waitForAll()
                }
                #expect(client.pool.snapshot().idle == Self.count)
                try await body(client, server)
            }
        }
    }

    @Test(
        "One timeout, then success: the retry and later calls use no other dead connection", .tags(.RT2),
        arguments: [false, true])
    func retried(isEncrypted: Bool) async throws {
        try await withDeadConnections(.silence, isEncrypted: isEncrypted) {
            $0.timeouts.responseHead = .milliseconds(300)
        } _: { client, server in
            let first = try await client.fetch("/")
            #expect(first.text == "new")
            #expect(first.response.attempts == 2)
            #expect(first.response.resends == 0)
            for _ in 0..<3 {
                let next = try await client.fetch("/")
                #expect(next.text == "new")
                #expect(next.response.attempts == 1)
                #expect(next.isReused)
            }
            #expect(server.connections.count == Self.count + 1)
            #expect(client.pool.snapshot().closed == ["timedOut": 1, "stale": Self.count - 1])
        }
    }

    @Test(
        "Whichever limit ends the attempt, even without a retry, the next call gets a new connection",
        .tags(.RT2),
        arguments: [ServiceError.Code.responseHeadTimeout, .attemptTimeout, .deadlineExceeded])
    func notRetried(code: ServiceError.Code) async throws {
        try await withDeadConnections(.silence) {
            $0.retry = .never
        } _: { client, server in
            var request = ServiceRequest.post("/orders", body: .text("x"))
            let limit = TimeLimit.limited(.milliseconds(300))
            switch code {
            case .responseHeadTimeout: request.options.timeouts.responseHead = limit
            case .attemptTimeout: request.options.timeouts.attempt = limit
            default: request.options.timeouts.total = limit
            }
            let error = try await serviceError { [request] in _ = try await client.fetch(request) }
            #expect(error.code == code)
            #expect(error.progress == .ambiguous)
            #expect(client.pool.snapshot().idle == 0)
            for _ in 0..<3 { #expect(try await client.fetch(.post("/orders", body: .text("x"))).text == "new") }
            #expect(server.connections.count == Self.count + 1)
        }
    }

    @Test("A response that stops after its head began does not affect the other connections", .tags(.RT2))
    func begun() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/stuck", always: .bytes("HTTP/1.1 200 OK\r\nx-part-of-the").thenStall())
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                try await Requests.concurrently(3, client, server)
                var request = ServiceRequest.get("/stuck")
                request.options.timeouts.responseHead = .limited(.milliseconds(200))
                let error = try await serviceError { [request] in _ = try await client.fetch(request) }
                #expect(error.code == .responseHeadTimeout)
                #expect(error.progress == .responseStarted)
                #expect(client.pool.snapshot().idle == 2)
                #expect(client.pool.snapshot().closed["stale"] == nil)
            }
        }
    }

    @Test(
        "A POST on a dead connection fails, as it may have been executed, and closes the other dead connections",
        .tags(.RT2)
    )
    func postMeetsReset() async throws {
        try await withDeadConnections(.reset) {
            $0.retry.maximumAttempts = 3
        } _: { client, server in
            var failures: [ServiceError] = []
            for _ in 0..<10 {
                do {
                    let fetched = try await client.fetch(.post("/orders", body: .text("x")))
                    #expect(fetched.text == "new")
                } catch let error as ServiceError {
                    failures.append(error)
                }
            }
            #expect(failures.map(\.code) == [.connectionClosed])
            #expect(failures.map(\.progress) == [.ambiguous])
            #expect(server.connections.count == Self.count + 1)
            #expect(client.pool.snapshot().closed["stale"] == Self.count - 1)
        }
    }
}
