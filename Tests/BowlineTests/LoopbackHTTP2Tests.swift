import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("The loopback server over HTTP/2", .timeLimit(.minutes(1)))
struct LoopbackHTTP2Tests {
    private func withPair(
        _ options: LoopbackServer.Options = .http2, sent: SentFields = SentFields(),
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer(options) { server in
            try await withServiceClient(server.baseURL) {
                $0.http2.negotiation = .http2Only
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                $0.retry.maximumAttempts = 1
                $0.middleware.perAttempt = [sent]
            } _: { client in
                try await body(client, server)
            }
            await sent.compare(with: server.requests)
        }
    }

    /// Posts "rope" twice on one connection to a server that echoes it. Passes the fetched responses and the server to
    /// `look`.
    private func withTwoPosts(_ look: ([FetchedResponse], LoopbackServer) throws -> Void) async throws {
        try await withPair { client, server in
            server.respond { .reply(201, fields: [.contentType: "text/plain"], body: $0.bodyText) }
            var fetched: [FetchedResponse] = []
            for _ in 0..<2 { fetched.append(try await client.fetch(.post("/a?b=c", body: .text("rope")))) }
            try look(fetched, server)
        }
    }

    @Test("A reply arrives with its status, its fields and its body")
    func reply() async throws {
        try await withTwoPosts { responses, _ in
            #expect(responses.count == 2)
            for fetched in responses {
                #expect(fetched.response.status == .created)
                #expect(fetched.text == "rope")
                #expect(fetched.response.fields[.contentType] == "text/plain")
            }
        }
    }

    @Test("Requests on one connection are recorded with their streams and their numbers")
    func recordsStreams() async throws {
        try await withTwoPosts { _, server in
            #expect(server.requests.map(\.stream) == [1, 3])
            #expect(server.requests.map(\.number) == [1, 2])
            #expect(server.connections.map(\.requests) == [2])
            #expect(server.problems.isEmpty)
        }
    }

    @Test("A request is recorded with its fields as they came, and its body")
    func records() async throws {
        try await withTwoPosts { _, server in
            let request = try #require(server.requests.first)
            #expect(request.method == .post)
            #expect(request.target == "/a?b=c")
            #expect(request.isComplete)
            #expect(!request.wasReset)
            #expect(request.head.hasPrefix(":method: POST\r\n"))
            #expect(request[.contentLength] == "4")
        }
    }

    @Test("A stopped server is released; a recorded body takes no more memory than it needs")
    func released() async throws {
        weak var server: LoopbackServer?
        try await withPair(.http2(LoopbackTLS())) { client, started in
            server = started
            started.respond { .reply(200, body: $0.bodyText) }
            #expect(try await client.fetch(.post("/", body: .text("rope"))).text == "rope")
            let body = try #require(started.requests.first).body
            #expect(body == ByteBuffer(string: "rope"))
            #expect(body.storageCapacity <= 64)
        }
        while server != nil, !Task.isCancelled { await Task.yield() }
        #expect(server == nil)
    }

    @Test("HEAD, 204, an informational response, trailers and slow pieces arrive as scripted")
    func shapes() async throws {
        try await withPair { client, server in
            server.route(.head, "/", always: .reply(200, body: "rope"))
            server.route(.delete, "/", always: .reply(204))
            server.route(
                .get, "/hinted", always: .sequence(.reply(103, fields: [.vary: "*"]), .reply(200, body: "rope")))
            server.route(
                .get, "/trailed",
                always: .reply(200, body: "rope", framing: .chunked, trailers: [.eTag: "\"1\""]))
            server.route(.get, "/slow", always: .trickle(.init(200, body: "rope"), size: 1, every: .milliseconds(1)))
            let head = try await client.fetch(.init(method: .head, "/"))
            #expect(head.text.isEmpty)
            #expect(head.response.fields[.contentLength] == "4")
            #expect(try await client.fetch(.init(method: .delete, "/")).response.status == .noContent)
            let hinted = try await client.fetch("/hinted")
            #expect(hinted.response.informational.map(\.status.code) == [103])
            #expect(hinted.text == "rope")
            let trailed = try await client.get("/trailed")
            #expect(try await trailed.body.collect(upTo: 10) == ByteBuffer(string: "rope"))
            #expect(trailed.body.trailers?.count == 1)
            #expect(try await client.fetch("/slow").text == "rope")
            #expect(server.problems.isEmpty)
        }
    }

    @Test("A refused stream is sent again; a cancelled one is an error for the caller", .tags(.H2e))
    func resets() async throws {
        try await withPair { client, server in
            server.route(.post, "/refused", inOrder: [.resetStream(code: 7), .reply(200)])
            server.route(.get, "/cancelled", always: .resetStream())
            let response = try await client.fetch(.post("/refused", body: .text("rope"))).response
            #expect(response.status == .ok)
            #expect(response.resends == 1)
            let error = try await serviceError { _ = try await client.fetch("/cancelled") }
            #expect(error.code == .streamReset)
            #expect(error.progress == .ambiguous)
            #expect(server.connections.count == 1)
        }
    }

