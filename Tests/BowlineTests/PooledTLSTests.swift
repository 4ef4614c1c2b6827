import Bowline
import BowlineTesting
import NIOCore
import Testing

/// How an encrypted connection in the pool may end: an alert there is no failed handshake.
@Suite("The end of pooled encrypted connections", .timeLimit(.minutes(1)))
struct PooledTLSTests {
    enum End: String, CaseIterable, Sendable {
        case closeNotify, fatalAlert, truncation

        func happen(on connection: LoopbackConnection) async throws {
            switch self {
            case .closeNotify: try await connection.closeNow()
            case .fatalAlert:
                try await connection.sendUnencrypted(LookBeforeWritingTests.Surprise.fatal)
                try await connection.waitForClose()
            case .truncation: try await connection.closeWithoutNotify()
            }
        }
    }

    @Test(
        "TLS's close_notify, an alert or a bare FIN removes an unused connection", .tags(.PO7), arguments: End.allCases)
    func whileIdle(end: End) async throws {
        // Not in the same segment as the response: bytes that TLS cannot read destroy the other bytes of their read.
        let isRead = Gate()
        try await withServer { connection in
            _ = try await connection.readRequest()
            try await connection.reply(200, body: "first")
            try await isRead.wait()
            try await end.happen(on: connection)
        } _: { client, server in
            #expect(try await client.fetch("/first").text == "first")
            isRead.open()
            try await eventually("nothing idle") { client.pool.snapshot().idle == 0 }
            try await server.waitForOpenConnections(count: 0)
            let fetched = try await client.fetch(.post("/next", body: .text("x")))
            #expect(fetched.text == "/next")
            #expect(fetched.connectionID == 2)
            #expect(fetched.response.resends == 0)
        }
    }

    @Test(
        "A request that races with an alert on its pooled connection is not lost, whatever the method",
        .tags(.RT1, .RT4),
        arguments: End.allCases)
    func racing(end: End) async throws {
        let areRead = (0...50).map { _ in Gate() }
        try await withLoopbackServer(.tls()) { server in
            server.onConnection { connection in
                guard let request = try await connection.readRequest() else { return }
                try await connection.reply(200, body: request.path)
                try await areRead[Int(request.path.dropFirst()) ?? 0].wait()
                try await end.happen(on: connection)
            }
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            } _: { client in
                for number in 1...50 {
                    // The server may have executed a POST that was written when the alert came: it fails, and says so.
                    let request =
                        number % 2 == 0
                        ? ServiceRequest.get("/\(number)") : .post("/\(number)", body: .text("x"))
                    do {
                        let fetched = try await client.fetch(request)
                        #expect(fetched.text == "/\(number)")
                        areRead[number].open()
                    } catch let error as ServiceError {
                        #expect(number % 2 == 1, "\(number) \(error)")
                        #expect(error.code == .connectionClosed, "\(number) \(error)")
                        #expect(error.progress == .ambiguous, "\(number) \(error)")
                    }
                    #expect(server.executions(of: "/\(number)") <= 1)
                }
            }
        }
    }

    @Test(
        "A GET that an alert answers on a reused connection is sent again once", .tags(.RT2),
        arguments: End.allCases)
    func afterWriting(end: End) async throws {
        try await withAlertedRequest(end) { client, server in
            let fetched = try await client.fetch("/victim")
            #expect(fetched.text == "/victim")
            #expect(fetched.connectionID == 2)
            #expect(fetched.response.resends == 1)
            #expect(server.executions(of: "/victim") == 2)
        }
    }

    @Test(
        "A POST that an alert answers on a reused connection fails as ambiguous", .tags(.RT3), arguments: End.allCases)
    func afterWritingPOST(end: End) async throws {
        try await withAlertedRequest(end) { client, server in
            let error = try await serviceError {
                _ = try await client.fetch(.post("/victim", body: .text("x")))
            }
            // Not `tlsHandshakeFailed`: this connection's handshake was long over.
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .ambiguous)
            #expect(error.connectionWasReused == true)
            #expect(server.executions(of: "/victim") == 1)
        }
    }

    @Test(
        "A refusal of our certificate on a prewarmed, unused connection fails the next request as a handshake failure",
        .tags(.TL4))
    func refusedAfterHandshake() async throws {
        try await withLoopbackServer(.tls(.requiringClientCertificate)) { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            } _: { client in
                for _ in 1...20 {
                    try? await client.pool.prewarm(origin: server.baseURL, connections: 1)
                    let error = try await serviceError { _ = try await client.fetch("/") }
                    #expect(error.code == .tlsHandshakeFailed, "\(error)")
                }
                #expect(server.requests.isEmpty)
            }
        }
    }

    private func withAlertedRequest(
        _ end: End, _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withServer { connection in
            _ = try await connection.readRequest()
            try await connection.reply(200, body: "first")
            _ = try await connection.readRequest()
            try await end.happen(on: connection)
        } _: { client, server in
            #expect(try await client.fetch("/first").text == "first")
            try await body(client, server)
        }
    }

    /// A server whose first connection runs `first`; the others answer with the path.
    private func withServer(
        first: @escaping @Sendable (LoopbackConnection) async throws -> Void,
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer(.tls()) { server in
            server.onConnection { connection in
                if connection.number == 1 { try await first(connection) } else { try await connection.serveRequests() }
            }
            server.respond { .reply(200, body: $0.path) }
            try await withServiceClient(server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            } _: { client in
                try await body(client, server)
            }
        }
    }
}
