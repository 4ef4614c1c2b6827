import Bowline
import BowlineTesting
import Testing

@Suite("Endpoints as values", .timeLimit(.minutes(1)))
struct EndpointTests {
    private struct Order: Codable, Sendable, Equatable {
        var id: Int
        var item: String
    }

    private struct NewOrder: Codable, Sendable {
        var item: String
    }

    private struct Page: Sendable {
        var limit: Int?
        var tags: [String]
    }

    /// An endpoint as an author writes it.
    private struct Orders: Sendable {
        let client: ServiceClient

        static let find = Endpoint<Int, Order>(.get, "orders/{id}") { id, request in request.path["id"] = id }
        static let list = Endpoint<Page, [Order]>(.get, "orders") { page, request in
            request.query["limit"] = page.limit
            request.query.append("tag", each: page.tags)
        }
        static let place = Endpoint<NewOrder, Order>(.post, "orders", expecting: [.created], options: repeatable) {
            order, request in try request.encode(order)
        }
        static let cancel = Endpoint<Int, Void>(.delete, "orders/{id}") { id, request in request.path["id"] = id }
        static let export = Endpoint<Void, ServiceResponse>(.get, "orders/export")
        static let count = Endpoint<Void, Int>(.get, "orders") { response, _ in
            try await response.collect(upTo: 1000).readableBytes
        }

        static let repeatable = RequestOptions {
            $0.idempotency = .idempotent
            $0.timeouts.attempt = .seconds(2)
        }
    }

    private static func client(_ answer: StubAnswer) throws -> (ServiceClient, StubTransport) {
        let stub = StubTransport()
        for path in ["/v1/orders", "/v1/orders/{id}"] { stub.on(nil, path, always: answer) }
        return (try ServiceClient(baseURL: "http://example.com/v1", transport: stub), stub)
    }

