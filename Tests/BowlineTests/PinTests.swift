import Bowline
import BowlineTesting
import BowlineTransport
import Foundation
import Testing

@Suite("Pins and additional roots", .timeLimit(.minutes(1)))
struct PinTests {
    /// Computed with the commands of Docs/TLS.md.
    static let server: PublicKeyPin = "sha256/VHgANYP42t8di2yK4j2T/PYpcWRNebsn63dqKaV8z4U="
    static let wrongHost: PublicKeyPin = "24ov+pBu2eijc5HqWAs0F5fBxqOm5wadY4j66NZAI2g="
    static let authority: PublicKeyPin = "dJgkH0gc4PE4wkhfxWEuc71FnhzjqkBV4LraaZbdruM="
    static let selfSigned: PublicKeyPin = "6hXFRaAosAMZbag0m1H+ACfTCrvHVqQikceJT8Kwgok="
    static let p521: PublicKeyPin = "CPELnUDnDjeUEU5RRytAbRVqSPh13pxtRIoqEhrq8Mk="
    static let ed25519: PublicKeyPin = "kx90E9TEGF716Tbh05nOKBcRWuK+7noqj3Oz7XE89d4="

    private func client(
        _ url: String, _ configure: (inout ClientConfiguration) throws -> Void
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: url) {
            $0.tls.trustRoots = .pem(TestCertificates.authority)
            $0.retry = .never
            try configure(&$0)
        }
    }

    private func expectAccepted(
        _ tls: LoopbackTLS, sourceLocation: SourceLocation = #_sourceLocation,
        _ configure: (inout ClientConfiguration) throws -> Void
    ) async throws {
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { .reply(200, body: $0.path) }
            let client = try client("https://localhost:\(server.port)", configure)
            for path in ["/first", "/second"] {
                let fetched = try await client.fetch(path)
                #expect(fetched.text == path, sourceLocation: sourceLocation)
            }
            #expect(server.connections.count == 1, sourceLocation: sourceLocation)
            await client.shutdown()
        }
    }

    /// A request that must fail in the handshake. The server sees no byte of it, and not our certificate.
    private func expectRefused(
        _ tls: LoopbackTLS, message: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ configure: (inout ClientConfiguration) throws -> Void
    ) async throws {
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200) }
            let client = try client("https://localhost:\(server.port)", configure)
            let error = try await serviceError(
                { _ = try await client.fetch("/secret") }, sourceLocation: sourceLocation)
            #expect(error.code == .tlsHandshakeFailed, sourceLocation: sourceLocation)
            #expect(error.message == message, sourceLocation: sourceLocation)
            #expect(error.progress == .neverSent, sourceLocation: sourceLocation)
            try await server.waitForOpenConnections(count: 0)
            #expect(server.requests.isEmpty, sourceLocation: sourceLocation)
            #expect(server.connections.map(\.bytesReceived) == [0], sourceLocation: sourceLocation)
            #expect(server.connections.map(\.clientCertificate) == [nil], sourceLocation: sourceLocation)
            await client.shutdown()
        }
    }

    static let versions: [LoopbackTLS.Version] = [.tls12, .tls13]
    static let verifications: [TLSOptions.Verification] = [.full, .withoutHostName, .disabled]

    private static func tls(
        _ version: LoopbackTLS.Version, _ identity: TestCertificates.Identity = TestCertificates.server
    ) -> LoopbackTLS {
        var tls = LoopbackTLS(identity)
        tls.minimumVersion = version
        tls.maximumVersion = version
        return tls
    }

    private static func message(_ pin: PublicKeyPin) -> String {
        "the key of the peer's certificate is not one of tls.pins: it is \(pin)"
    }

    @Test(
        "A peer whose key is one of several pins is accepted, with each verification", .tags(.TL10),
        arguments: versions, verifications)
    func accepted(version: LoopbackTLS.Version, verification: TLSOptions.Verification) async throws {
        try await expectAccepted(Self.tls(version)) {
            $0.tls.verification = verification
            $0.tls.pins = [Self.wrongHost, Self.server]
        }
    }

    @Test(
        "A peer with another key is refused with its pin, and gets nothing of the request", .tags(.TL10, .TL2),
        arguments: versions, verifications)
    func refused(version: LoopbackTLS.Version, verification: TLSOptions.Verification) async throws {
        try await expectRefused(Self.tls(version), message: Self.message(Self.server)) {
            $0.tls.verification = verification
            $0.tls.pins = [Self.wrongHost]
        }
    }

    @Test(
        "A TLS 1.3 peer with another key does not get our certificate", .tags(.TL10, .TL4), arguments: verifications)
    func ownCertificate(verification: TLSOptions.Verification) async throws {
        var tls = LoopbackTLS.requiringClientCertificate
        tls.minimumVersion = .tls13
        try await expectRefused(tls, message: Self.message(Self.server)) {
            $0.tls.verification = verification
            $0.tls.pins = [Self.wrongHost]
            $0.tls.identity = .pem(
                certificate: TestCertificates.client.certificate, key: TestCertificates.client.key)
        }
    }

    @Test("A pin of the authority does not accept the authority's certificates", .tags(.TL10))
    func authorityPin() async throws {
        try await expectRefused(Self.tls(.tls13), message: Self.message(Self.server)) {
            $0.tls.pins = [Self.authority]
        }
    }

    @Test("A pinned key does not replace the check of the host or the chain", .tags(.TL10))
    func pinsReplaceNothing() async throws {
        try await expectRefused(
            Self.tls(.tls13, TestCertificates.wrongHost),
            message: "the peer's certificate is not for \"localhost\": it names \"wrong.example\", 192.0.2.1"
        ) { $0.tls.pins = [Self.wrongHost] }
        let selfSigned = try CertificateFolder.identity("self-signed")
        try await expectRefused(
            Self.tls(.tls13, selfSigned),
            message: "the peer's certificate is not trusted: it is self-signed and not among tls.trustRoots"
        ) { $0.tls.pins = [Self.selfSigned] }
    }

    @Test(
        "Without verification a self-signed certificate is accepted by its pin, and a key of each kind has its pin",
        .tags(.TL10), arguments: [("self-signed", selfSigned), ("p521", p521), ("ed25519", ed25519)])
    func keys(name: String, pin: PublicKeyPin) async throws {
        try await expectAccepted(Self.tls(.tls13, try CertificateFolder.identity(name))) {
            $0.tls.verification = .disabled
            $0.tls.pins = [pin]
        }
    }

    @Test("Pins that were not validated are an error of the transport too")
    func unchecked() async throws {
        var options = TransportOptions()
        options.tls.pins = ["no pin"]
        let error = try await serviceError { _ = try PooledTransport(options: options) }
        #expect(error.code == .invalidConfiguration)
        #expect(error.message.hasPrefix("tls.pins: "))
    }

    // MARK: Additional roots

    @Test(
        "Additional roots are trusted beside the roots of a file or text", .tags(.TL1), arguments: [true, false])
    func additionalRoots(isFile: Bool) async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("roots.pem", Data(TestCertificates.authority.utf8))
            for identity in [TestCertificates.server, TestCertificates.untrusted] {
                try await expectAccepted(LoopbackTLS(identity)) {
                    $0.tls.trustRoots = .pem(TestCertificates.otherAuthority)
                    $0.tls.additionalRoots = isFile ? .file(path) : .pem(TestCertificates.authority)
                }
            }
            // A root that is in both places is no mistake.
            try await expectAccepted(LoopbackTLS()) {
                $0.tls.additionalRoots = .pem(TestCertificates.authority + "\n" + TestCertificates.otherAuthority)
            }
        }
    }

    @Test("Additional roots are trusted beside the system's", .tags(.TL1))
    func besideTheSystems() async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("roots.pem", Data(TestCertificates.otherAuthority.utf8))
            // The process's own roots, and those of the environment.
            for variables in [[:], ["SSL_CERT_FILE": path]] {
                for identity in [TestCertificates.server, TestCertificates.untrusted] {
                    var options = TransportOptions()
                    options.variable = { variables[$0] }
                    options.tls.additionalRoots = .pem(TestCertificates.authority)
                    let transport = try PooledTransport(options: options)
                    try await withLoopbackServer(.tls(LoopbackTLS(identity))) { server in
                        server.respond { _ in .reply(200, body: "x") }
                        let client = try ServiceClient(baseURL: server.baseURL, transport: transport) {
                            $0.retry = .never
                        }
                        if identity == TestCertificates.untrusted, variables.isEmpty {
                            let error = try await serviceError { _ = try await client.fetch("/") }
                            #expect(error.code == .tlsHandshakeFailed)
                        } else {
                            let fetched = try await client.fetch("/")
                            #expect(fetched.text == "x")
                        }
                        await client.shutdown()
                    }
                }
            }
        }
    }
}
