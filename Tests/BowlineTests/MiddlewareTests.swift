import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Custom middleware", .timeLimit(.minutes(1)))
struct MiddlewareTests {
    /// A middleware made of a function.
    private struct Intercepting: ServiceMiddleware {
        let body: @Sendable (ServiceRequest, RequestContext, Next) async throws -> ServiceResponse

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            try await body(request, context, next)
        }
    }

    private struct Broken: Error, Equatable {}

    private let stub = StubTransport()

    private func client(
        _ server: LoopbackServer, perAttempt: Bool = false,
        _ body: @escaping @Sendable (ServiceRequest, RequestContext, Next) async throws -> ServiceResponse
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: server.baseURL) {
            if perAttempt {
                $0.middleware.perAttempt = [Intercepting(body: body)]
            } else {
                $0.middleware.perCall = [Intercepting(body: body)]
            }
        }
    }

    private var chunks: AsyncStream<ByteBuffer> {
        AsyncStream { stream in
            stream.yield(ByteBuffer(string: "once"))
            stream.finish()
        }
    }

    @Test("perCall runs once for a call, perAttempt once for each hop, in the order of their lists")
    func places() async throws {
        let stub = stub
        stub.on(.get, "/a", always: .respond(.found, fields: [.location: "/b"]))
        stub.on(.get, "/b", always: .respond(.ok))
        let (seen, log) = AsyncStream<String>.makeStream()
        @Sendable func noting(_ name: String) -> Intercepting {
            Intercepting { request, context, next in
                log.yield("\(name) \(request.url?.path ?? "") \(context.attempt)")
                return try await next(request, context: context)
            }
        }
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.middleware.perCall = [noting("call 1"), noting("call 2")]
            $0.middleware.perAttempt = [noting("attempt 1"), noting("attempt 2")]
        }
        _ = try await client.get("/a")
        log.finish()
        var order: [String] = []
        for await entry in seen { order.append(entry) }
        #expect(
            order == [
                "call 1 /a 1", "call 2 /a 1", "attempt 1 /a 1", "attempt 2 /a 1", "attempt 1 /b 1", "attempt 2 /b 1",
            ])
    }

    @Test("An error of a middleware reaches the caller unchanged, and the call is over", arguments: [true, false])
    func throwing(afterResponse: Bool) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "unread") }
            let client = try client(server) { request, context, next in
                if afterResponse { _ = try await next(request, context: context) }
                throw Broken()
            }
            await #expect(throws: Broken.self) { try await client.get("/") }
            #expect(server.requests.count == (afterResponse ? 1 : 0))
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A middleware that never calls next answers alone: nothing is sent, a one-shot body is not begun")
    func answering() async throws {
        try await withLoopbackServer { server in
            let client = try client(server) { _, _, _ in
                ServiceResponse(status: .accepted, body: ResponseBody(ByteBuffer(string: "made up")))
            }
            let unread = HandedOutChunks()
            let response = try await client.fetch(.post("/", body: .stream(unread)))
            #expect(response.response.status == .accepted)
            #expect(response.text == "made up")
            #expect(response.response.connection == nil)
            #expect(server.connections.isEmpty)
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A middleware that calls next twice sends a replayable request twice")
    func twice() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try client(server, perAttempt: true) { request, context, next in
                try await next(request, context: context).body.discard()
                return try await next(request, context: context)
            }
            _ = try await client.fetch(.post("/", body: .text("again")))
            #expect(server.requests.map(\.bodyLength) == [5, 5])
        }
    }

    @Test("Each next of perCall middleware gets a key of its own, unless the middleware sets the field", .tags(.RT19))
    func keyOfTwoSendings() async throws {
        let name = try #require(HTTPField.Name("Idempotency-Key"))
        for setsField in [false, true] {
            let stub = StubTransport()
            stub.on(.post, "/a", always: .respond(.ok))
            let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
                $0.makesIdempotencyKeys = true
                $0.middleware.perCall = [
                    Intercepting { request, context, next in
                        var request = request
                        if setsField { request.fields[name] = "own" }
                        try await next(request, context: context).body.discard()
                        return try await next(request, context: context)
                    }
                ]
            }
            _ = try await client.post("/a", body: .text("x"))
            let keys = stub.calls.compactMap { $0.fields[name] }
            #expect(keys.count == 2)
            #expect(Set(keys).count == (setsField ? 1 : 2))
            await client.shutdown()
        }
    }

    @Test("A second next with a one-shot body fails with requestBodyConsumed, and nothing is sent")
    func twiceOneShot() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try client(server) { request, context, next in
                try await next(request, context: context).body.discard()
                return try await next(request, context: context)
            }
            let error = try await serviceError { _ = try await client.fetch(.post("/", body: .stream(chunks))) }
            #expect(error.code == .requestBodyConsumed)
            #expect(error.progress == .neverSent)
            #expect(server.requests.count == 1)
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A response that a middleware drops unread releases its connection")
    func dropped() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: String(repeating: "x", count: 10_000)) }
            let client = try client(server) { request, context, next in
                _ = try await next(request, context: context)
                return ServiceResponse(status: .noContent)
            }
            for _ in 0..<3 { #expect(try await client.fetch("/").response.status == .noContent) }
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A middleware's field that contradicts the body is refused, as the caller's is")
    func contradictingFields() async throws {
        try await withLoopbackServer { server in
            let fields: [HTTPField] = [
                HTTPField(name: .contentLength, value: "9"), HTTPField(name: .transferEncoding, value: "chunked"),
                HTTPField(name: .connection, value: "x-mine"),
            ]
            for field in fields {
                let client = try client(server, perAttempt: true) { request, context, next in
                    var request = request
                    request.fields.append(field)
                    return try await next(request, context: context)
                }
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: .text("x"))) }
                #expect(error.code == .invalidRequest, "\(field.name)")
                #expect(error.progress == .neverSent)
            }
            #expect(server.connections.isEmpty)
        }
    }

    // MARK: Credentials

    @Test("Credentials that match no request, and invalid origins, are refused when the client is made")
    func credentialsForNobody() throws {
        let nobody = #expect(throws: ServiceError.self) {
            try ServiceClient { $0.authentication = try BearerAuthentication(token: "t") }
        }
        #expect(nobody?.code == .invalidConfiguration)
        #expect(nobody?.message.contains("authentication:") == true)
        let wrong = #expect(throws: ServiceError.self) {
            try ServiceClient(baseURL: "http://a") { $0.authenticatedOrigins = ["https://b", "b", "ftp://b"] }
        }
        #expect(wrong?.message.contains("authenticatedOrigins[1]") == true)
        #expect(wrong?.message.contains("authenticatedOrigins[2]") == true)
        #expect(wrong?.message.contains("authenticatedOrigins[0]") == false)
    }

    @Test("A fetchTimeout that is not greater than zero is refused by its path; a huge one acts as no limit")
    func fetchTimeout() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        for timeout in [Duration.zero, .seconds(-1), .seconds(Int64.min)] {
            let error = #expect(throws: ServiceError.self) {
                try ServiceClient(baseURL: "http://api.example", transport: stub) {
                    $0.authentication = BearerAuthentication(fetchTimeout: timeout) { BearerToken("t") }
                }
            }
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.message.contains("authentication.fetchTimeout: must be greater than zero") == true)
        }
        let chained = #expect(throws: ServiceError.self) {
            try ServiceClient(baseURL: "http://api.example", transport: stub) {
                let late = BearerAuthentication(fetchTimeout: .zero) { BearerToken("t") }
                $0.authentication = ChainedAuthentication(late, ChainedAuthentication([late]))
            }
        }
        for path in ["authentication[0].fetchTimeout:", "authentication[1][0].fetchTimeout:"] {
            #expect(chained?.message.contains(path) == true)
        }
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            let huge = Duration.seconds(Int64.max)
            $0.authentication = BearerAuthentication(leeway: huge, fetchTimeout: huge) {
                BearerToken("t", lifetime: huge)
            }
        }
        _ = try await client.get("/a")
        #expect(stub.calls.map { $0.fields[.authorization] } == ["Bearer t"])
    }

    @Test("Derived clients share a token; a request's own credentials, and its own options, win")
    func sharedToken() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let fetches = AsyncStream<Void>.makeStream()
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.authentication = BearerAuthentication {
                fetches.continuation.yield()
                return BearerToken("t")
            }
        }
        _ = try await client.get("/a")
        _ = try await client.with { $0.timeouts.total = .seconds(1) }.get("/a")
        _ = try await client.scoped(to: "", fields: [.accept: "*/*"]).get("/a")
        _ = try await client.get("/a", fields: [.authorization: "mine"])
        var without = ServiceRequest.get("/a")
        without.options.authenticates = false
        _ = try await client.send(without)
        fetches.continuation.finish()
        #expect(await fetches.stream.reduce(0) { count, _ in count + 1 } == 1)
        let sent = stub.calls.map { $0.fields[.authorization] }
        #expect(sent == ["Bearer t", "Bearer t", "Bearer t", "mine", nil])
    }

    @Test("A canary in every credential is in no description of client, configuration or error")
    func canary() async throws {
        struct Refusing: Error, CustomStringConvertible {
            var description: String { "canary" }
        }
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.authentication = BearerAuthentication { throw Refusing() }
        }
        let error = try await serviceError { _ = try await client.get("/a") }
        #expect(error.code == .authenticationFailed)
        #expect(!"\(error)".contains("canary"))
        let basic = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.authentication = try BasicAuthentication(user: "canary", password: "canary")
        }
        var dumped = ""
        dump(basic.configuration, to: &dumped)
        for text in ["\(basic.configuration)", String(reflecting: basic.configuration), dumped] {
            #expect(!text.contains("canary"))
            #expect(!text.contains("Y2FuYXJ5"))
        }
    }

    @Test("A key is made once for a call, and goes along a redirect", .tags(.RT19))
    func idempotencyKey() async throws {
        stub.on(.post, "/a", always: .respond(.temporaryRedirect, fields: [.location: "/b"]))
        stub.on(.post, "/b", always: .respond(.ok))
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.makesIdempotencyKeys = true
            $0.random = SeededRandom(seed: 1).source()
        }
        _ = try await client.post("/a", body: .text("x"))
        let name = try #require(HTTPField.Name("Idempotency-Key"))
        let keys = stub.calls.compactMap { $0.fields[name] }
        #expect(keys.count == 2)
        #expect(Set(keys).count == 1)
    }
}
