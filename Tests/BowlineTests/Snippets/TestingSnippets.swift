import Bowline
import BowlineTesting
import Testing

/// The snippets of Docs/Testing.md in their order, with the imports that it shows. Nothing here is run.
private enum TestingSnippets {
    struct User: Codable, Sendable {
        var name: String
    }

    struct NewUser: Codable, Sendable {
        var name: String
    }

    struct Order: Codable, Sendable {
        var id: Int
    }

    static func closure(_ stub: StubTransport) {
        stub.on(.post, "/v1/orders") { call in
            guard call.fields.contains(.authorization) else { return .respond(.unauthorized) }
            return .respond(.created, body: call.bodyText)
        }
    }

    static func limit() async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(.get, "/report", always: .respond().held(by: Gate()))  // never answers
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.clock = clock
            $0.retry = .never
        }

        let call = Task { try await client.get("report") { $0.timeouts.attempt = .seconds(3) } }
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .seconds(3))
        let error = await #expect(throws: ServiceError.self) { try await call.value }
        #expect(error?.code == .attemptTimeout)
    }

    static func stalledBody() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            // The head of a response, and not a byte of its body.
            let head = ScriptedReply.bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            server.route(.get, "/report", always: head.thenStall())
            try await withServiceClient(server.baseURL, configure: { $0.clock = clock }) { client in
                let response = try await client.get("report")
                clock.advance(by: .seconds(31))  // over timeouts.bodyIdle
                let error = await #expect(throws: ServiceError.self) { try await response.text() }
                #expect(error?.code == .bodyIdleTimeout)
            }
        }
    }

    static func middleware() async throws {
        let next = Next { request, _ in
            ServiceResponse(status: request.fields.contains(.requestID) ? .ok : .badRequest)
        }
        let context = RequestContext(clock: TestClock())
        let response = try await RequestID().intercept(.get("/users"), context: context, next: next)
        #expect(response.status == .ok)
    }

    static func snippet1() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "/v1/users/{id}",
            always: .respond(fields: [.contentType: "application/json"], body: #"{"name":"Ada"}"#))
        stub.on(.post, "/v1/users", inOrder: [.fail(.connectionRefused, progress: .neverSent), .respond(.created)])

        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) {
            $0.retry.baseDelay = .zero
        }
        let user = try await client.get("users/42").decode(User.self)
        let made = try await client.post("users", json: NewUser(name: "Ada"))
        #expect(user.name == "Ada")
        #expect(made.status == .created)
        #expect(made.attempts == 2)
        #expect(stub.calls.count == 3)
        try stub.verify()
    }

    static func snippet2() async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(.get, "/report", inOrder: [.respond(.serviceUnavailable, fields: [.retryAfter: "20"]), .respond(.ok)])
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.clock = clock
            $0.random = { 0 }  // no more than Retry-After asks for
        }

        async let response = client.get("report")
        try await stub.waitForCalls(count: 1)
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .seconds(20))
        #expect(try await response.attempts == 2)
    }

    static func snippet3() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/orders", inOrder: [.nothing.thenClose(), .reply(200, body: "[]")])
            try await withServiceClient(server.baseURL) { client in
                let orders = try await client.get("orders").decode([Order].self)
                #expect(orders.isEmpty)
            }
            #expect(server.requests.count == 2)
            #expect(server.connections.count == 2)
        }
    }

    static func snippet4(_ client: ServiceClient) async throws {
        let server = try await LoopbackServer.start()
        // Busy once, then well: the client waits and tries again.
        server.route(.get, "/busy", inOrder: [.reply(503, fields: [.retryAfter: "1"]), .reply(200, body: "{}")])
        server.route(.get, "/old/{name}", always: .reply(302, fields: [.location: "/busy"]))
        // Needs credentials.
        server.route(.get, "/mine") { request in
            request[.authorization] == "Bearer t" ? .reply(200) : .reply(401, fields: [.wwwAuthenticate: "Bearer"])
        }
        // Reads the request's body, which is there whole.
        server.route(.post, "/echo") { request in
            .reply(201, fields: [.contentType: request[.contentType] ?? ""], body: request.bodyText)
        }
        // "rope" compressed with gzip, as bytes.
        let gzipped = ByteBuffer(bytes: [
            0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3, 0x2B, 0xCA, 0x2F, 0x48, 5, 0, 0x37, 0xD7, 0x1E, 0xB1, 4, 0, 0, 0,
        ])
        server.route(.get, "/small", always: .reply(200, fields: [.contentEncoding: "gzip"], body: gzipped))
        await server.stop()
    }

    static func snippet5(_ server: LoopbackServer) async throws {
        server.onConnection { connection in
            _ = try await connection.readRequest()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            try await connection.closeNow()
        }
    }

    static func snippet6() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(
                server.baseURL, configure: { $0.tls.trustRoots = .pem(TestCertificates.authority) }
            ) { client in
                let response = try await client.get("/")
                #expect(response.status == .ok)
            }
        }
    }

    static func snippet7() async throws {
        var options = LoopbackServer.Options.http2
        options.http2?.requestsPerConnection = 2
        try await withLoopbackServer(options) { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL, configure: { $0.http2.negotiation = .http2Only }) { client in
                for _ in 1...6 { _ = try await client.get("/") }
            }
            #expect(server.connections.map(\.requests) == [2, 2, 2])
            #expect(server.requests.map(\.stream) == [1, 3, 1, 3, 1, 3])
        }
    }

    static func faultProxy() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/orders", always: .reply(200, body: "[]"))
            // The first connection is reset in the middle of the response's head; the others are slow.
            let cut = FaultScript { $0.toClient.events = [FaultEvent(at: 20, .cut(.reset))] }
            let slow = FaultScript { $0.toClient.latency = .milliseconds(20) }
            try await FaultProxy.withProxy(port: server.port, plan: .scripts([cut], then: slow)) { proxy in
                try await withServiceClient(proxy.baseURL()) { client in
                    let orders = try await client.get("orders").decode([Order].self)
                    #expect(orders.isEmpty)
                }
                #expect(proxy.accepted == 2)
                #expect(proxy.log.contains { $0.kind == .cut(.reset) && $0.offset == 20 })
            }
            #expect(server.requests.count == 2)
        }
    }

    static func silentPath(_ proxy: FaultProxy, _ client: ServiceClient) async throws {
        proxy.silence()
        let error = await #expect(throws: ServiceError.self) {
            try await client.get("orders") { $0.timeouts.attempt = .milliseconds(200) }
        }
        #expect(error?.code == .attemptTimeout)
        proxy.resume()
        let after = try await client.get("orders")
        #expect(after.status == .ok)
    }
}
