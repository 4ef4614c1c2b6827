import Bowline
import BowlineTesting
import NIOCore
import NIOPosix
import Testing

@Suite("Encrypted connections", .timeLimit(.minutes(1)))
struct TLSTests {
    private static func client(
        _ url: String, _ configure: (inout ClientConfiguration) -> Void = { _ in }
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: url) {
            $0.tls.trustRoots = .pem(TestCertificates.authority)
            configure(&$0)
        }
    }

    /// A request that must fail in the handshake: the server sees none of its bytes, and there is no resend.
    private func expectHandshakeFailure(
        _ tls: LoopbackTLS, host: String = "localhost", codes: [ServiceError.Code] = [.tlsHandshakeFailed],
        sourceLocation: SourceLocation = #_sourceLocation,
        _ configure: (inout ClientConfiguration) -> Void = { _ in }
    ) async throws {
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200) }
            let client = try Self.client("https://\(host):\(server.port)", configure)
            let error = try await serviceError(
                { _ = try await client.fetch("/secret") }, sourceLocation: sourceLocation)
            #expect(codes.contains(error.code), "\(error)", sourceLocation: sourceLocation)
            #expect(error.attempts == 1, sourceLocation: sourceLocation)
            #expect(!error.description.contains("secret"), sourceLocation: sourceLocation)
            try await server.waitForOpenConnections(count: 0)
            #expect(server.requests.isEmpty, sourceLocation: sourceLocation)
            #expect(server.connections.count == 1, sourceLocation: sourceLocation)
            #expect(server.connections.allSatisfy { $0.bytesReceived == 0 }, sourceLocation: sourceLocation)
            #expect(client.pool.snapshot().active == 0, sourceLocation: sourceLocation)
            await client.shutdown()
        }
    }

    @Test(
        "A certificate for the host, or the address, is accepted and the connection reused", .tags(.TL1),
        arguments: [
            "localhost", "127.0.0.1", "LOCALHOST",
        ])
    func accepted(host: String) async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { .reply(200, body: $0.path) }
            let client = try Self.client("https://\(host):\(server.port)")
            for isReused in [false, true] {
                let fetched = try await client.fetch("/a")
                #expect(fetched.text == "/a")
                #expect(fetched.isReused == isReused)
            }
            // TL3: names are sent, addresses are not (RFC 6066 §3).
            #expect(server.connections.map(\.serverName) == [host == "127.0.0.1" ? nil : host.lowercased()])
            #expect(server.connections.map(\.applicationProtocol) == [nil])
            await client.shutdown()
            try await server.waitForOpenConnections(count: 0)
            #expect(server.connections.map(\.end) == [.clientFinished])
        }
    }

    @Test("An IPv6 address in the certificate is accepted", .tags(.TL1))
    func acceptedIPv6() async throws {
        var options = LoopbackServer.Options.tls()
        options.address = .ipv6
        try await withLoopbackServer(options) { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try Self.client("https://[::1]:\(server.port)")
            let fetched = try await client.fetch("/")
            #expect(fetched.text == "x")
            #expect(server.connections.map(\.serverName) == [nil])
            await client.shutdown()
        }
    }

    static let bad: [(String, TestCertificates.Identity)] = [
        ("wrong host", TestCertificates.wrongHost), ("expired", TestCertificates.expired),
        ("not yet valid", TestCertificates.notYetValid), ("name only in subject", TestCertificates.nameOnlyInSubject),
        ("wildcard of another domain", TestCertificates.wildcard), ("unknown authority", TestCertificates.untrusted),
    ]

    @Test(
        "A bad certificate fails in the handshake, before a byte of the request", .tags(.TL1, .TL2, .I13),
        arguments: [
            "localhost", "127.0.0.1",
        ])
    func refused(host: String) async throws {
        for (_, identity) in Self.bad {
            try await expectHandshakeFailure(LoopbackTLS(identity), host: host)
        }
    }

    @Test(
        "Without the authority in the trusted roots the good certificate is refused", .tags(.TL1),
        arguments: [true, false])
    func untrustedAuthority(isOther: Bool) async throws {
        try await expectHandshakeFailure(LoopbackTLS()) {
            $0.tls.trustRoots = isOther ? .pem(TestCertificates.otherAuthority) : .system
        }
    }

    @Test(
        "A wildcard matches one left-most label", .tags(.TL1),
        arguments: [
            ("a.test.example", true), ("A.TEST.example", true), ("a.b.test.example", false), ("test.example", false),
            ("atest.example", false),
        ])
    func wildcards(name: String, isGood: Bool) async throws {
        guard isGood else {
            return try await expectHandshakeFailure(LoopbackTLS(TestCertificates.wildcard)) { $0.tls.serverName = name }
        }
        try await withLoopbackServer(.tls(LoopbackTLS(TestCertificates.wildcard))) { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try Self.client(server.baseURL) { $0.tls.serverName = name }
            let fetched = try await client.fetch("/")
            #expect(fetched.text == "x")
            #expect(server.connections.first?.serverName?.lowercased() == name.lowercased())
            await client.shutdown()
        }
    }

    @Test("Verification can skip the name, or everything, and no more than that")
    func verificationLevels() async throws {
        let cases: [(TestCertificates.Identity, TLSOptions.Verification, Bool)] = [
            (TestCertificates.wrongHost, .withoutHostName, true), (TestCertificates.expired, .withoutHostName, false),
            (TestCertificates.untrusted, .withoutHostName, false), (TestCertificates.untrusted, .disabled, true),
            (TestCertificates.expired, .disabled, true),
        ]
        for (identity, verification, isAccepted) in cases {
            if isAccepted {
                try await withLoopbackServer(.tls(LoopbackTLS(identity))) { server in
                    server.respond { _ in .reply(200, body: "x") }
                    let client = try Self.client(server.baseURL) { $0.tls.verification = verification }
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                    await client.shutdown()
                }
            } else {
                try await expectHandshakeFailure(LoopbackTLS(identity)) { $0.tls.verification = verification }
            }
        }
    }

    @Test(
        "A server that asks for a client certificate gets ours", .tags(.TL4),
        arguments: [LoopbackTLS.Version.tls12, .tls13])
    func clientCertificate(version: LoopbackTLS.Version) async throws {
        var tls = LoopbackTLS.requiringClientCertificate
        tls.maximumVersion = version
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try Self.client(server.baseURL) {
                $0.tls.identity = .pem(
                    certificate: TestCertificates.client.certificate, key: TestCertificates.client.key
                )
            }
            let fetched = try await client.fetch("/")
            #expect(fetched.text == "x")
            await client.shutdown()
        }
    }

    @Test(
        "A TLS 1.3 peer whose certificate is for another host does not get ours, and the error keeps its reason",
        .tags(.TL4),
        arguments: [[], ["h2"]])
    func clientCertificateForAnotherHost(protocols: [String]) async throws {
        var tls = LoopbackTLS.requiringClientCertificate
        tls.identity = TestCertificates.wrongHost
        tls.minimumVersion = .tls13
        tls.applicationProtocols = protocols
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200) }
            let client = try Self.client("https://localhost:\(server.port)") {
                $0.tls.identity = .pem(
                    certificate: TestCertificates.client.certificate, key: TestCertificates.client.key
                )
            }
            for number in 1...5 {
                let error = try await serviceError { _ = try await client.fetch("/secret") }
                #expect(error.code == .tlsHandshakeFailed)
                #expect(error.progress == .neverSent)
                #expect(error.attempts == 1)
                #expect(
                    error.message
                        == "the peer's certificate is not for \"localhost\": it names \"wrong.example\", 192.0.2.1")
                try await server.waitForOpenConnections(count: 0)
                #expect(server.connections.count == number)
            }
            // A server that has our certificate has completed the handshake.
            for connection in server.connections {
                guard case .handshakeFailed = connection.end else {
                    Issue.record("the handshake was completed: \(String(describing: connection.end))")
                    continue
                }
                #expect(connection.bytesReceived == 0)
            }
            #expect(server.requests.isEmpty)
            #expect(client.pool.snapshot().active == 0)
            await client.shutdown()
        }
    }

    @Test(
        "Without a client certificate, or with one that it does not trust, the server refuses", .tags(.TL4),
        arguments: [
            LoopbackTLS.Version.tls12, .tls13,
        ])
    func badClientCertificate(version: LoopbackTLS.Version) async throws {
        for identity in [nil, TestCertificates.untrustedClient] {
            var tls = LoopbackTLS.requiringClientCertificate
            tls.maximumVersion = version
            // With TLS 1.3 the alert comes after our first bytes, and a reset in answer to them may overtake it.
            let codes: [ServiceError.Code] =
                version == .tls13 ? [.tlsHandshakeFailed, .connectionClosed] : [.tlsHandshakeFailed]
            try await expectHandshakeFailure(tls, codes: codes) {
                if let identity { $0.tls.identity = .pem(certificate: identity.certificate, key: identity.key) }
            }
        }
    }

    @Test("A server below the configured version is refused", .tags(.TL5))
    func minimumVersion() async throws {
        var tls = LoopbackTLS()
        tls.maximumVersion = .tls12
        try await expectHandshakeFailure(tls) { $0.tls.minimumVersion = .tls13 }
    }

    @Test("TLS 1.0 and 1.1 are refused by default", .tags(.TL5), arguments: [UInt8(1), 2])
    func oldVersion(minor: UInt8) async throws {
        try await withLoopbackServer { server in
            let afterHello = Guarded<[UInt8]>([])
            server.onConnection { connection in
                _ = try await connection.read(atLeast: 100)
                // A ServerHello of that version: no session, ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
                var hello = ByteBuffer(bytes: [0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor])
                hello.writeRepeatingByte(0x42, count: 32)
                hello.writeBytes([0, 0xC0, 0x13, 0])
                try await connection.send(hello)
                let answer = try await connection.read(atLeast: 7)
                afterHello.withLock { $0 = Array(buffer: answer) }
            }
            let client = try Self.client("https://localhost:\(server.port)")
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .tlsHandshakeFailed)
            try await server.waitForOpenConnections(count: 0)
            // A fatal alert: protocol_version.
            try await eventually("the alert") { afterHello.withLock { !$0.isEmpty } }
            #expect(afterHello.withLock { $0.first } == 0x15)
            #expect(afterHello.withLock { $0.last } == 70)
            await client.shutdown()
        }
    }

    @Test("An encrypted body that ends with the connection but without close_notify is incomplete", .tags(.TL6))
    func truncation() async throws {
        let cases: [(ScriptedResponse.Framing, Bool)] = [
            (.untilClose, true), (.untilClose, false), (.length, true), (.chunked, true),
        ]
        for (framing, isCut) in cases {
            try await withLoopbackServer(.tls()) { server in
                server.respond { _ in
                    let response = ScriptedResponse(
                        200, body: "hello", framing: framing == .untilClose ? .manual : framing)
                    return isCut ? .reply(response).thenCloseWithoutNotify() : .reply(response).thenClose()
                }
                let client = try Self.client(server.baseURL)
                if isCut, framing == .untilClose {
                    let error = try await serviceError { _ = try await client.fetch("/") }
                    #expect(error.code == .incompleteBody)
                    #expect(error.progress == .responseStarted)
                } else {
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "hello")
                }
                try await server.waitForOpenConnections(count: 0)
                await client.shutdown()
            }
        }
    }

    @Test("https to a server that speaks plain HTTP is a TLS error, and the server sees no request", .tags(.TL7))
    func plainServer() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                let bytes = try await connection.read(atLeast: 20)
                #expect(!String(buffer: bytes).contains("secret"))
                try await connection.reply(400, body: "this is plain HTTP")
            }
            let client = try Self.client("https://localhost:\(server.port)")
            let error = try await serviceError { _ = try await client.fetch("/secret") }
            #expect(error.code == .tlsHandshakeFailed)
            try await server.waitForOpenConnections(count: 0)
            await client.shutdown()
        }
    }

    @Test("Plain HTTP to a TLS server is an error that says so, or says that the connection closed", .tags(.TL7))
    func encryptedServer() async throws {
        try await withLoopbackServer(.tls()) { server in
            let client = try ServiceClient(baseURL: "http://localhost:\(server.port)")
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect([.protocolViolation, .connectionClosed].contains(error.code), "\(error)")
            try await server.waitForOpenConnections(count: 0)
            await client.shutdown()
        }
    }

    @Test("A handshake and a response that come byte by byte work", .tags(.TL8))
    func byteByByte() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withByteByByteProxy(to: server.port) { port in
                let client = try Self.client("https://localhost:\(port)")
                for _ in 1...2 {
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                }
                #expect(server.connections.count == 1)
                await client.shutdown()
            }
        }
    }

    /// Runs `body` with the port of a proxy that passes on the server's bytes one at a time.
    private func withByteByByteProxy(to port: Int, _ body: (Int) async throws -> Void) async throws {
        let proxy = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { inbound in
                ClientBootstrap(group: inbound.eventLoop)
                    .channelInitializer { outbound in
                        outbound.eventLoop.makeCompletedFuture {
                            try outbound.pipeline.syncOperations.addHandler(Forwarder(to: inbound, size: 1))
                        }
                    }
                    .connect(host: "127.0.0.1", port: port)
                    .flatMap { outbound in
                        inbound.eventLoop.makeCompletedFuture {
                            try inbound.pipeline.syncOperations.addHandler(Forwarder(to: outbound, size: .max))
                        }
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body(try #require(proxy.localAddress?.port))
        } catch {
            try await proxy.close()
            throw error
        }
        try await proxy.close()
    }

    /// Passes bytes on in pieces of a maximum size, each in a write of its own.
    private final class Forwarder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let target: any Channel
        private let size: Int

        init(to target: any Channel, size: Int) {
            self.target = target
            self.size = size
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            while bytes.readableBytes > 0, let piece = bytes.readSlice(length: min(size, bytes.readableBytes)) {
                target.writeAndFlush(piece, promise: nil)
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            target.close(promise: nil)
        }
    }
}