    @Test("An endpoint's input fills path, query and body; its output is decoded")
    func call() async throws {
        let order = #"{"id":7,"item":"rope"}"#
        let (client, stub) = try Self.client(.respond(.created, body: order))
        #expect(try await client.call(Orders.find, 7) == Order(id: 7, item: "rope"))
        #expect(try await client.call(Orders.place, NewOrder(item: "rope")).id == 7)
        try await client.call(Orders.cancel, 7)
        #expect(try await client.call(Orders.count) == order.utf8.count)
        #expect(try await client.call(Orders.export).text() == order)
        let error = try await serviceError {
            _ = try await client.call(Orders.list, Page(limit: 2, tags: ["a b", "c"]))
        }
        #expect(error.code == .decodingFailed)
        let calls = stub.calls.map { "\($0.method) \($0.path)\($0.query.map { "?" + $0 } ?? "") \($0.bodyText)" }
        #expect(
            calls == [
                "GET /v1/orders/7 ", #"POST /v1/orders {"item":"rope"}"#, "DELETE /v1/orders/7 ", "GET /v1/orders ",
                "GET /v1/orders/export ", "GET /v1/orders?limit=2&tag=a%20b&tag=c ",
            ])
        let json = "application/json"
        #expect(stub.calls.map { $0.fields[.accept] } == [json, json, nil, nil, nil, json])
        #expect(stub.calls[1].fields[.contentType] == json)
        #expect(stub.calls[1].request.isIdempotent)
        #expect(stub.calls[1].context.timeouts.attempt == .seconds(2))
    }

    @Test("An enum with a raw value fills a placeholder and a query with its raw value")
    func rawValues() async throws {
        enum Status: String, ParameterValue {
            case inProgress = "in progress"
            case up = ".."

            var description: String { "for people" }
        }
        let endpoint = Endpoint<Status, ServiceResponse>(.get, "orders/{status}") { status, request in
            request.path["status"] = status
            request.query["status"] = status
        }
        let (client, stub) = try Self.client(.respond(body: "all"))
        #expect(try await client.call(endpoint, .inProgress).text() == "all")
        let call = try #require(stub.calls.first)
        #expect(call.path == "/v1/orders/in%20progress")
        #expect(call.query == "status=in%20progress")
        let error = try await serviceError { _ = try await client.call(endpoint, .up) }
        #expect(error.code == .invalidRequest)
        #expect(error.message.contains("makes a segment . or .."))
        #expect(stub.calls.count == 1)
    }

    @Test("The template is used in place of the target; a call's own options are applied last")
    func targetTemplate() async throws {
        let (client, stub) = try Self.client(.respond(body: #"{"id":7,"item":""}"#))
        _ = try await client.call(Orders.find, 7)
        _ = try await client.call(Orders.find, 7) {
            $0.targetTemplate = "mine"
            $0.timeouts.attempt = .seconds(9)
        }
        #expect(stub.calls.map(\.request.options.targetTemplate) == ["orders/{id}", "mine"])
        #expect(stub.calls.map(\.context.timeouts.attempt) == [nil, .seconds(9)])
    }

    @Test("Only an expected status is a success: the endpoint's own list, or any 2xx", arguments: [200, 201, 404])
    func statuses(code: Int) async throws {
        let (client, _) = try Self.client(.respond(.init(code: code), body: #"{"id":7,"item":""}"#))
        for (isExpected, call) in [
            (code == 201, { _ = try await client.call(Orders.place, NewOrder(item: "")) }),
            (code < 300, { try await client.call(Orders.cancel, 1) }),
            (code < 300, { _ = try await client.call(Orders.export) }),
        ] as [(Bool, () async throws -> Void)] {
            let failure = await Requests.failure { try await call() }
            #expect((failure == nil) == isExpected)
            if let failure { #expect((failure as? ServiceError)?.unexpectedStatus?.status.code == code) }
        }
    }

    static let values: [(value: String, path: String)] = [
        ("a b", "/v1/orders/a%20b"), ("a/b", "/v1/orders/a%2Fb"), ("..%2f", "/v1/orders/..%252f"),
        ("?q#f", "/v1/orders/%3Fq%23f"), ("ü", "/v1/orders/%C3%BC"), ("\r\nX: 1", "/v1/orders/%0D%0AX%3A%201"),
        ("{id}", "/v1/orders/%7Bid%7D"), ("...", "/v1/orders/..."),
    ]

    @Test("A value is exactly one segment, percent-encoded", arguments: values)
    func oneSegment(example: (value: String, path: String)) async throws {
        let (client, stub) = try Self.client(.respond())
        let endpoint = Endpoint<String, Void>(.get, "orders/{id}") { $1.path["id"] = $0 }
        try await client.call(endpoint, example.value)
        #expect(stub.calls.map(\.path) == [example.path])
    }

    static let mistakes: [(template: String, values: [String: String], problem: String)] = [
        ("orders/{id}", [:], "has no value for {id}"), ("orders/{id}", ["id": ""], "empty value for {id}"),
        ("orders/{id}", ["id": ".."], "segment . or .."), ("orders/{id}", ["id": "."], "segment . or .."),
        ("a/{x}{y}", ["x": ".", "y": "."], "segment . or .."),
        ("orders/{id}", ["id": "1", "di": "2"], "has no placeholder {di}"),
        ("orders", ["id": "1"], "no placeholder {id}"),
        ("orders/{id", ["id": "1"], "brace"), ("orders/id}", [:], "brace"), ("orders/{{id}}", ["id": "1"], "brace"),
        ("orders/{}", [:], "without a name"), ("{a}/{a}", ["a": "1"], "{a} twice"), ("orders?x=1", [:], "query"),
        ("orders#x", [:], "fragment"), ("orders?\u{301}x", [:], "query"), ("orders#\u{301}x", [:], "fragment"),
        ("./tenants/{id}/data", ["id": ".."], "segment . or .."),
        ("tenants/{id}/\u{301}data", ["id": ".."], "segment . or .."), ("a/{b/c}", ["b/c": "1"], "beyond its segment"),
    ]

    @Test("A malformed or unfilled template is a clear error before anything is sent", arguments: mistakes)
    func badTemplate(example: (template: String, values: [String: String], problem: String)) async throws {
        let (client, stub) = try Self.client(.respond())
        let endpoint = Endpoint<[String: String], Void>(.get, example.template) { $1.path = $0 }
        let error = try await serviceError { try await client.call(endpoint, example.values) }
        #expect(error.code == .invalidRequest)
        #expect(error.message.contains(example.problem), "\(error.message)")
        #expect(stub.calls.isEmpty)
    }

    @Test("An endpoint's own encoder and decoder are used, and a response beyond its limit is refused")
    func coders() async throws {
        let (client, stub) = try Self.client(.respond(body: "7"))
        let endpoint = Endpoint<Int, Int>(
            .put, "orders", encoder: PlainText(), decoder: PlainText(), responseLimit: 1
        ) { number, request in try request.encode(number) }
        #expect(try await client.call(endpoint, 5) == 7)
        #expect(stub.calls.map(\.bodyText) == ["<5>"])
        #expect(stub.calls.map { $0.fields[.accept] } == ["text/plain"])
        #expect(stub.calls.map { $0.fields[.contentType] } == ["text/plain"])
        let narrow = Endpoint<Void, Int>(.get, "orders", responseLimit: 0)
        let error = try await serviceError { _ = try await client.call(narrow) }
        #expect(error.code == .bodyTooLarge)
    }

    /// Numbers as text.
    private struct PlainText: BodyEncoder, BodyDecoder {
        struct NotANumber: Error {}

        var contentType: String { "text/plain" }

        func encodeBody<Value: Encodable>(_ value: Value) throws -> ByteBuffer { ByteBuffer(string: "<\(value)>") }

        func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value {
            guard let value = Int(String(buffer: body)) as? Value else { throw NotANumber() }
            return value
        }
    }
}
