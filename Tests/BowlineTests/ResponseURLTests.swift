import Bowline
import BowlineTesting
import Testing

@Suite("The URL that answered", .timeLimit(.minutes(1)))
struct ResponseURLTests {
    private struct Stored: ServiceMiddleware {
        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            ServiceResponse(status: .ok)
        }
    }

    private func client(
        _ stub: StubTransport, _ configure: (inout ClientConfiguration) throws -> Void = { _ in }
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: "https://api.example/v1", transport: stub, configure: configure)
    }

    @Test("The URL is the request's, with the query; after redirects the last hop's; after a retry unchanged")
    func places() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/a?x=1", inOrder: [.respond(.serviceUnavailable), .respond(.ok)])
        stub.on(.get, "/v1/moved", always: .respond(.found, fields: [.location: "/v2/here?y=2"]))
        stub.on(.get, "/v2/here?y=2", always: .respond(.ok))
        let client = try client(stub) { $0.retry.baseDelay = .milliseconds(1) }
        let first = try await client.get("a", query: ["x": 1])
        #expect(first.attempts == 2)
        #expect(first.requestsSent == 2)
        #expect(first.url?.absoluteString == "https://api.example/v1/a?x=1")
        let moved = try await client.get("moved")
        #expect(moved.url?.absoluteString == "https://api.example/v2/here?y=2")
        #expect(moved.url == moved.facts.redirects.last)
        #expect(moved.attempts == 1)
        #expect(moved.requestsSent == 2)
    }

    @Test("A middleware's own answer has the URL of the request that the middleware got")
    func madeUp() async throws {
        let client = try client(StubTransport()) { $0.middleware.perCall = [Stored()] }
        let response = try await client.get("a")
        #expect(response.url?.absoluteString == "https://api.example/v1/a")
        // Nothing was sent.
        #expect(response.requestsSent == 0)
    }

    @Test("The URL contains a signer's addition to the query; a transport's own URL stays")
    func changed() async throws {
        let stub = StubTransport()
        let elsewhere = try ServiceURL("https://mirror.example/x")
        stub.on(.get, "/v1/a?signed", always: .respond(.ok))
        stub.on(.get, "/v1/b?signed") { _ in
            .respond(ServiceResponse(status: .ok, facts: ResponseFacts(url: elsewhere)))
        }
        let client = try client(stub) {
            $0.authentication = SigningAuthentication { request, _ in
                request.url = try request.url?.resolving("?signed")
            }
        }
        #expect(try await client.get("a").url?.query == "signed")
        #expect(try await client.get("b").url == elsewhere)
    }

    @Test("A list is paged by its Link fields; targets that begin with the base's path do not double it")
    func paging() async throws {
        try await withLoopbackServer { server in
            let link = try #require(HTTPField.Name("Link"))
            server.route(.get, "/v1/orders") { request in
                guard !request.target.hasSuffix("page=3") else { return .reply(200, body: "3") }
                let next = request.target.hasSuffix("page=2") ? 3 : 2
                let links = "</v1/orders?page=1>; rel=\"first\", </v1/orders?page=\(next)>; rel=\"next\""
                return .reply(200, fields: [link: links], body: "\(next - 1)")
            }
            let client = try ServiceClient(baseURL: server.url("/v1"))
            var response = try await client.get("orders")
            var pages = [try await response.text()]
            while let next = response.link("next") {
                response = try await client.get(next.target.absoluteString)
                pages.append(try await response.text())
            }
            #expect(pages == ["1", "2", "3"])
            #expect(response.url?.absoluteString == server.url("/v1/orders?page=3"))
            _ = await client.shutdown(within: .seconds(5))
        }
    }
}
