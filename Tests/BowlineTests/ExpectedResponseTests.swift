import Bowline
import BowlineTesting
import Foundation
import Testing

@Suite("Expecting and decoding responses", .timeLimit(.minutes(1)))
struct ExpectedResponseTests {
    private struct User: Codable, Sendable, Equatable {
        var name: String
        var born: Date?
        var tags: [Tag]?
        var scores: [String: Int]?
    }

    private struct Tag: Codable, Sendable, Equatable {
        var label: String
    }

    /// A client with a service that gives one answer.
    private static func response(_ answer: StubAnswer) async throws -> ServiceResponse {
        let stub = StubTransport()
        stub.on(.get, "/", always: answer)
        return try await ServiceClient(baseURL: "http://example.com", transport: stub).get("")
    }

    @Test("A status of 400 or above is a response, not an error, until the caller says which status it expects")
    func statusIsNoError() async throws {
        let response = try await Self.response(.respond(.notFound, body: "nothing here"))
        #expect(response.status == .notFound)
        #expect(try await response.text() == "nothing here")
    }

    static let expectations: [(status: Int, rule: String, isExpected: Bool)] = [
        (200, "none", true), (204, "none", true), (299, "none", true), (304, "none", false), (404, "none", false),
        (201, "created", true), (200, "created", false), (404, "range", true), (500, "range", false),
        (418, "rule", true), (200, "rule", false),
    ]

    @Test("expecting accepts the expected statuses, and nothing else", arguments: expectations)
    func expecting(example: (status: Int, rule: String, isExpected: Bool)) async throws {
        let response = try await Self.response(.respond(.init(code: example.status), body: "body"))
        let checked: Void? = try? await {
            switch example.rule {
            case "none": _ = try await response.expecting()
            case "created": _ = try await response.expecting(.created, .accepted)
            case "range": _ = try await response.expecting(200..<500)
            default: _ = try await response.expecting { $0.code == 418 }
            }
        }()
        #expect((checked != nil) == example.isExpected)
    }

    @Test("An unexpected status is an error that keeps status, fields and body, and shows only the status")
    func unexpected() async throws {
        let fields: HTTPFields = [.server: "canary-field"]
        let response = try await Self.response(.respond(.conflict, fields: fields, body: "canary-body"))
        let error = try await serviceError { _ = try await response.expecting(.ok) }
        #expect(error.code == .unexpectedStatus)
        #expect(error.progress == .responseStarted)
        let found = try #require(error.unexpectedStatus)
        #expect(found.status == .conflict)
        #expect(found.fields == fields)
        #expect(String(buffer: found.body) == "canary-body")
        #expect(!found.isTruncated)
        var dumped = ""
        dump(error, to: &dumped)
        let shown = ["\(error)", "\(found)", String(reflecting: error), String(reflecting: found), dumped].joined()
        #expect(shown.contains("409"))
        #expect(!shown.contains("canary"))
    }

