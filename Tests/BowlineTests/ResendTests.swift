import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

/// What the transport sends again on its own, and what it must not. The server counts what it received.
@Suite("Resends", .timeLimit(.minutes(1)))
struct ResendTests {
    /// How a connection that was used once ends when its second request has come.
    enum Death: String, CaseIterable, Sendable {
        case close, reset
    }

    static let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"]
    static let others = ["POST", "PATCH", "FROB"]

    @Test(
        "A request that was never written moves to another connection, whatever the method", .tags(.RT1, .RT4),
        arguments: Death.allCases,
        [true, false]
    )
    func deadBeforeWrite(death: Death, isNoticedFirst: Bool) async throws {
        try await withOneRequestServer(death) { client, server, death in
            for (index, method) in (Self.idempotent + Self.others).enumerated() {
                // The end of the connection has reached this machine: the pool has noticed it, or the check before the
                // write will.
                if isNoticedFirst { try await eventually("nothing idle") { client.pool.snapshot().idle == 0 } }
                let response = try await client.send(Self.request(method, "/\(method)"))
                #expect(response.status == .ok, "\(method)")
                #expect(response.connection?.id == index + 1, "\(method)")
                _ = try await response.body.collect(upTo: 100)
                #expect(server.executions(of: "/\(method)") == 1, "\(method)")
                try await death(index + 1)
            }
        }
    }

    @Test(
        "An idempotent request on a reused connection that dies is sent again once, on a new connection", .tags(.RT2),
        arguments: idempotent, Death.allCases
    )
    func idempotentIsResent(method: String, death: Death) async throws {
        try await withDyingServer(death) { client, server in
            let response = try await client.send(Self.request(method, "/victim"))
            #expect(response.status == .ok)
            #expect(response.resends == 1)
            #expect(response.attempts == 1)
            #expect(response.requestsSent == 2)
            #expect(response.connection?.requests == 1)
            #expect(response.connection?.isReused == false)
            #expect(server.executions(of: "/victim") == 2)
            #expect(Set(server.requests.filter { $0.path == "/victim" }.map(\.connection)).count == 2)
        }
    }

