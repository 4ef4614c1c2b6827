import Bowline
import BowlineTesting
import Testing

/// A test of limits over a stub sees the same as over a connection.
@Suite("The stub fails as a connection does", .timeLimit(.minutes(1)))
struct StubLikenessTests {
    enum Limit: String, CaseIterable {
        case attempt, responseHead, total

        func configure(_ configuration: inout ClientConfiguration) {
            configuration.retry = .never
            configuration.timeouts.total = .seconds(30)
            switch self {
            case .attempt: configuration.timeouts.attempt = .milliseconds(300)
            case .responseHead: configuration.timeouts.responseHead = .milliseconds(300)
            case .total: configuration.timeouts.total = .milliseconds(300)
            }
        }
    }

    private func expectAlike(_ stubbed: ServiceError, _ connected: ServiceError) {
        #expect(stubbed.code == connected.code)
        #expect(stubbed.message == connected.message)
        #expect(stubbed.progress == connected.progress)
        #expect(stubbed.phase == connected.phase)
        #expect(stubbed.attempts == connected.attempts)
    }

    @Test(
        "A service that does not answer gives the same code, message, progress, phase and attempts",
        arguments: Limit.allCases)
    func heads(limit: Limit) async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond().held(by: Gate()))
        let client = try ServiceClient(baseURL: "http://stub.invalid", transport: stub) { limit.configure(&$0) }
        let stubbed = try await serviceError { _ = try await client.get("a") }
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            try await withServiceClient(server.baseURL, configure: { limit.configure(&$0) }) { client in
                let connected = try await serviceError { _ = try await client.get("a") }
                expectAlike(stubbed, connected)
            }
        }
    }

    @Test("A body that stops gives the same error", arguments: [true, false])
    func bodies(isIdle: Bool) async throws {
        let configure: @Sendable (inout ClientConfiguration) -> Void = {
            $0.timeouts.total = isIdle ? .seconds(30) : .milliseconds(300)
            $0.timeouts.bodyIdle = isIdle ? .milliseconds(300) : .seconds(30)
        }
        let stub = StubTransport()
        let (chunks, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
        hand.yield(ByteBuffer(string: "half"))
        stub.on(.get, "/a", always: .respond(ServiceResponse(status: .ok, body: ResponseBody(chunks))))
        let client = try ServiceClient(baseURL: "http://stub.invalid", transport: stub, configure: configure)
        let stubbed = try await serviceError { _ = try await client.get("a").text() }
        #expect(stubbed.code == (isIdle ? .bodyIdleTimeout : .deadlineExceeded))
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequest()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                try await connection.stall()
            }
            try await withServiceClient(server.baseURL, configure: configure) { client in
                let connected = try await serviceError { _ = try await client.get("a").text() }
                #expect(stubbed.code == connected.code)
                #expect(stubbed.message == connected.message)
                #expect(stubbed.progress == connected.progress)
                #expect(stubbed.phase == connected.phase)
            }
        }
        hand.finish()
    }
}
