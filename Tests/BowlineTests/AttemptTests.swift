import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

/// What attempts do to connections, middleware and time. The server counts the requests.
@Suite("Attempts over sockets", .timeLimit(.minutes(1)))
struct AttemptTests {
    @Test(
        "With a limit of one connection, a retry gets that connection or its successor, whatever the failed body was",
        .tags(.RT15),
        arguments: FailedBody.allCases)
    func poolOfOne(body: FailedBody) async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                guard request.number == 1, request.connection == 1 else { return .reply(200, body: "ok") }
                return body.reply
            }
            try await withServiceClient(server.baseURL) {
                $0.pool.maximumPerOrigin = 1
                $0.retry.baseDelay = .microseconds(100)
            } _: { client in
                let fetched = try await client.fetch("/")
                #expect(fetched.text == "ok")
                #expect(fetched.response.attempts == 2)
                #expect(fetched.connectionID == (body.isDrained ? 1 : 2))
                let snapshot = client.pool.snapshot()
                #expect(snapshot.active == 0)
                #expect(snapshot.idle == 1)
                try await server.waitForOpenConnections(count: 1)
            }
        }
    }

    /// The body of a 502 that is retried.
    enum FailedBody: CaseIterable, Sendable {
        case none, small, chunked, slow, large, unfinished

        var isDrained: Bool {
            switch self {
            case .none, .small, .chunked, .slow: true
            case .large, .unfinished: false
            }
        }

        var reply: ScriptedReply {
            switch self {
            case .none: .reply(502)
            case .small: .reply(502, body: "bad")
            case .chunked:
                .reply(ScriptedResponse(502, body: String(repeating: "a", count: 50_000), framing: .chunks(of: 1000)))
            case .slow:
                .bytes("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\nbad")
                    .followed(by: "bad", after: .milliseconds(5))
            case .large: .bytes("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1000000\r\n\r\nbad").thenStall()
            case .unfinished: .bytes("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\nbad").thenStall()
            }
        }
    }

    @Test("perAttempt middleware runs for each attempt, perCall middleware once for each call", .tags(.RT19))
    func middleware() async throws {
        let perCall = AttemptRecorder()
        let perAttempt = AttemptRecorder()
        try await withLoopbackServer { server in
            server.respond { request in request.number < 3 ? .reply(502) : .reply(200, body: "ok") }
            try await withServiceClient(server.baseURL) {
                $0.retry.baseDelay = .microseconds(100)
                $0.middleware.perCall = [perCall]
                $0.middleware.perAttempt = [perAttempt]
            } _: { client in
                let response = try await client.get("/")
                #expect(response.status == .ok)
                #expect(response.attempts == 3)
            }
        }
        #expect(perCall.attempts == [1])
        #expect(perAttempt.attempts == [1, 2, 3])
    }

    @Test("The total deadline covers all attempts and the sleeps between them", .tags(.TO5))
    func totalDeadline() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            try await withServiceClient(server.baseURL) {
                $0.timeouts.attempt = .milliseconds(80)
                $0.timeouts.total = .milliseconds(300)
                $0.retry.maximumAttempts = 100
                $0.retry.baseDelay = .microseconds(100)
            } _: { client in
                let began = ContinuousClock.now
                let error = try await serviceError { _ = try await client.get("/") }
                let elapsed = ContinuousClock.now - began
                #expect(error.code == .deadlineExceeded || error.code == .attemptTimeout)
                #expect(error.attempts >= 2)
                #expect(error.attempts == server.requests.count)
                #expect(elapsed > .milliseconds(290))
                #expect(elapsed < .seconds(3))
            }
        }
    }

    @Test("A peer that does not speak TLS, or breaks the protocol, gets no retry", .tags(.RT20))
    func neverRetried() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n") }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError { _ = try await client.get("/") }
                #expect(error.code == .protocolViolation)
                #expect(error.attempts == 1)
                #expect(server.requests.count == 1)
            }
        }
        try await withLoopbackServer { server in
            server.onConnection { connection in
                try await connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
                try await connection.waitForClose()
            }
            try await withServiceClient(server.baseURL.replacing("http://", with: "https://")) { client in
                let error = try await serviceError { _ = try await client.get("/") }
                #expect(error.code == .tlsHandshakeFailed)
                #expect(error.attempts == 1)
                #expect(server.connections.count == 1)
            }
        }
    }

    @Test("A derived client shares the retry budget of its parent", .tags(.RT17))
    func sharedBudget() async throws {
        let stub = StubTransport()
        stub.on(.get, "/", always: .respond(.badGateway))
        let client = try ServiceClient(baseURL: "http://stub.invalid", transport: stub) {
            $0.retry.baseDelay = .zero
            $0.retry.budget?.ratio = 0
            $0.retry.budget?.perSecond = 1
            $0.retry.budget?.window = .seconds(300)
        }
        let derived = try client.with { $0.timeouts.total = .seconds(30) }
        let copies = [client, derived]
        for round in 0..<300 { _ = try await copies[round % 2].get("/") }
        // 300 retries in a window of 300 s.
        #expect(stub.calls.count == 600)
    }
}

/// Notes the attempts for which it runs.
struct AttemptRecorder: ServiceMiddleware {
    private final class Notes: Sendable {
        let attempts = Guarded([Int]())
    }

    private let notes = Notes()

    var attempts: [Int] { notes.attempts.withLock { $0 } }

    func intercept(_ request: ServiceRequest, context: RequestContext, next: Next) async throws -> ServiceResponse {
        notes.attempts.withLock { $0.append(context.attempt) }
        return try await next(request, context: context)
    }
}

/// Keeps the decisions; opens a gate at the first decision to wait.
final class DecisionRecorder: Sendable {
    private let decisions = Guarded([RetryDecision]())
    let willWait = Gate()

    var all: [RetryDecision] { decisions.withLock { $0 } }

    @Sendable func note(_ decision: RetryDecision) {
        decisions.withLock { $0.append(decision) }
        if case .retry = decision.verdict { willWait.open() }
    }
}