    @Test(
        "Any other request fails as ambiguous, and the server has seen it once", .tags(.RT3),
        arguments: others, Death.allCases
    )
    func othersAreNot(method: String, death: Death) async throws {
        try await withDyingServer(death) { client, server in
            let error = try await serviceError { _ = try await client.send(Self.request(method, "/victim")) }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .ambiguous)
            #expect(error.connectionWasReused == true)
            #expect(error.attempts == 1)
            #expect(server.executions(of: "/victim") == 1)
        }
    }

    @Test("A request's own idempotency option wins over its method", .tags(.RT3))
    func declaredIdempotency() async throws {
        var marked = Self.request("POST", "/victim")
        marked.options.idempotency = .idempotent
        var keyed = Self.request("POST", "/victim")
        try keyed.setField("idempotency-key", "1")
        for request in [marked, keyed] {
            try await withDyingServer(.close) { client, server in
                let response = try await client.send(request)
                #expect(response.resends == 1)
                #expect(server.executions(of: "/victim") == 2)
            }
        }
        var unmarked = Self.request("GET", "/victim")
        unmarked.options.idempotency = .notIdempotent
        var refusing = Self.request("GET", "/victim")
        refusing.options.allowsResend = false
        for request in [unmarked, refusing] {
            try await withDyingServer(.close) { client, server in
                let error = try await serviceError { _ = try await client.send(request) }
                #expect(error.progress == .ambiguous)
                #expect(server.executions(of: "/victim") == 1)
            }
        }
    }

    @Test(
        "With allowsResend off, a request that was never written may fail, but says that it was never sent", .tags(.RT4)
    )
    func nothingWrittenAndNoResend() async throws {
        try await withOneRequestServer(.close) { client, server, death in
            var connections = 0
            for number in 1...20 {
                var request = ServiceRequest.post("/\(number)", body: .text("x"))
                request.options.allowsResend = false
                do {
                    _ = try await client.fetch(request)
                    connections += 1
                    try await death(connections)
                } catch let error as ServiceError {
                    #expect(error.code == .connectionClosed)
                    #expect(error.progress == .neverSent)
                    #expect(server.executions(of: "/\(number)") == 0)
                }
            }
        }
    }

    @Test(
        "After one byte of a response nothing is sent again", .tags(.RT6),
        arguments: ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"], Death.allCases
    )
    func responseBegun(bytes: String, death: Death) async throws {
        try await withDyingServer(death, after: bytes) { client, server in
            let error = try await serviceError { _ = try await client.fetch(Self.request("GET", "/victim")) }
            // A reset may overtake the bytes: then the client received none, and GET goes again, which must fail as
            // well.
            #expect(error.progress == .responseStarted)
            #expect(server.executions(of: "/victim") == 1)
        }
    }

    @Test(
        "After an informational response nothing is sent again: the response had begun", .tags(.RT7),
        arguments: ["GET", "POST"],
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
    )
    func informationalThenEnd(method: String, bytes: String) async throws {
        try await withDyingServer(.close, after: bytes) { client, server in
            let error = try await serviceError { _ = try await client.fetch(Self.request(method, "/victim")) }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .responseStarted)
            #expect(server.executions(of: "/victim") == 1)
        }
    }

    @Test(
        "The transport does not retry on a new connection that ends without a byte", .tags(.RT8),
        arguments: ["GET", "PUT", "POST"], Death.allCases
    )
    func freshConnection(method: String, death: Death) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in death == .close ? .close : .reset }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                let error = try await serviceError { _ = try await client.fetch(Self.request(method, "/victim")) }
                #expect(error.code == .connectionClosed)
                #expect(error.progress == .ambiguous)
                #expect(error.connectionWasReused == false)
                #expect(server.connections.count == 1)
                #expect(server.executions(of: "/victim") == 1)
            }
        }
    }

    @Test("A prewarmed connection that waited counts as a reused one, which may have died", .tags(.RT8))
    func prewarmedConnection() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                if connection.number == 1 {
                    _ = try await connection.readRequest()
                    return try await connection.closeNow()
                }
                try await connection.serveRequests()
            }
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                try await client.pool.prewarm(origin: server.baseURL, connections: 1)
                let response = try await client.fetch("/victim")
                #expect(response.response.resends == 1)
                #expect(response.connectionID == 2)
            }
        }
    }

    @Test(
        "When the resend fails too, its error is the outcome: the transport never resends twice", .tags(.RT9),
        arguments: Death.allCases)
    func neverTwice(death: Death) async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                if request.path == "/first" { return .reply(200, body: "x") }
                return death == .close ? .close : .reset
            }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                _ = try await client.fetch("/first")
                let error = try await serviceError { _ = try await client.fetch("/victim") }
                #expect(error.code == .connectionClosed)
                #expect(error.progress == .ambiguous)
                #expect(server.executions(of: "/victim") == 2)
                #expect(server.connections.count == 2)
            }
        }
    }

    @Test("Connections that have been unused for as long are closed with the dead one", .tags(.RT2))
    func siblings() async throws {
        try await withLoopbackServer { server in
            let gates = (0..<4).map { _ in Gate() }
            server.respond { request in
                if let index = Int(request.path.dropFirst()) { return .reply(200, body: "x").held(by: gates[index]) }
                return request.number == 1 ? .reply(200, body: "x") : .close
            }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                let tasks = (0..<4).map { index in Task { try await client.fetch("/\(index)") } }
                try await server.waitForRequests(count: 4)
                // One after the other: with two loops at once the order of return is not defined.
                for (task, gate) in zip(tasks, gates) {
                    gate.open()
                    _ = try await task.value
                }
                #expect(client.pool.snapshot().idle == 4)
                let response = try await client.fetch("/victim")
                #expect(response.response.resends == 1)
                // The dead connection was the latest: all others had been unused for longer.
                try await server.waitForOpenConnections(count: 1)
                #expect(client.pool.snapshot().closed["stale"] == 3)
                #expect(client.pool.snapshot().idle == 1)
            }
        }
    }

    @Test("The resend gets a new connection even if a younger one is unused, and the younger one is kept", .tags(.RT2))
    func youngerSibling() async throws {
        try await withLoopbackServer { server in
            let gates = ["/a": Gate(), "/b": Gate(), "/victim": Gate()]
            server.respond { request in
                guard let gate = gates[request.path] else { return .reply(200, body: "x") }
                if request.path == "/victim", request.number > 1 { return .close.held(by: gate) }
                return .reply(200, body: "x").held(by: gate)
            }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                async let older = client.fetch("/a")
                try await server.waitForRequests(count: 1)
                async let newer = client.fetch("/b")
                try await server.waitForRequests(count: 2)
                gates["/a"]?.open()
                let first = try await older.connectionID
                async let victim = client.fetch("/victim")
                try await server.waitForRequests(count: 3)
                gates["/b"]?.open()
                let younger = try await newer.connectionID
                #expect(client.pool.snapshot().idle == 1)
                #expect(younger != first)
                gates["/victim"]?.open()
                let resent = try await victim
                #expect(resent.response.resends == 1)
                #expect(resent.connectionID == 3)
                #expect(resent.response.connection?.requests == 1)
                #expect(client.pool.snapshot().idle == 2)
                #expect(client.pool.snapshot().closed["stale"] == nil)
            }
        }
    }

    @Test("At the pool's limit the resend still gets a new connection", .tags(.RT2))
    func resendAtLimit() async throws {
        try await withDyingServer(.close, configure: { $0.pool.maximumPerOrigin = 1 }) { client, server in
            let response = try await client.fetch("/victim")
            #expect(response.response.resends == 1)
            #expect(response.response.connection?.requests == 1)
        }
    }

    @Test(
        "A complete response followed by FIN is intact, and the request that races with the FIN is not lost",
        .tags(.RT10))
    func responseThenFIN() async throws {
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: request.path).thenClose() }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                for number in 1...200 {
                    let fetched = try await client.fetch("/\(number)")
                    #expect(fetched.text == "/\(number)")
                }
                // A request that was written while the FIN was in flight may have been sent twice, never more.
                for number in 1...200 { #expect((1...2).contains(server.executions(of: "/\(number)"))) }
            }
        }
    }

    @Test("POSTs that race with FIN are executed at most once, and exactly once if they succeed", .tags(.RT10))
    func postsRacingFIN() async throws {
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: request.path).thenClose() }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                for number in 1...300 {
                    do {
                        let fetched = try await client.fetch(.post("/\(number)", body: .text("x")))
                        #expect(fetched.text == "/\(number)")
                        #expect(server.executions(of: "/\(number)") == 1)
                    } catch let error as ServiceError {
                        #expect(error.code == .connectionClosed)
                        #expect(server.executions(of: "/\(number)") <= (error.progress == .neverSent ? 0 : 1))
                    }
                }
            }
        }
    }

    @Test("A response that had arrived before the FIN is delivered whole, although no reader had come", .tags(.RT11))
    func finBehindUnreadResponse() async throws {
        let body = String(repeating: "0123456789", count: 20_000)
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: body).thenClose() }
            try await withServiceClient(server.baseURL) {
                $0.connection.readBufferLimit = 1024
            } _: { client in
                let response = try await client.get("/")
                try await server.waitForOpenConnections(count: 0)
                #expect(String(buffer: try await response.body.collect(upTo: 1 << 20)) == body)
            }
        }
    }

    @Test(
        "A reset after a complete response: the response if it was read, otherwise an error; a POST never twice",
        .tags(.RT12))
    func resetBehindResponse() async throws {
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: request.path).thenReset() }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                for number in 1...200 {
                    do {
                        let fetched = try await client.fetch(.post("/\(number)", body: .text("x")))
                        #expect(fetched.text == "/\(number)")
                    } catch let error as ServiceError {
                        #expect(error.code == .connectionClosed || error.code == .incompleteBody)
                    }
                    #expect(server.executions(of: "/\(number)") <= 1)
                }
            }
        }
    }

    @Test("A 408 on an unused connection does not answer the next request", .tags(.RT13))
    func timeoutOnIdle() async throws {
        let gate = Gate()
        let sent = Gate()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard connection.number == 1 else { return try await connection.serveRequests() }
                _ = try await connection.readRequest()
                try await connection.reply(200, body: "first")
                try await gate.wait()
                try await connection.reply(408, fields: [.connection: "close"])
                sent.open()
                try await connection.waitForClose()
            }
            server.respond { request in .reply(200, body: request.path) }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                _ = try await client.fetch("/first")
                gate.open()
                try await sent.wait()
                let fetched = try await client.fetch(.post("/second", body: .text("x")))
                #expect(fetched.response.status == .ok)
                #expect(fetched.text == "/second")
                #expect(fetched.connectionID == 2)
            }
        }
    }

    static func request(_ method: String, _ path: String) -> ServiceRequest {
        let hasBody = ["POST", "PUT", "PATCH"].contains(method)
        return ServiceRequest(
            method: HTTPRequest.Method(method) ?? .get, path, body: hasBody ? .text("payload") : .none
        )
    }
}

