import Bowline
import BowlineTesting
import Testing

@Suite("Values with the rest of their response", .timeLimit(.minutes(1)))
struct TypedResponseTests {
    private struct Order: Codable, Sendable, Equatable {
        var id: Int
    }

    private static let list = Endpoint<Int, Typed<[Order]>>(.get, "orders") { limit, request in
        request.query["limit"] = limit
    }
    private static let plain = Endpoint<Void, Typed<[Order]>>(.get, "orders")
    private static let ifThere = Endpoint<Int, Order?>(
        .get, "orders/{id}", expecting: [.ok, .notFound],
        prepare: { id, request in request.path["id"] = id },
        receive: { response, decoder in
            guard response.status == .ok else { return nil }
            return try await response.decode(Order.self, using: decoder)
        })

    @Test("A typed output has the value, status, fields, URL, links and attempts")
    func overStub() async throws {
        let link = try #require(HTTPField.Name("Link"))
        let stub = StubTransport()
        stub.on(
            .get, "/v1/orders",
            inOrder: [
                .respond(.serviceUnavailable),
                .respond(
                    .partialContent, fields: [.eTag: "v1", link: "</v1/orders?page=2>; rel=next"], body: #"[{"id":7}]"#),
            ])
        let client = try ServiceClient(baseURL: "https://api.example/v1", transport: stub) {
            $0.retry.baseDelay = .zero
        }
        let page = try await client.call(Self.list, 50)
        #expect(page.value == [Order(id: 7)])
        #expect(page.status == .partialContent)
        #expect(page.fields[.eTag] == "v1")
        #expect(page.url?.absoluteString == "https://api.example/v1/orders?limit=50")
        #expect(page.links.map(\.target.absoluteString) == ["https://api.example/v1/orders?page=2"])
        #expect(page.link("NEXT") == page.links.first)
        #expect(page.link("prev") == nil)
        #expect(page.attempts == 2)
        #expect(stub.calls.map(\.query) == ["limit=50", "limit=50"])
        #expect(stub.calls.last?.fields[.accept] == "application/json")
    }

    @Test("Over a connection the output is the same, and the connection is free for the next request")
    func overConnection() async throws {
        let link = try #require(HTTPField.Name("Link"))
        try await withLoopbackServer { server in
            server.route(.get, "/orders") { _ in
                .reply(200, fields: [link: "<?page=2>; rel=\"next\""], body: #"[{"id":1},{"id":2}]"#)
            }
            try await withServiceClient(server.baseURL) { client in
                let first = try await client.call(Self.plain)
                let second = try await client.call(Self.plain)
                #expect(first.value == [Order(id: 1), Order(id: 2)])
                #expect(first.status == .ok)
                #expect(first.attempts == 1)
                #expect(second.link("next")?.target.absoluteString == "\(server.baseURL)/orders?page=2")
            }
            #expect(server.connections.map(\.requests) == [2])
        }
    }

    @Test("Unexpected statuses, undecodable bodies and limits fail as they do without the typed output")
    func failures() async throws {
        let stub = StubTransport()
        stub.on(.get, "/orders", inOrder: [.respond(.conflict), .respond(body: "{}"), .respond(body: "[]")])
        let client = try ServiceClient(baseURL: "https://api.example", transport: stub)
        let conflict = try await serviceError { _ = try await client.call(Self.plain) }
        #expect(conflict.unexpectedStatus?.status == .conflict)
        let other = try await serviceError { _ = try await client.call(Self.plain) }
        #expect(other.code == .decodingFailed)
        let small = Endpoint<Void, Typed<[Order]>>(.get, "orders", responseLimit: 1)
        let large = try await serviceError { _ = try await client.call(small) }
        #expect(large.code == .bodyTooLarge)
    }

    @Test("The description of a typed output shows nothing of value, fields and URL")
    func description() throws {
        let url = try ServiceURL("https://api.example/canary?canary")
        let typed = Typed(["canary"], fields: [.eTag: "canary"], url: url, attempts: 2)
        var dumped = ""
        dump(typed, to: &dumped)
        #expect("\(typed)" == "Typed<Array<String>>(200, 2 attempts)")
        #expect(!(dumped + String(reflecting: typed)).contains("canary"))
        #expect(typed.value == ["canary"])
        #expect(typed.url == url)
        #expect(typed.fields[.eTag] == "canary")
    }

    @Test("A receive closure makes the output from the response and the decoder: nil for 404")
    func receive() async throws {
        let stub = StubTransport()
        stub.on(.get, "/orders/{id}") { call in
            call.path.hasSuffix("7") ? .respond(body: #"{"id":7}"#) : .respond(.notFound, body: "none")
        }
        let client = try ServiceClient(baseURL: "https://api.example", transport: stub)
        #expect(try await client.call(Self.ifThere, 7) == Order(id: 7))
        #expect(try await client.call(Self.ifThere, 8) == nil)
    }
}
