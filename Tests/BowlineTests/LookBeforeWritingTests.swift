import Bowline
import BowlineTesting
import NIOCore
import NIOPosix
import Testing

/// What the check before a write finds when the event loop had no turn to notice it earlier (KA13 covers the rest).
@Suite("The check before a write", .timeLimit(.minutes(1)))
struct LookBeforeWritingTests {
    enum Life: String, CaseIterable, Sendable {
        case prewarmed, used
    }

    /// What waits, unread, on a connection that is about to be used.
    enum Surprise: String, CaseIterable, Sendable {
        case response, partOfRecord, fatalAlert, close, reset

        /// Bytes that TLS, if there is TLS, never delivers to the connection.
        static let fatal = ByteBuffer(bytes: [21, 3, 3, 0, 2, 2, 40])
        static let beginning = ByteBuffer(bytes: [23, 3, 3])

        func send(on connection: LoopbackConnection) async throws {
            switch self {
            case .response: try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
            case .partOfRecord: try await connection.sendUnencrypted(Self.beginning)
            case .fatalAlert: try await connection.sendUnencrypted(Self.fatal)
            case .close: try await connection.halfClose()
            case .reset: try await connection.reset()
            }
        }
    }

    @Test(
        "An unencrypted connection with something unread takes no request, whether prewarmed or used",
        .tags(.KA13),
        arguments: Life.allCases, [Surprise.response, .close, .reset]
    )
    func plain(life: Life, surprise: Surprise) async throws {
        try await expectMoved(LoopbackServer.Options(), life, surprise)
    }

    @Test(
        "An encrypted connection with something unread takes no request, whether prewarmed or used", .tags(.KA13),
        arguments: Life.allCases, Surprise.allCases
    )
    func encrypted(life: Life, surprise: Surprise) async throws {
        try await expectMoved(.tls(), life, surprise)
    }

    @Test(
        "Part of a TLS record that was already read from the socket also counts as a byte before a request",
        .tags(.KA13))
    func partThatWasRead() async throws {
        try await withLoopbackServer(.tls()) { server in
            let sent = Gate()
            server.onConnection { connection in
                guard connection.number == 1 else { return try await connection.serveRequests() }
                _ = try await connection.readRequest()
                try await connection.reply(200, body: "first")
                try await connection.sendUnencrypted(Surprise.beginning)
                sent.open()
                try await connection.stall()
            }
            server.respond { .reply(200, body: $0.path) }
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            } _: { client in
                #expect(try await client.fetch("/first").text == "first")
                try await sent.wait()
                // One turn of every loop: the loops have read the bytes that came.
                for loop in client.eventLoopExecutors { await withTaskExecutorPreference(loop) { await Task.yield() } }
                let fetched = try await client.fetch(.post("/next", body: .text("x")))
                #expect(fetched.text == "/next")
                #expect(fetched.connectionID == 2)
                #expect(client.pool.snapshot().closed["unsolicitedBytes"] == 1)
            }
            #expect(server.executions(of: "/next") == 1)
        }
    }

    /// A POST that gets such a connection moves to a new one, unwritten.
    private func expectMoved(_ options: LoopbackServer.Options, _ life: Life, _ surprise: Surprise) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var options = options
        options.eventLoopGroup = group
        let count = System.coreCount * 2
        try await withLoopbackServer(options) { server in
            let release = Gate()
            let haveCome = Countdown(from: count)
            let isThere = Countdown(from: count)
            server.onConnection { connection in
                guard connection.number <= count else { return try await connection.serveRequests() }
                if life == .used {
                    _ = try await connection.readRequest()
                    haveCome.one()
                    try await haveCome.gate.wait()
                    try await connection.reply(200, body: "x")
                }
                try await release.wait()
                try await surprise.send(on: connection)
                isThere.one()
                _ = try await connection.readRequest()
            }
            server.respond { .reply(200, body: $0.path) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                // Connections of loops that are not held do not matter here.
                $0.pool.maximumPerOrigin = nil
            }
            switch life {
            case .prewarmed: try await client.pool.prewarm(origin: server.baseURL, connections: count)
            case .used:
                let first = (0..<count).map { _ in Task { try await client.fetch("/first") } }
                for task in first { #expect(try await task.value.text == "x") }
            }
            #expect(client.pool.snapshot().idle == count)
            let fetched = try await client.afterHoldingLoop(until: isThere.gate) {
                try await client.fetch(.post("/next", body: .text("x")))
            } whileHeld: {
                release.open()
            }
            #expect(isThere.gate.isOpen)
            #expect(fetched.text == "/next")
            #expect(fetched.connectionID > count)
            // The check noticed it, not the pool: the request had the connection already.
            #expect(fetched.response.resends == 1)
            #expect(server.requests.filter { $0.path == "/next" }.map(\.connection) == [count + 1])
            let closed = client.pool.snapshot().closed
            let expected = surprise == .close || surprise == .reset ? "closedByPeer" : "unsolicitedBytes"
            #expect(options.tls != nil || closed[expected, default: 0] >= 1, "\(closed)")
            await client.shutdown()
        }
        try await group.shutdownGracefully()
    }
}

/// Opens a gate at a number of arrivals.
private final class Countdown: Sendable {
    let gate = Gate()
    private let remaining: Guarded<Int>

    init(from count: Int) {
        remaining = Guarded(count)
    }

    func one() {
        let isLast = remaining.withLock { remaining in
            remaining -= 1
            return remaining == 0
        }
        if isLast { gate.open() }
    }
}