/// Runs `body` with a server whose connections die after one request each. The last argument waits until this machine's
/// kernel knows that the connection of that number is dead.
func withOneRequestServer(
    _ death: ResendTests.Death, _ body: (ServiceClient, LoopbackServer, (Int) async throws -> Void) async throws -> Void
) async throws {
    let deaths = (0..<100).map { _ in Gate() }
    try await withLoopbackServer { server in
        server.onConnection { connection in
            guard let request = try await connection.readRequest() else { return }
            try await connection.reply(ScriptedResponse(200, body: request.bodyText), to: request)
            switch death {
            case .close: try await connection.closeNow()
            case .reset: try await connection.reset()
            }
            deaths[connection.number].open()
        }
        try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
            try await body(client, server) { try await deaths[$0].wait() }
        }
    }
}

/// Runs `body` with a client whose only connection has served one request and dies, once, when `/victim` has come.
func withDyingServer(
    _ death: ResendTests.Death, after bytes: String = "",
    configure: (inout ClientConfiguration) throws -> Void = { _ in },
    _ body: (ServiceClient, LoopbackServer) async throws -> Void
) async throws {
    try await withLoopbackServer { server in
        server.respond { request in
            guard request.path == "/victim", request.connection == 1 else { return .reply(200, body: "x") }
            let last = bytes.isEmpty ? ScriptedReply.nothing : .bytes(bytes)
            return death == .close ? last.thenClose() : last.delayedReset(isNeeded: !bytes.isEmpty)
        }
        try await withServiceClient(
            server.baseURL,
            configure: {
                $0.retry = .never
                try configure(&$0)
            }
        ) { client in
            let first = try await client.fetch("/first")
            #expect(first.connectionID == 1)
            try await body(client, server)
        }
    }
}

extension ScriptedReply {
    /// This reply, then a reset. If there are bytes, the reset comes late enough for the client to read them first.
    fileprivate func delayedReset(isNeeded: Bool) -> ScriptedReply {
        thenReset(after: isNeeded ? .milliseconds(50) : .zero)
    }
}
