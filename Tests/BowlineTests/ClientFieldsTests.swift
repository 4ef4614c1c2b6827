import Bowline
import BowlineTesting
import Testing

@Suite("The client's fields and middleware that sends requests elsewhere", .timeLimit(.minutes(1)))
struct ClientFieldsTests {
    /// Sends requests for paths under `/moved` to another server.
    private struct Moving: ServiceMiddleware {
        let base: String

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            if let path = request.url?.path, path.hasPrefix("/moved") { request.url = try ServiceURL(base + path) }
            return try await next(request, context: context)
        }
    }

    enum Place: CaseIterable, Sendable {
        case perCall, perAttempt
    }

    private static let key = HTTPField.Name("X-Api-Key")!
    private static let region = HTTPField.Name("X-Region")!
    private static let own = HTTPField.Name("X-Own")!

    /// All fields of a request except those about its connection, as text.
    private func fields(_ request: RecordedRequest?) -> [String] {
        (request?.fields ?? [:]).map { "\($0.name.canonicalName): \($0.value)" }
            .filter { !$0.hasPrefix("host:") && !$0.hasPrefix("connection:") }.sorted()
    }

    private func withClient(
        _ place: Place, configure: (inout ClientConfiguration, _ other: LoopbackServer) -> Void,
        _ body: (ServiceClient, _ server: LoopbackServer, _ other: LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServers(2) { servers in
            let (server, other) = (servers[0], servers[1])
            for each in servers { each.respond(inOrder: [.reply(200, body: "ok")]) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.fields = [Self.key: "canary", Self.region: "eu", .acceptLanguage: "cy"]
                $0.userAgent = "tests"
                $0.decompression = .off
                switch place {
                case .perCall: $0.middleware.perCall = [Moving(base: other.baseURL)]
                case .perAttempt: $0.middleware.perAttempt = [Moving(base: other.baseURL)]
                }
                configure(&$0, other)
            }
            try await body(client, server, other)
            _ = await client.shutdown(within: .seconds(5))
        }
    }

    private func withClient(
        _ place: Place, _ body: (ServiceClient, _ server: LoopbackServer, _ other: LoopbackServer) async throws -> Void
    ) async throws {
        try await withClient(place, configure: { _, _ in }, body)
    }

    @Test(
        "Another server gets only the client's harmless fields, and all of the request's own fields",
        arguments: Place.allCases)
    func moved(place: Place) async throws {
        try await withClient(place) { client, server, other in
            let text = try await client.get("/moved", fields: [Self.own: "mine", Self.region: "us"]).text()
            #expect(text == "ok")
            #expect(
                fields(other.requests.first) == [
                    "accept-language: cy", "user-agent: tests", "x-own: mine", "x-region: us",
                ])
            #expect(other.requests.map(\.path) == ["/moved"])
            #expect(server.requests.isEmpty)
        }
    }

    @Test("The client's own server gets all of the client's fields", arguments: Place.allCases)
    func home(place: Place) async throws {
        try await withClient(place) { client, server, other in
            let text = try await client.get("/home", fields: [Self.own: "mine"]).text()
            #expect(text == "ok")
            #expect(
                fields(server.requests.first) == [
                    "accept-language: cy", "user-agent: tests", "x-api-key: canary", "x-own: mine", "x-region: eu",
                ])
            #expect(other.requests.isEmpty)
        }
    }

    @Test(
        "A field that the caller sends to another server by an absolute URL stays, even if the client has the same value"
    )
    func absolute() async throws {
        try await withClient(.perAttempt) { client, server, other in
            let response = try await client.get(other.url("/direct"), fields: [Self.key: "canary"])
            #expect(try await response.text() == "ok")
            #expect(fields(other.requests.first) == ["user-agent: tests", "x-api-key: canary"])
            #expect(server.requests.isEmpty)
        }
    }

    @Test("A redirect is relative to the server to which middleware sent the request, and takes no credentials along")
    func relativeRedirect() async throws {
        try await withClient(.perAttempt) { client, server, other in
            other.route(.get, "/moved", always: .reply(302, fields: [.location: "/next"]))
            let response = try await client.get("/moved", fields: [Self.own: "mine", .authorization: "mine"])
            #expect(try await response.text() == "ok")
            #expect(response.url?.absoluteString == other.url("/next"))
            #expect(other.requests.map(\.path) == ["/moved", "/next"])
            #expect(fields(other.requests.last) == ["accept-language: cy", "user-agent: tests", "x-own: mine"])
            #expect(server.requests.isEmpty)
        }
    }

    @Test(
        "If another server redirects a moved request to the client's own server, no hop has credentials or its fields"
    )
    func redirectHome() async throws {
        let authenticates: (inout ClientConfiguration, LoopbackServer) -> Void = { configuration, _ in
            configuration.authentication = try? BearerAuthentication(token: "canary")
        }
        try await withClient(.perAttempt, configure: authenticates) { client, server, other in
            other.route(.get, "/moved", always: .reply(307, fields: [.location: server.url("/first")]))
            server.route(.get, "/first", always: .reply(307, fields: [.location: "/second"]))
            let moved = try await client.get("/moved", fields: [.cookie: "canary"]).text()
            #expect(moved == "ok")
            #expect(other.requests.map(\.path) == ["/moved"])
            #expect(server.requests.map(\.path) == ["/first", "/second"])
            for request in server.requests {
                #expect(fields(request) == ["accept-language: cy", "user-agent: tests"])
            }
            let own = try await client.get("/first").text()
            #expect(own == "ok")
            #expect(server.requests.suffix(2).map { $0.fields[.authorization] } == ["Bearer canary", "Bearer canary"])
        }
    }

    @Test("A redirect to http is refused if middleware sent the request to https, even if the client's URL is http")
    func downgrade() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "https://other.example/moved",
            always: .respond(.found, fields: [.location: "http://other.example/next"]))
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.middleware.perAttempt = [Moving(base: "https://other.example")]
        }
        let error = try await serviceError { _ = try await client.get("/moved") }
        #expect(error.code == .redirectRefused)
        #expect(stub.calls.map { $0.request.url?.absoluteString } == ["https://other.example/moved"])
    }

    @Test("A signer sees the request that is sent: for another server, without the client's fields")
    func signed() async throws {
        let seen = Guarded([Bool]())
        let signs: (inout ClientConfiguration, LoopbackServer) -> Void = { configuration, other in
            configuration.authenticatedOrigins = [other.baseURL]
            configuration.authentication = SigningAuthentication { request, _ in
                seen.withLock { $0.append(request.fields.contains(Self.key)) }
                request.fields[.authorization] = "signed"
            }
        }
        try await withClient(.perCall, configure: signs) { client, server, other in
            _ = try await client.get("/moved").text()
            _ = try await client.get("/home").text()
            #expect(
                fields(other.requests.first) == ["accept-language: cy", "authorization: signed", "user-agent: tests"])
            #expect(server.requests.first?.fields[Self.key] == "canary")
        }
        #expect(seen.withLock { $0 } == [false, true])
    }
}
