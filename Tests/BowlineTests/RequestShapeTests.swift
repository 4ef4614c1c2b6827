import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Verbs, queries, JSON and forms", .timeLimit(.minutes(1)))
struct RequestShapeTests {
    private struct NewUser: Codable, Sendable {
        var name: String
    }

    /// Encodes only so far.
    private struct Stubborn: Encodable, Sendable {
        var list = [1.0, Double.nan]
    }

    private struct Broken: Encodable {
        struct Refusal: Error {}
        func encode(to encoder: any Encoder) throws { throw Refusal() }
    }

    /// A sequence that never yields. It reports when it is asked, and when the request for a chunk is cancelled.
    private struct EndlessWait: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let asked = Gate()
        let cancelled = Gate()

        func makeAsyncIterator() -> EndlessWait { self }

        func next() async throws -> ByteBuffer? {
            asked.open()
            do {
                try await Gate().wait()
            } catch {
                cancelled.open()
                throw error
            }
            return nil
        }
    }

    /// Sends with `send` and returns what the server got.
    private func received(
        _ send: @Sendable (ServiceClient) async throws -> ServiceResponse
    ) async throws -> RecordedRequest {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.url("v1")) { client in
                let response = try await send(client)
                #expect(response.status == .ok)
            }
            #expect(server.problems.isEmpty)
            return try #require(server.requests.first)
        }
    }

    @Test("Every verb sends its method, target, query, fields and options")
    func verbs() async throws {
        let verbs: [(HTTPRequest.Method, @Sendable (ServiceClient) async throws -> ServiceResponse)] = [
            (
                .get,
                { try await $0.get("a", query: ["q": "x y"], fields: [.accept: "b"]) { $0.idempotency = .idempotent } }
            ),
            (.head, { try await $0.head("a", query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.delete, { try await $0.delete("a", query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.post, { try await $0.post("a", body: .text("t"), query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.put, { try await $0.put("a", body: .text("t"), query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.patch, { try await $0.patch("a", body: .text("t"), query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.post, { try await $0.post("a", json: "t", query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.put, { try await $0.put("a", json: "t", query: ["q": "x y"], fields: [.accept: "b"]) }),
            (.patch, { try await $0.patch("a", json: "t", query: ["q": "x y"], fields: [.accept: "b"]) }),
        ]
        for (index, (method, send)) in verbs.enumerated() {
            let request = try await received(send)
            #expect(request.method == method)
            #expect(request.target == "/v1/a?q=x%20y")
            #expect(request[.accept] == "b")
            #expect(request.bodyText == (index < 3 ? "" : index < 6 ? "t" : #""t""#))
        }
    }

    @Test("A verb's closure sets the request's options; without one the request has none")
    func options() async throws {
        let stub = StubTransport()
        stub.on(nil, "/", always: .respond(.ok))
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub)
        _ = try await client.post("", json: 1) {
            $0.idempotency = .idempotent
            $0.timeouts.attempt = .seconds(2)
        }
        _ = try await client.post("", json: 1)
        #expect(stub.calls.map(\.request.isIdempotent) == [true, false])
        #expect(stub.calls.map(\.context.timeouts.attempt) == [.seconds(2), nil])
    }

    @Test("JSON is encoded with its content type, unless the request has one")
    func json() async throws {
        let plain = try await received { try await $0.post("users", json: NewUser(name: "Ada/Ü")) }
        #expect(plain[.contentType] == "application/json")
        #expect(plain[.contentLength] == "\(plain.bodyLength)")
        let decoder: any BodyDecoder = .json
        #expect(try decoder.decodeBody(NewUser.self, from: plain.body).name == "Ada/Ü")
        let own = try await received {
            try await $0.patch("users", json: ["a": 1], fields: [.contentType: "application/merge-patch+json"])
        }
        #expect(own[.contentType] == "application/merge-patch+json")
        #expect(own.bodyText == #"{"a":1}"#)
    }

    @Test("A value that cannot be encoded fails before a byte is sent, and the error names type and coding path")
    func encodingFails() async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                let stubborn = try await serviceError { _ = try await client.post("", json: Stubborn()) }
                #expect(stubborn.code == .encodingFailed)
                #expect(stubborn.message == "cannot encode Stubborn at list[1]")
                #expect(stubborn.progress == .neverSent)
                let broken = try await serviceError { _ = try await client.put("", json: Broken()) }
                #expect(broken.message == "cannot encode Broken")
                #expect(broken.underlying is Broken.Refusal)
                #expect(client.pool.snapshot().opened == 0)
            }
            #expect(server.connections.isEmpty)
        }
    }

    @Test("A form is sent as browsers do it: + for a space, UTF-8, other reserved characters escaped")
    func form() async throws {
        let request = try await received {
            try await $0.post(
                "login", body: .form(["user": "Ada L", "pass": "a+b&c=d%\r\n", "Grüße": "🪢", "none": nil]))
        }
        #expect(request[.contentType] == "application/x-www-form-urlencoded")
        #expect(request.bodyText == "user=Ada+L&pass=a%2Bb%26c%3Dd%25%0D%0A&Gr%C3%BC%C3%9Fe=%F0%9F%AA%A2")
    }

    @Test(
        "A multipart form is sent with its length if all parts know theirs, otherwise in chunks",
        arguments: [true, false])
    func multipart(isLengthKnown: Bool) async throws {
        let request = try await received { client in
            var form = MultipartForm()
            form.append("title", "A \"title\"\r\n")
            let chunks = CountedChunks(of: 30_000, limit: 5)
            let file = RequestBody.replayable(length: isLengthKnown ? 150_000 : nil) { chunks }
            form.append("data", file: file, fileName: "dáta.bin")
            return try await client.post("upload", body: .multipart(form))
        }
        let type = try #require(request[.contentType])
        let boundary = String(type.dropFirst("multipart/form-data; boundary=".count))
        let expected = """
            --\(boundary)\r\nContent-Disposition: form-data; name="title"\r\n\r\nA "title"\r\n\r\n\
            --\(boundary)\r\nContent-Disposition: form-data; name="data"; filename="dáta.bin"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\(String(repeating: "a", count: 150_000))\r\n\
            --\(boundary)--\r\n
            """
        #expect(request.bodyText.utf8.elementsEqual(expected.utf8))
        #expect((request[.contentLength] != nil) == isLengthKnown)
    }

    @Test("Cancelling a request cancels the one-shot stream in its form", .tags(.CA7))
    func cancelledForm() async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                let chunks = EndlessWait()
                // Kept to the end, so that the stream does not end because of its release.
                let body = try RequestBody.multipart(MultipartForm([.init("f", body: .stream(chunks), fileName: "f")]))
                let task = Task { _ = try await client.post("", body: body) }
                try await chunks.asked.wait()
                task.cancel()
                try await chunks.cancelled.wait()
                await #expect(throws: CancellationError.self) { try await task.value }
                withExtendedLifetime(body) {}
            }
        }
    }

    @Test("A form of replayable parts is sent again from its first byte when a pooled connection was dead", .tags(.RT5))
    func multipartResend() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/warm", always: .reply(200))
            server.respond { $0.number > 1 ? .close : .reply(200, body: "\($0.bodyLength)") }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.get("warm").text()
                var form = MultipartForm()
                form.append("f", file: .replayable { CountedChunks(of: 1000, limit: 3) }, fileName: "f")
                let response = try await client.put("form", body: .multipart(form))
                #expect(response.resends == 1)
                let sent = server.requests.filter { $0.path == "/form" && $0.isComplete }
                #expect(sent.count == 2)
                #expect(sent.first?.body == sent.last?.body)
                #expect(try await response.text() == "\(sent[0].bodyLength)")
            }
        }
    }
}