    @Test("The script cuts a response, and the connection with it")
    func cut() async throws {
        try await withPair { client, server in
            let whole = ScriptedResponse(200, body: "rope")
            let head = whole.bytes(answering: .head).readableBytes
            server.route(.get, "/body", always: .cut(after: head + 2, of: whole))
            server.route(.get, "/head", always: .cut(after: 1, of: whole))
            let inBody = try await serviceError { _ = try await client.fetch("/body") }
            #expect(inBody.code == .incompleteBody)
            #expect(inBody.progress == .responseStarted)
            let inHead = try await serviceError { _ = try await client.fetch("/head") }
            #expect(inHead.code == .connectionClosed)
            #expect(inHead.progress == .ambiguous)
            #expect(server.connections.map(\.end) == [.serverClosed, .serverClosed])
        }
    }

    @Test(
        "A connection that goes away after five requests fails none of forty, and each arrives once", .tags(.H2a),
        arguments: [false, true])
    func goesAway(isEncrypted: Bool) async throws {
        var options: LoopbackServer.Options = isEncrypted ? .http2(LoopbackTLS()) : .http2
        options.http2?.requestsPerConnection = 5
        try await withPair(options) { client, server in
            server.respond { _ in .reply(200) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask { _ = try await client.fetch(.post("/\(number)", body: .text("rope"))) }
                }
                try await group.waitForAll()
            }
            #expect(Set(server.requests.map(\.target)).count == 40)
            #expect(server.requests.count == 40)
            #expect(server.connections.allSatisfy { $0.requests <= 5 })
            #expect(server.connections.count >= 8)
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test("A scripted reply may come before the request's body; other replies come when the request is whole")
    func early() async throws {
        let sent = SentFields()
        try await withPair(sent: sent) { client, server in
            let refused = Gate()
            server.respondEarly { request in
                switch request.path {
                case "/large": return .reply(413, body: "large").then(.resetStream(code: 0))
                case "/refused" where !refused.isOpen:
                    refused.open()
                    return .resetStream(code: 7)
                default: return nil
                }
            }
            server.respond { .reply(200, body: $0.bodyText) }
            let (chunks, more) = AsyncStream.makeStream(of: ByteBuffer.self)
            more.yield(ByteBuffer(string: "rope"))
            let body = RequestBody.stream(chunks)
            sent.note(body, yields: ByteBuffer(string: "rope"))
            let large = try await client.fetch(.post("/large", body: body))
            #expect(large.response.status == .contentTooLarge)
            #expect(large.text == "large")
            let again = try await client.fetch(.post("/refused", body: .text("rope")))
            #expect(again.response.status == .ok)
            #expect(again.text == "rope")
            #expect(again.response.resends == 1)
            #expect(try await client.fetch("/").text == "")
            #expect(server.requests.map(\.path) == ["/large", "/refused", "/refused", "/"])
            #expect(server.requests.first?.isComplete == false)
            #expect(server.problems.isEmpty)
            more.finish()
        }
    }

    @Test("A body larger than its stream's first window arrives whole", arguments: [1, 1000, 65_535, 200_000])
    func window(bytes: Int) async throws {
        var options = LoopbackServer.Options.http2
        options.http2?.initialWindow = bytes
        try await withPair(options) { client, server in
            server.respond { .reply(200, body: $0.body) }
            let body = ByteBuffer(bytes: (0..<150_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            // The first request may begin before the client knows the window.
            for _ in 0..<3 {
                let response = try await client.send(.post("/", body: .bytes(body)))
                #expect(try await response.body.collect(upTo: 1 << 20) == body)
            }
            #expect(server.requests.map(\.bodyLength) == [150_000, 150_000, 150_000])
            #expect(server.problems.isEmpty)
        }
    }

    @Test("The fields of a request and of a reply may be larger than a frame; later sections are right, too")
    func largeSections() async throws {
        var options = LoopbackServer.Options.http2
        options.http2?.maximumHeaderListSize = 131_072
        var large: HTTPFields = [:]
        for number in 0..<60 {
            let name = try #require(HTTPField.Name("x-large-\(number)"))
            large.append(HTTPField(name: name, value: String(repeating: "v", count: 900) + "\(number)"))
        }
        let trailer = try #require(HTTPField.Name("x-sum"))
        try await withPair(options) { [large] client, server in
            server.respond { request in
                .reply(
                    200, fields: request.fields, body: "rope", framing: .chunked,
                    trailers: [trailer: String(repeating: "t", count: 20_000)])
            }
            for fields in [[:], large, [.accept: "a/b"], large] as [HTTPFields] {
                let response = try await client.send(ServiceRequest("/", fields: fields))
                #expect(try await response.body.collect(upTo: 10) == ByteBuffer(string: "rope"))
                for field in fields { #expect(response.fields[field.name] == field.value) }
                #expect(response.body.trailers?[trailer]?.utf8.count == 20_000)
            }
            #expect(server.connections.count == 1)
            #expect(server.problems.isEmpty)
        }
    }

    @Test("A request whose fields are larger than the announced limit is not sent")
    func tooLargeSection() async throws {
        try await withPair { client, server in
            server.respond { _ in .reply(200) }
            let value = String(repeating: "v", count: 16_384)
            let error = try await serviceError {
                _ = try await client.fetch(ServiceRequest("/", fields: [.accept: value]))
            }
            #expect(error.code == .invalidRequest)
            #expect(error.progress == .neverSent)
            #expect(server.problems.isEmpty)
        }
    }

    @Test("A reply that HTTP/2 cannot send is recorded as a problem")
    func impossible() async throws {
        try await withPair { client, server in
            server.respond { _ in .bytes("HTTP/1.1 200 OK\r\n\r\n") }
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .streamReset)
            #expect(server.problems.count == 1)
        }
    }
}
