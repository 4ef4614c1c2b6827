import Bowline
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Why a certificate or a handshake was refused", .timeLimit(.minutes(1)))
struct TLSReasonTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let identity: @Sendable () throws -> TestCertificates.Identity
        let reason: String
    }

    private static func own(_ name: String, _ reason: String) -> Case {
        Case(testDescription: name, identity: { try CertificateFolder.identity(name) }, reason: reason)
    }

    private static func shared(
        _ name: String, _ identity: TestCertificates.Identity, _ reason: String
    ) -> Case {
        Case(testDescription: name, identity: { identity }, reason: reason)
    }

    static let cases: [Case] = [
        shared("expired", TestCertificates.expired, "has expired: it was valid until 20"),
        shared("not yet valid", TestCertificates.notYetValid, "is not valid yet: it is valid from 20"),
        shared("unknown authority", TestCertificates.untrusted, "unknown authority \"Another test authority\""),
        shared("another host", TestCertificates.wrongHost, "is not for \"localhost\": it names \""),
        shared("no names", TestCertificates.nameOnlyInSubject, "it has no subject alternative name"),
        own("self-signed", "it is self-signed"),
        own("client-only", "has the wrong usage for a server: it is for clientAuth, emailProtection"),
        own("under-expired", "unknown authority \"Expired intermediate\" (no valid chain"),
        own("other-kinds", "its subject alternative names are neither DNS names nor IP addresses"),
        own("other-name", "is not for \"localhost\": it names \"evil.test\", 127.0.0.1"),
    ]

    private func client(
        _ url: String, _ configure: (inout ClientConfiguration) -> Void = { _ in }
    ) throws -> ServiceClient {
        let roots = TestCertificates.authority + "\n" + (try CertificateFolder.authority())
        return try ServiceClient(baseURL: url) {
            $0.tls.trustRoots = .pem(roots)
            configure(&$0)
        }
    }

    /// An error contains neither source files of the TLS library nor its dumps.
    private func expectOwnWords(_ error: ServiceError, sourceLocation: SourceLocation = #_sourceLocation) {
        for text in [error.message, error.description, "\(error.underlying as Any)"] {
            for foreign in [".cc", "checkouts", "OPENSSL", "NIOSSL", "Error: "] {
                #expect(!text.contains(foreign), "\(text)", sourceLocation: sourceLocation)
            }
        }
    }

    @Test(
        "A refused certificate's error says why, in our own words, with either TLS version", .tags(.TL1),
        arguments: cases, [LoopbackTLS.Version.tls12, .tls13])
    func certificate(case: Case, version: LoopbackTLS.Version) async throws {
        var tls = LoopbackTLS(try `case`.identity())
        tls.maximumVersion = version
        try await withLoopbackServer(.tls(tls)) { server in
            let client = try client(server.baseURL)
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .tlsHandshakeFailed)
            #expect(error.progress == .neverSent)
            #expect(error.attempts == 1)
            #expect(error.message.contains("the peer's certificate"), "\(error)")
            #expect(error.message.contains(`case`.reason), "\(error)")
            #expect(!error.message.contains("ended"))
            expectOwnWords(error)
            await client.shutdown()
        }
    }

    @Test(
        "The error names a peer that refuses our certificate as the side that ended the handshake, with its alert",
        .tags(.TL4))
    func alert() async throws {
        var tls = LoopbackTLS.requiringClientCertificate
        tls.maximumVersion = .tls12
        try await withLoopbackServer(.tls(tls)) { server in
            let client = try client(server.baseURL)
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .tlsHandshakeFailed)
            #expect(error.message.hasPrefix("the peer ended the TLS handshake: alert "), "\(error)")
            expectOwnWords(error)
            await client.shutdown()
        }
    }

    @Test("The error says that a peer does not speak TLS", .tags(.TL7))
    func plain() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.read(atLeast: 20)
                try await connection.reply(400, body: "this is plain HTTP")
            }
            let client = try client("https://localhost:\(server.port)")
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .tlsHandshakeFailed, "\(error)")
            #expect(error.message == "the peer's answer is not TLS", "\(error)")
            expectOwnWords(error)
            await client.shutdown()
        }
    }

    @Test(
        "A FIN during the handshake is a failed connection, and retried like a reset, whatever the method",
        .tags(.TL7),
        arguments: [ServiceRequest.get("/"), .post("/", body: .text("x"))])
    func closedDuringHandshake(request: ServiceRequest) async throws {
        for isReset in [false, true] {
            try await withLoopbackServer { server in
                server.onConnection { connection in
                    _ = try await connection.read(atLeast: 20)
                    if isReset { try await connection.reset() }
                }
                let client = try client("https://localhost:\(server.port)") {
                    $0.retry.maximumAttempts = 3
                    $0.retry.baseDelay = .milliseconds(1)
                }
                let error = try await serviceError { _ = try await client.fetch(request) }
                #expect(error.code == .connectFailed, "\(error)")
                #expect(error.progress == .neverSent, "\(error)")
                #expect(error.attempts == 3)
                #expect(server.connections.count == 3)
                if !isReset { #expect(error.message.contains("closed the connection during the TLS handshake")) }
                expectOwnWords(error)
                await client.shutdown()
            }
        }
    }

    private static func facts(ofCertificateIn pem: String) throws -> CertificateFacts {
        try #require(CertificateFacts(der: CertificateFolder.der(pem)))
    }

    @Test("Issuer, dates and usages of a server's certificate are read from its encoding")
    func factsOfServer() throws {
        let server = try Self.facts(ofCertificateIn: TestCertificates.server.certificate)
        #expect(server.issuer == "Bowline test authority")
        #expect(!server.isSelfIssued)
        #expect(server.isForServers)
        #expect(server.notBefore == .init(seconds: 1_577_836_800, text: "2020-01-01 00:00:00 UTC"))
        // GeneralizedTime from 2050 on.
        #expect(server.notAfter == .init(seconds: 3_345_062_400, text: "2076-01-01 00:00:00 UTC"))
        #expect(server.usages == ["serverAuth"])
    }

    @Test("An authority's certificate is self-issued, names no usage and is not for servers")
    func factsOfAuthority() throws {
        let authority = try Self.facts(ofCertificateIn: TestCertificates.authority)
        #expect(authority.isSelfIssued)
        #expect(authority.usages == nil)
        #expect(!authority.isForServers)
    }

    @Test("A certificate whose usages do not include serverAuth is not for servers")
    func factsOfClient() throws {
        let clientOnly = try Self.facts(ofCertificateIn: CertificateFolder.text("client-only.pem"))
        #expect(clientOnly.usages == ["clientAuth", "emailProtection"])
        #expect(!clientOnly.isForServers)
    }

    @Test("A key usage that forbids signing is the problem that is named")
    func keyUsage() throws {
        let noSigning = try Self.facts(ofCertificateIn: CertificateFolder.text("no-signing.pem"))
        #expect("\(CertificateProblem(noSigning, now: 1_700_000_000))".hasSuffix("its key usage forbids it"))
    }

    @Test("A certificate that is cut off or damaged anywhere is read without a trap")
    func damaged() throws {
        let der = CertificateFolder.der(TestCertificates.server.certificate)
        for length in 0..<der.count { _ = CertificateFacts(der: Array(der[..<length])) }
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<20_000 {
            var bytes = der
            for _ in 0...random.next(in: 0..<3) {
                bytes[random.next(in: 0..<bytes.count)] = UInt8(random.next(in: 0..<256))
            }
            let problem = CertificateProblem(CertificateFacts(der: bytes), now: 1_700_000_000)
            #expect("\(problem)".unicodeScalars.allSatisfy { (0x20..<0x7F).contains($0.value) })
        }
    }

    @Test("Dates are checked before usage, and usage before trust")
    func problems() throws {
        let facts = try Self.facts(ofCertificateIn: TestCertificates.server.certificate)
        #expect(
            "\(CertificateProblem(facts, now: 1_577_836_799))"
                == "is not valid yet: it is valid from 2020-01-01 00:00:00 UTC")
        #expect("\(CertificateProblem(facts, now: 1_577_836_800))".hasPrefix("is not trusted: unknown authority"))
        #expect(
            "\(CertificateProblem(facts, now: 4_000_000_000))".hasPrefix("has expired: it was valid until 2076-01-01"))
        #expect("\(CertificateProblem(nil, now: 0))".hasPrefix("is not trusted: unknown authority (no valid chain"))
    }
}
