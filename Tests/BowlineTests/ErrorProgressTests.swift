import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Every transport error says how far the request got, and whether its connection was reused.
@Suite("Progress of failed requests", .timeLimit(.minutes(1)))
struct ErrorProgressTests {
    struct Failure: CustomStringConvertible, Sendable {
        let description: String
        let reply: ScriptedReply
        let code: ServiceError.Code
        let progress: RequestProgress
        var timeouts: @Sendable (inout RequestOptions) -> Void = { _ in }
    }

    static let failures: [Failure] = [
        Failure(description: "close", reply: .close, code: .connectionClosed, progress: .ambiguous),
        Failure(description: "reset", reply: .reset, code: .connectionClosed, progress: .ambiguous),
        Failure(description: "silence", reply: .stall, code: .responseHeadTimeout, progress: .ambiguous) {
            $0.timeouts.responseHead = .milliseconds(30)
        },
        Failure(description: "attempt", reply: .stall, code: .attemptTimeout, progress: .ambiguous) {
            $0.timeouts.attempt = .milliseconds(30)
        },
        Failure(description: "total", reply: .stall, code: .deadlineExceeded, progress: .ambiguous) {
            $0.timeouts.total = .milliseconds(30)
        },
        Failure(
            description: "a byte", reply: .bytes("H").thenClose(), code: .connectionClosed, progress: .responseStarted),
        Failure(
            description: "informational", reply: .bytes("HTTP/1.1 103 Early Hints\r\n\r\n").thenClose(),
            code: .connectionClosed, progress: .responseStarted),
        Failure(
            description: "garbage", reply: .bytes("garbage\r\n\r\n").thenStall(), code: .protocolViolation,
            progress: .responseStarted),
        Failure(
            description: "large head", reply: .bytes("HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 70_000))"),
            code: .responseLimitExceeded, progress: .responseStarted),
        Failure(
            description: "half a body", reply: .bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").thenClose(),
            code: .incompleteBody, progress: .responseStarted),
        Failure(
            description: "a body that stops",
            reply: .bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").thenStall(),
            code: .bodyIdleTimeout, progress: .responseStarted
        ) {
            $0.timeouts.bodyIdle = .milliseconds(30)
        },
    ]

    @Test(
        "A failure says how far its request got and whether its connection was reused", arguments: failures.indices,
        [false, true]
    )
    func onConnection(index: Int, isReused: Bool) async throws {
        let failure = Self.failures[index]
        try await withLoopbackServer { server in
            server.respond { $0.path == "/fails" ? failure.reply : .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                if isReused { _ = try await client.fetch("/first") }
                var request = ServiceRequest.post("/fails", body: .text("x"))
                failure.timeouts(&request.options)
                let sent = request
                let error = try await serviceError { _ = try await client.fetch(sent) }
                #expect(error.code == failure.code, "\(failure)")
                #expect(error.progress == failure.progress, "\(failure)")
                #expect(error.connectionWasReused == isReused, "\(failure)")
                #expect(error.attempts == 1)
                #expect(server.executions(of: "/fails") == 1)
            }
        }
    }

    @Test("A failure without a connection says that nothing was sent, and does not say that a connection was reused")
    func withoutConnection() async throws {
        let server = try await LoopbackServer.start()
        await server.stop()
        try await withServiceClient(server.baseURL) {
            $0.pool.maximumPerOrigin = 1
            $0.pool.maximumWaiting = 0
        } _: { client in
            let refused = try await serviceError { _ = try await client.fetch("/") }
            #expect(refused.code == .connectionRefused)
            let invalid = try await serviceError {
                _ = try await client.fetch(ServiceRequest("/", fields: [.userAgent: "a\nb"]))
            }
            for error in [refused, invalid] {
                #expect(error.progress == .neverSent, "\(error)")
                #expect(error.connectionWasReused == nil, "\(error)")
            }
        }
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 1
                $0.pool.maximumWaiting = 1
            } _: { client in
                let stuck = Task { try await client.fetch("/stuck") }
                try await server.waitForRequests(count: 1)
                var waiting = ServiceRequest.get("/waiting")
                waiting.options.timeouts.poolAcquire = .milliseconds(200)
                let waiter = Task { [waiting] in try await client.fetch(waiting) }
                try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
                let saturated = try await serviceError { _ = try await client.fetch("/saturated") }
                let late = try await serviceError { _ = try await waiter.value }
                #expect(saturated.code == .poolSaturated)
                #expect(late.code == .poolAcquireTimeout)
                for error in [saturated, late] {
                    #expect(error.progress == .neverSent, "\(error)")
                    #expect(error.connectionWasReused == nil, "\(error)")
                }
                stuck.cancel()
                _ = await stuck.result
            }
            #expect(server.requests.count == 1)
        }
    }
}
