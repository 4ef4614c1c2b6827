import Bowline
import BowlineTesting
import Testing

@Suite("The program's own check of a peer", .timeLimit(.minutes(1)))
struct PeerVerificationTests {
    private struct Revoked: Error, Equatable {
        let host: String
    }

    static let versions: [LoopbackTLS.Version] = [.tls12, .tls13]
    static let verifications: [TLSOptions.Verification] = [.full, .withoutHostName, .disabled]

    /// A server that accepts one version of TLS, with HTTP/2 or without.
    private func withServer(
        _ version: LoopbackTLS.Version, isHTTP2: Bool = false, asksForCertificate: Bool = false,
        _ body: (LoopbackServer) async throws -> Void
    ) async throws {
        var tls = asksForCertificate ? LoopbackTLS.requiringClientCertificate : LoopbackTLS()
        tls.minimumVersion = version
        tls.maximumVersion = version
        try await withLoopbackServer(isHTTP2 ? .http2(tls) : .tls(tls)) { server in
            server.respond { .reply(200, body: $0.path) }
            try await body(server)
        }
    }

    private func client(
        _ server: LoopbackServer, _ configure: (inout ClientConfiguration) -> Void = { _ in },
        verify: @escaping @Sendable (PresentedCertificate) async throws -> Void
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: "https://localhost:\(server.port)") {
            $0.tls.trustRoots = .pem(TestCertificates.authority)
            $0.retry = .never
            configure(&$0)
            $0.tls.verifyPeer = PeerVerification(verify)
        }
    }

    @Test(
        "The check gets the host, the certificate and its pin, once for each connection", .tags(.TL11),
        arguments: versions, verifications)
    func presented(version: LoopbackTLS.Version, verification: TLSOptions.Verification) async throws {
        try await withServer(version) { server in
            let seen = Guarded<[PresentedCertificate]>([])
            let client = try client(server) {
                $0.tls.verification = verification
            } verify: { peer in
                seen.withLock { $0.append(peer) }
            }
            for path in ["/first", "/second"] {
                let fetched = try await client.fetch(path)
                #expect(fetched.text == path)
            }
            #expect(server.connections.count == 1)
            let certificate = CertificateFolder.der(TestCertificates.server.certificate)
            #expect(
                seen.withLock { $0 } == [
                    PresentedCertificate(host: "localhost", certificate: certificate, pin: PinTests.server)
                ])
            await client.shutdown()
        }
    }

    @Test(
        "A check that takes its time holds the bytes of both sides, and the connection then works", .tags(.TL11),
        arguments: versions, [false, true])
    func slow(version: LoopbackTLS.Version, isHTTP2: Bool) async throws {
        try await withServer(version, isHTTP2: isHTTP2) { server in
            let (hasBegun, mayEnd) = (Gate(), Gate())
            let client = try client(
                server,
                verify: { _ in
                    hasBegun.open()
                    try await mayEnd.wait()
                })
            let pending = Task { try await client.fetch("/slow") }
            try await hasBegun.wait()
            // With TLS 1.2 the server's handshake is complete, and its HTTP/2 settings are on their way. With TLS 1.3
            // the server waits for our last flight.
            if version == .tls12, isHTTP2 {
                try await eventually("the handshake of the server") {
                    server.connections.first?.applicationProtocol == "h2"
                }
            }
            #expect(server.requests.isEmpty)
            mayEnd.open()
            let fetched = try await pending.value
            #expect(fetched.text == "/slow")
            #expect(fetched.response.connection?.protocolVersion == (isHTTP2 ? .http2 : .http1_1))
            let next = try await client.fetch("/next")
            #expect(next.text == "/next")
            #expect(next.isReused)
            #expect(server.problems.isEmpty)
            await client.shutdown()
        }
    }

    @Test(
        "A check that throws refuses the peer, which gets nothing of the request and with TLS 1.3 no certificate",
        .tags(.TL11, .TL2), arguments: versions, verifications)
    func refused(version: LoopbackTLS.Version, verification: TLSOptions.Verification) async throws {
        try await withServer(version, asksForCertificate: true) { server in
            let client = try client(server) {
                $0.tls.verification = verification
                $0.tls.identity = .pem(
                    certificate: TestCertificates.client.certificate, key: TestCertificates.client.key)
            } verify: { peer in
                await Task.yield()
                throw Revoked(host: peer.host)
            }
            let error = try await serviceError { _ = try await client.fetch("/secret") }
            #expect(error.code == .tlsHandshakeFailed)
            #expect(error.message == "tls.verifyPeer refused the peer (Revoked)")
            #expect((error.underlying as? Revoked) == Revoked(host: "localhost"))
            #expect(error.progress == .neverSent)
            #expect(error.attempts == 1)
            try await server.waitForOpenConnections(count: 0)
            #expect(server.requests.isEmpty)
            #expect(server.connections.map(\.bytesReceived) == [0])
            if version == .tls13 || verification == .disabled {
                #expect(server.connections.map(\.clientCertificate) == [nil])
            }
            await client.shutdown()
        }
    }

    @Test("The check is not asked about a peer that another check refuses", .tags(.TL11))
    func notAsked() async throws {
        let calls = Guarded(0)
        for identity in [TestCertificates.untrusted, TestCertificates.wrongHost, TestCertificates.server] {
            try await withLoopbackServer(.tls(LoopbackTLS(identity))) { server in
                let client = try client(server) {
                    if identity == TestCertificates.server { $0.tls.pins = [PinTests.wrongHost] }
                } verify: { _ in
                    calls.withLock { $0 += 1 }
                }
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .tlsHandshakeFailed)
                #expect(!error.message.contains("verifyPeer"))
                await client.shutdown()
            }
        }
        #expect(calls.withLock { $0 } == 0)
    }

    @Test(
        "A check that hangs ends at timeouts.connect: it is cancelled, and the connection closes at once",
        .tags(.TL11), arguments: versions, [TLSOptions.Verification.full, .disabled])
    func hangs(version: LoopbackTLS.Version, verification: TLSOptions.Verification) async throws {
        try await withServer(version) { server in
            let clock = TestClock()
            let (hasBegun, wasCancelled) = (Gate(), Gate())
            let client = try client(server) {
                $0.useOnly(clock)
                $0.timeouts.connect = .seconds(3)
                $0.tls.verification = verification
            } verify: { _ in
                hasBegun.open()
                do {
                    try await Gate().wait()
                } catch {
                    wasCancelled.open()
                    throw error
                }
            }
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await hasBegun.wait()
            }
            #expect(error.code == .connectTimeout)
            #expect(error.progress == .neverSent)
            try await wasCancelled.wait()
            try await server.waitForOpenConnections(count: 0)
            #expect(server.connections.map(\.bytesReceived) == [0])
            #expect(clock.now == MonotonicInstant(nanoseconds: 3_000_000_000))
            await client.shutdown()
        }
    }

    @Test(
        "If the peer leaves during the check, the connection has failed, and the check is cancelled", .tags(.TL11),
        arguments: [
            (LoopbackTLS.Version.tls12, true), (LoopbackTLS.Version.tls13, true), (LoopbackTLS.Version.tls13, false),
        ])
    func peerLeaves(version: LoopbackTLS.Version, isReset: Bool) async throws {
        try await withServer(version) { server in
            let (hasBegun, wasCancelled) = (Gate(), Gate())
            let client = try client(
                server,
                verify: { _ in
                    hasBegun.open()
                    do {
                        try await Gate().wait()
                    } catch {
                        wasCancelled.open()
                        throw error
                    }
                })
            let pending = Task { try await client.fetch("/") }
            try await hasBegun.wait()
            if isReset { await server.resetConnections() } else { await server.closeConnections() }
            let error = try await serviceError { _ = try await pending.value }
            #expect(error.code == .connectFailed, "\(error)")
            #expect(error.progress == .neverSent)
            try await wasCancelled.wait()
            await client.shutdown()
        }
    }
}
