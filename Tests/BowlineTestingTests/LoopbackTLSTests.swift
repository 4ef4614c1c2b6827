import BowlineTesting
import NIOCore
import NIOSSL
import Testing

@Suite("Loopback server: TLS", .timeLimit(.minutes(1)))
struct LoopbackTLSTests {
    static func client(
        identity: TestCertificates.Identity? = nil, protocols: [String] = [],
        authority: String = TestCertificates.authority
    ) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authority.utf8)))
        configuration.applicationProtocols = protocols
        if let identity {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificate.utf8))
                .map { .certificate($0) }
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem)
            )
        }
        return configuration
    }

    @Test("The server speaks TLS, and records the server name and the negotiated protocol")
    func handshake() async throws {
        var tls = LoopbackTLS()
        tls.applicationProtocols = ["http/1.1"]
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200, body: "ok") }
            try await withRawClient(
                to: server, tls: Self.client(protocols: ["h2", "http/1.1"]), serverName: "localhost"
            ) { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(try await client.read(through: "ok").hasPrefix("HTTP/1.1 200 OK\r\n"))
                client.finish()
                #expect(await client.readToEnd() == ("", .finished))
            }
            let connection = try #require(server.connections.first)
            #expect(connection.serverName == "localhost")
            #expect(connection.applicationProtocol == "http/1.1")
            #expect(connection.end == .clientFinished)
            #expect(server.problems == [])
        }
    }

    @Test(
        "a certificate checked against its address works for IPv4 and IPv6",
        arguments: [
            LoopbackServer.Options.Address.ipv4, .ipv6,
        ])
    func addressCertificate(address: LoopbackServer.Options.Address) async throws {
        var options = LoopbackServer.Options.tls()
        options.address = address
        try await withLoopbackServer(options) { server in
            server.respond { _ in .reply(204) }
            try await withRawClient(to: server, tls: Self.client()) { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(try await client.read(through: "\r\n\r\n").hasPrefix("HTTP/1.1 204 No Content\r\n"))
            }
            #expect(server.connections.first?.serverName == nil)
        }
    }

    static let bad: [(String, TestCertificates.Identity)] = [
        ("wrong host", TestCertificates.wrongHost), ("expired", TestCertificates.expired),
        ("not yet valid", TestCertificates.notYetValid), ("wildcard for another domain", TestCertificates.wildcard),
        ("untrusted", TestCertificates.untrusted),
    ]

    @Test(
        "each bad certificate makes a client refuse the handshake, and the server notes it", .tags(.TL1), arguments: bad
    )
    func badCertificate(name: String, identity: TestCertificates.Identity) async throws {
        try await withLoopbackServer(.tls(LoopbackTLS(identity))) { server in
            try await withRawClient(to: server, tls: Self.client(), serverName: "localhost") { client in
                #expect(await client.readToEnd() == ("", .reset), "\(name)")
            }
            try await server.waitForOpenConnections(count: 0)
            guard case .handshakeFailed = server.connections.first?.end else {
                // With TLS 1.3 the client may refuse the certificate after the server has completed its side of the
                // handshake.
                #expect(server.connections.first?.end != .clientFinished)
                return
            }
            #expect(server.requests.isEmpty)
        }
    }

    @Test(
        "The server requires a client certificate if it is configured to",
        arguments: [
            (TestCertificates.client, true), (TestCertificates.untrustedClient, false), (nil, false),
        ])
    func clientCertificate(identity: TestCertificates.Identity?, isAccepted: Bool) async throws {
        try await withLoopbackServer(.tls(.requiringClientCertificate)) { server in
            server.respond { _ in .reply(200, body: "ok") }
            try await withRawClient(
                to: server, tls: Self.client(identity: identity), serverName: "localhost"
            ) { client in
                try? await client.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
                #expect(await client.readToEnd().text.hasSuffix("ok") == isAccepted)
            }
            #expect(server.requests.count == (isAccepted ? 1 : 0))
            guard !isAccepted else { return }
            // The client may see the end before the server does.
            try await server.waitForOpenConnections(count: 0)
            guard case .handshakeFailed = try #require(server.connections.first).end else {
                Issue.record("\(server.connections)")
                return
            }
        }
    }

    @Test("cuts the stream without close_notify, which the client notices")
    func truncation() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200, body: "ok", framing: .untilClose).thenCloseWithoutNotify() }
            try await withRawClient(to: server, tls: Self.client(), serverName: "localhost") { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                #expect(await client.readToEnd() == ("HTTP/1.1 200 OK\r\n\r\nok", .reset))
            }
        }
    }

    @Test("closes an encrypted connection in order, and resets it")
    func endings() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond(inOrder: [.reply(204).thenClose(), .reset])
            for end in [RawClient.End.finished, .reset] {
                try await withRawClient(to: server, tls: Self.client(), serverName: "localhost") { client in
                    try await client.send("GET / HTTP/1.1\r\n\r\n")
                    #expect(await client.readToEnd().end == end)
                }
            }
        }
    }

    @Test("a client that does not speak TLS fails the handshake")
    func plainClient() async throws {
        try await withLoopbackServer(.tls()) { server in
            try await withRawClient(to: server) { client in
                try await client.send("GET / HTTP/1.1\r\n\r\n")
                _ = await client.readToEnd()
            }
            try await server.waitForOpenConnections(count: 0)
            guard case .handshakeFailed = try #require(server.connections.first).end else {
                Issue.record("\(server.connections)")
                return
            }
        }
    }
}