    @Test("An unexpected response's body is kept up to 64 KiB", arguments: [65_535, 65_536, 65_537, 300_000])
    func cappedBody(length: Int) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                .reply(500, body: String(repeating: "x", count: length), framing: .chunks(of: 10_000))
            }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError { _ = try await client.post("x").decode(User.self) }
                let found = try #require(error.unexpectedStatus)
                #expect(found.body.readableBytes == min(length, 65_536))
                #expect(found.isTruncated == (length > 65_536))
            }
        }
    }

    @Test("An unexpected response keeps the part of its body that came before a failure")
    func brokenBody() async throws {
        let broken = StubAnswer.respond { _ in
            let chunks = AsyncThrowingStream<ByteBuffer, any Error> { hand in
                hand.yield(ByteBuffer(string: "some"))
                hand.finish(throwing: ServiceError(.incompleteBody, "cut off"))
            }
            return .respond(ServiceResponse(status: .badRequest, body: ResponseBody(chunks)))
        }
        let response = try await Self.response(broken)
        let error = try await serviceError { _ = try await response.expecting() }
        #expect(error.code == .unexpectedStatus)
        let found = try #require(error.unexpectedStatus)
        #expect(String(buffer: found.body) == "some")
        #expect(found.isTruncated)
    }

    @Test("An unexpected response is an unexpectedStatus error even if its body was read before")
    func readBefore() async throws {
        let response = try await Self.response(.respond(.badRequest, body: "read"))
        _ = try await response.text()
        let error = try await serviceError { _ = try await response.decode(User.self) }
        #expect(error.unexpectedStatus?.status == .badRequest)
    }

    @Test("Cancelling the task while an unexpected response is read throws CancellationError", .tags(.CA9))
    func cancelledWhileRead() async throws {
        try await withLoopbackServer { server in
            let head = "HTTP/1.1 400 No\r\nContent-Length: 100\r\n\r\n"
            server.respond { _ in .bytes(head + "some").thenStall() }
            try await withServiceClient(server.baseURL) { client in
                let response = try await client.get("")
                let task = Task { try await response.expecting() }
                task.cancel()
                await #expect(throws: CancellationError.self) { _ = try await task.value }
            }
        }
    }

    @Test("decode reads a value from a 2xx, with ISO 8601 dates with and without fractions", arguments: ["", ".250"])
    func decoding(fraction: String) async throws {
        let body = #"{"name":"Ada","born":"1970-01-01T00:00:10\#(fraction)Z","tags":[{"label":"x"}]}"#
        let user = try await Self.response(.respond(.created, body: body)).decode(User.self)
        #expect(user.name == "Ada")
        #expect(user.born == Date(timeIntervalSince1970: fraction.isEmpty ? 10 : 10.25))
        let inferred: User = try await Self.response(.respond(body: body)).decode()
        #expect(inferred == user)
    }

    @Test("decode requires a 2xx unless expecting named the status")
    func decodingErrors() async throws {
        let body = #"{"label":"why"}"#
        let error = try await serviceError {
            _ = try await Self.response(.respond(.notFound, body: body)).decode(Tag.self)
        }
        #expect(error.unexpectedStatus?.status == .notFound)
        let tag = try await Self.response(.respond(.notFound, body: body)).expecting(.notFound).decode(Tag.self)
        #expect(tag == Tag(label: "why"))
    }

    static let undecodable: [(body: String, message: String)] = [
        (#"{"nom":"canary"}"#, "cannot decode User: no value at name"),
        (#"{"name":1}"#, "cannot decode User: not String at name"),
        (#"{"name":null}"#, "cannot decode User: null at name where String is needed"),
        (#"{"name":"canary","born":"canary"}"#, "cannot decode User: invalid value at born"),
        (#"{"name":"a","tags":[{"label":"a"},{}]}"#, "cannot decode User: no value at tags[1].label"),
        (#"{"name":"a","scores":{"canary":"canary"}}"#, "cannot decode User: not Int at scores.*"),
        (#"["canary"]"#, "cannot decode User: not Dictionary<String, Any> at the top level"),
        ("canary", "cannot decode User: the body is not valid JSON"), ("", "cannot decode User: the body is empty"),
    ]

    @Test(
        "The error of a body that cannot be decoded names type and coding path, and shows nothing of the body",
        arguments: undecodable)
    func decodingFails(example: (body: String, message: String)) async throws {
        let response = try await Self.response(.respond(body: example.body))
        let error = try await serviceError { _ = try await response.decode(User.self) }
        #expect(error.code == .decodingFailed)
        #expect(error.message == example.message)
        #expect(error.underlying is DecodingError)
        #expect(!"\(error)\(String(reflecting: error))".contains("canary"))
    }

    @Test("The error does not show a key that the program takes from the body")
    func dynamicKeys() async throws {
        let response = try await Self.response(.respond(body: #"{"canary":"x"}"#))
        let error = try await serviceError { _ = try await response.decode(AnyKeys.self) }
        #expect(error.message == "cannot decode AnyKeys: not Int at *")
    }

    /// Takes the body's own keys.
    private struct AnyKeys: Decodable {
        struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }

            init?(stringValue: String) {
                self.stringValue = stringValue
            }

            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            for key in container.allKeys { _ = try container.decode(Int.self, forKey: key) }
        }
    }

    @Test(
        "A body beyond the limit of decode, text or collect is refused, also without an announced length",
        arguments: [true, false])
    func tooLarge(isAnnounced: Bool) async throws {
        try await withLoopbackServer { server in
            let body = "\"\(String(repeating: "x", count: 998))\""
            server.respond { _ in .reply(200, body: body, framing: isAnnounced ? .length : .chunks(of: 100)) }
            try await withServiceClient(server.baseURL) { client in
                #expect(try await client.get("").decode(String.self, upTo: 1000).utf8.count == 998)
                let reads: [@Sendable (ServiceResponse) async throws -> Void] = [
                    { _ = try await $0.decode(String.self, upTo: 999) }, { _ = try await $0.text(upTo: 999) },
                    { _ = try await $0.collect(upTo: 999) },
                ]
                for read in reads {
                    let error = try await serviceError { try await read(try await client.get("")) }
                    #expect(error.code == .bodyTooLarge)
                }
            }
        }
    }

    @Test("text decodes UTF-8 with repairs, or ISO-8859-1 if the response says so")
    func texts() async throws {
        let bytes = ByteBuffer(bytes: [0x61, 0xE9])
        #expect(try await Self.response(.respond(body: bytes)).text() == "a\u{FFFD}")
        let fields: HTTPFields = [.contentType: "text/plain; Charset=\"ISO-8859-1\""]
        #expect(try await Self.response(.respond(fields: fields, body: bytes)).text() == "aé")
    }

    @Test("A client and its derived clients use the client's own decoder and encoder; a call's own ones win")
    func coders() async throws {
        let stub = StubTransport()
        stub.on(.post, "/") { call in .respond(body: call.body) }
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub) {
            let encoder = JSONEncoder.json
            encoder.keyEncodingStrategy = .convertToSnakeCase
            $0.encoder = encoder
            let decoder = JSONDecoder.json
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            $0.decoder = decoder
        }
        struct Named: Codable, Sendable, Equatable { var fullName: String }
        let named = Named(fullName: "Ada")
        #expect(try await client.post("", json: named).decode(Named.self) == named)
        #expect(stub.calls.last?.bodyText == #"{"full_name":"Ada"}"#)
        #expect(stub.calls.last?.fields[.contentType] == "application/json")
        let derived = try client.with { $0.encoder = JSONEncoder.json }
        _ = try await derived.post("", json: named).decode(Named.self, using: JSONDecoder.json)
        #expect(stub.calls.last?.bodyText == #"{"fullName":"Ada"}"#)
    }

    @Test("A response that a middleware makes with another's body is decoded with the client's decoder")
    func rebuilt() async throws {
        let stub = StubTransport()
        stub.on(.get, "/", always: .respond(.notFound, body: #"{"full_name":"Ada"}"#))
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub) {
            let decoder = JSONDecoder.json
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            $0.decoder = decoder
        }
        struct Named: Codable, Sendable, Equatable { var fullName: String }
        let response = try await client.get("").expecting(.notFound)
        let rebuilt = ServiceResponse(
            status: response.status, fields: response.fields, body: response.body, facts: response.facts)
        // The new response does not inherit the statuses that the caller expected of the first.
        #expect(try await rebuilt.expecting(.notFound).decode(Named.self) == Named(fullName: "Ada"))
    }

    @Test("print(response) contains status, connection and attempts, and neither fields nor body")
    func description() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, fields: [.server: "canary"], body: "canary") }
            try await withServiceClient(server.baseURL) { client in
                let response = try await client.get("")
                #expect("\(response)" == "200 over HTTP/1.1, connection 1 (new), 6 bytes")
                var dumped = ""
                dump(response, to: &dumped)
                #expect(!dumped.contains("canary"))
            }
        }
    }
}
