import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Failures whose cause is easy to mistake", .timeLimit(.minutes(1)))
struct ReviewedFailureTests {
    /// A sequence that relays the failure of another request.
    private struct Relay: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let error: ServiceError
        func makeAsyncIterator() -> Relay { self }
        mutating func next() async throws -> ByteBuffer? { throw error }
    }

    @Test(
        "An error of a request body's sequence is requestBodyFailed, even another request's ServiceError",
        arguments: [ServiceError.Code.connectionClosed, .shuttingDown, .deadlineExceeded]
    )
    func foreignError(code: ServiceError.Code) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.get("/")
                let error = try #require(
                    await Requests.failure {
                        try await client.put("/", body: .replayable { Relay(error: ServiceError(code, "elsewhere")) })
                    } as? ServiceError
                )
                #expect(error.code == .requestBodyFailed)
                #expect((error.underlying as? ServiceError)?.code == code)
            }
            #expect(server.requests.filter { $0.isComplete }.count == 1)
            #expect(server.connections.count == 1)
        }
    }

    @Test("A one-shot body that no connection has read survives a failed attempt")
    func unreadStream() async throws {
        /// Retries once, after any error.
        struct Again: ServiceMiddleware {
            func intercept(
                _ request: ServiceRequest, context: RequestContext, next: Next
            ) async throws -> ServiceResponse {
                do {
                    return try await next(request, context: context)
                } catch {
                    var request = request
                    request.url = try ServiceURL(request.fields[.location] ?? "")
                    return try await next(request, context: context)
                }
            }
        }
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            let refusing = try await LoopbackServer.start()
            await refusing.stop()
            let client = try ServiceClient(baseURL: refusing.baseURL) { $0.middleware.perCall = [Again()] }
            let chunks = AsyncStream(ByteBuffer.self) { stream in
                stream.yield(ByteBuffer(string: "once"))
                stream.finish()
            }
            let response = try await client.post(
                "/", body: .stream(chunks), fields: [.location: server.url("/")]
            )
            #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "once"))
            await client.shutdown()
        }
    }

    @Test("Every problem of a configuration is reported, even if the message has no room")
    func allProblems() throws {
        let error = #expect(throws: ServiceError.self) {
            try ServiceClient(baseURL: "http://a.example") {
                $0.timeouts.connect = .zero
                $0.timeouts.poolAcquire = .zero
                $0.timeouts.responseHead = .zero
                $0.timeouts.bodyIdle = .zero
                $0.timeouts.attempt = .zero
                $0.timeouts.total = .zero
                $0.pool.idleTimeout = .zero
                $0.pool.maximumIdle = -1
                $0.pool.maximumPerOrigin = 0
                $0.pool.maximumWaiting = -1
                $0.connection.maximumFields = 0
            }
        }
        #expect((error?.underlying as? ConfigurationProblems)?.problems.count == 11)
        #expect((error?.message.utf8.count ?? 0) <= 512)
        #expect(error?.message.contains("timeouts.total") == true)
    }

    @Test("Descriptions of a client, its configuration and a request contain no key, field, query or body", .tags(.I15))
    func canary() throws {
        let canary = "CANARY"
        let client = try ServiceClient(baseURL: "http://a.example")
        var configuration = client.configuration
        configuration.tls.identity = .pem(certificate: canary, key: canary)
        var request = ServiceRequest.post("/orders?token=\(canary)", body: .text(canary))
        request.fields[.authorization] = canary
        var dumped = ""
        dump(configuration, to: &dumped)
        dump(request, to: &dumped)
        dumped += "\(configuration)\(request)\(String(reflecting: request))\(String(reflecting: configuration))"
        #expect(!dumped.contains(canary))
        #expect("\(request)" == "POST /orders")
    }

    @Test("withServiceClient(isOnEventLoop:) runs its body on one of the client's loops")
    func scopeOnEventLoop() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let status = try await withServiceClient(server.baseURL, isOnEventLoop: true) { client in
                let response = try await client.get("/")
                #expect(MultiThreadedLoop.isCurrent)
                return response.status
            }
            #expect(status == .ok)
        }
    }

    @Test("A CONNECT to an IPv6 address brackets it, and always has the port")
    func connectTarget() throws {
        #expect(try ServiceURL("http://[::1]").origin.authorityWithPort == "[::1]:80")
        #expect(try ServiceURL("https://a.example:8443").origin.authorityWithPort == "a.example:8443")
        #expect(throws: ServiceError.self) { try ServiceURL("http://[::1\0x]") }
    }
}

extension ReviewedFailureTests {
    @Test("A call whose body was read to its end is no longer in flight")
    func drainedAfterReading() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/", always: .reply(200, body: String(repeating: "x", count: 300_000)))
            for _ in 0..<30 {
                let client = try ServiceClient(baseURL: server.baseURL)
                _ = try await client.get("/").body.collect(upTo: 1 << 20)
                let report = await client.shutdown()
                #expect(report.drained == 0)
                #expect(report.description.hasPrefix("clean: 0 drained"))
            }
        }
    }
}
