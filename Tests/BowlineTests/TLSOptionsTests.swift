import Bowline
import BowlineTesting
import BowlineTransport
import Foundation
import Testing

@Suite("Keys, certificates and roots in many formats", .timeLimit(.minutes(1)))
struct TLSOptionsTests {
    private static let passphrase = "canary-passphrase"

    private func fetch(
        from server: LoopbackServer, _ configure: (inout TLSOptions) throws -> Void
    ) async throws -> String {
        let client = try ServiceClient(baseURL: server.baseURL) {
            $0.tls.trustRoots = .pem(TestCertificates.authority)
            try configure(&$0.tls)
        }
        do {
            let text = try await client.fetch("/").text
            await client.shutdown()
            return text
        } catch {
            await client.shutdown()
            throw error
        }
    }

    @Test(
        "A key with a passphrase is decrypted, as PKCS #8 and as older tools write it", .tags(.TL4),
        arguments: ["client-pkcs8.key", "client-traditional.key"], [true, false])
    func passphrase(key: String, isFile: Bool) async throws {
        var tls = LoopbackTLS()
        tls.clientAuthority = try CertificateFolder.authority()
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200, body: "x") }
            let text = try await fetch(from: server) {
                $0.identity =
                    isFile
                    ? .files(
                        certificate: CertificateFolder.path("client.pem"), key: CertificateFolder.path(key),
                        passphrase: Self.passphrase)
                    : .pem(
                        certificate: try CertificateFolder.text("client.pem"), key: try CertificateFolder.text(key),
                        passphrase: Self.passphrase)
            }
            #expect(text == "x")
        }
    }

    @Test(
        "A passphrase that is missing, wrong or impossible is an error that says which, without the passphrase",
        arguments: [
            (nil, "give its passphrase"), ("canary-wrong", "its passphrase may be another"),
            ("canary-pässphrase", "ASCII"), ("", "1 to 1023"), (String(repeating: "canary", count: 200), "1 to 1023"),
            ("canary\0", "ASCII"),
        ])
    func badPassphrase(passphrase: String?, reason: String) async throws {
        for key in ["client-pkcs8.key", "client-traditional.key"] {
            let identity = TLSOptions.Identity.pem(
                certificate: try CertificateFolder.text("client.pem"), key: try CertificateFolder.text(key),
                passphrase: passphrase)
            let error = try await serviceError {
                _ = try ServiceClient(baseURL: "https://localhost") { $0.tls.identity = identity }
            }
            #expect(error.code == .invalidConfiguration)
            #expect(error.message.contains("tls.identity:"), "\(error)")
            #expect(error.message.contains(reason), "\(error)")
            #expect(!"\(error) \(error.underlying as Any)".contains("canary"))
            // Options that were not validated reach the transport too.
            var options = TransportOptions()
            options.tls.identity = identity
            let unchecked = try await serviceError { _ = try PooledTransport(options: options) }
            #expect(unchecked.code == .invalidConfiguration)
        }
    }

    @Test("A key that needs no passphrase works with one, and an empty key is an error")
    func needlessPassphrase() async throws {
        let certificate = try CertificateFolder.text("client.pem")
        _ = try ServiceClient(baseURL: "https://localhost") {
            $0.tls.identity = .pem(
                certificate: certificate, key: try CertificateFolder.text("client.key"), passphrase: Self.passphrase)
        }
        let error = try await serviceError {
            _ = try ServiceClient(baseURL: "https://localhost") {
                $0.tls.identity = .pem(certificate: certificate, key: "", passphrase: "x")
            }
        }
        #expect(error.code == .invalidConfiguration)
    }

    @Test("An unreadable file is named, without its folder; a key of another certificate is reported as such")
    func unreadableIdentity() async throws {
        let certificate = CertificateFolder.path("client.pem")
        let examples: [((inout TLSOptions) -> Void, String)] = [
            (
                { $0.identity = .files(certificate: "/no/such/canary-folder/a.pem", key: certificate) },
                #"tls.identity: cannot read "a.pem": No such file or directory"#
            ),
            (
                { $0.identity = .files(certificate: certificate, key: "/no/such/canary-folder/a.key") },
                #"tls.identity: cannot read "a.key": No such file or directory"#
            ),
            (
                { $0.trustRoots = .file("/no/such/canary-folder/roots.pem") },
                #"tls.trustRoots: cannot read "roots.pem": No such file or directory"#
            ),
            (
                { $0.additionalRoots = .file(CertificateFolder.path("authority.key")) },
                #"tls.additionalRoots: no certificate in PEM could be read from "authority.key""#
            ),
            (
                {
                    $0.identity = .files(certificate: certificate, key: CertificateFolder.path("authority.key"))
                }, "tls.identity: the private key does not belong to the certificate"
            ),
        ]
        for (configure, message) in examples {
            let error = try await serviceError {
                _ = try ServiceClient(baseURL: "https://localhost") { configure(&$0.tls) }
            }
            #expect(error.code == .invalidConfiguration)
            #expect(error.message == message)
            #expect(!"\(error)".contains("canary"))
        }
    }

    @Test("A passphrase appears in no description")
    func canary() {
        var configuration = ClientConfiguration()
        configuration.tls.identity = .files(certificate: "c", key: "k", passphrase: Self.passphrase)
        var shown = "\(configuration) \(configuration.tls) \(configuration.tls.identity as Any)"
        dump(configuration, to: &shown)
        shown += String(reflecting: configuration)
        #expect(!shown.contains("canary"))
    }

    @Test("Byte order marks before certificates and keys, and line ends of either kind, change nothing")
    func byteOrderMarks() async throws {
        let mark = "\u{FEFF}"
        func marked(_ pem: String) -> String { mark + pem.replacingOccurrences(of: "\n", with: "\r\n") + "\r\n" }
        var tls = LoopbackTLS()
        tls.clientAuthority = try CertificateFolder.authority()
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200, body: "x") }
            // The needed one comes second: a mark in the middle must not hide it.
            let roots = marked(TestCertificates.otherAuthority) + marked(TestCertificates.authority)
            let certificate = marked(try CertificateFolder.text("client.pem"))
            let key = marked(try CertificateFolder.text("client.key"))
            let text = try await fetch(from: server) {
                $0.trustRoots = .pem(roots)
                $0.identity = .pem(certificate: certificate, key: key)
            }
            #expect(text == "x")
            try await withTemporaryFolder { folder in
                let text = try await fetch(from: server) {
                    $0.trustRoots = .file(try folder.write("roots.pem", Data(roots.utf8)))
                    $0.identity = .files(
                        certificate: try folder.write("client.pem", Data(certificate.utf8)),
                        key: try folder.write("client.key", Data(key.utf8)))
                }
                #expect(text == "x")
            }
        }
    }

    @Test(
        "Certificates with Ed25519 and P-521 keys are accepted", .tags(.TL1),
        arguments: ["ed25519", "p521"], [LoopbackTLS.Version.tls12, .tls13])
    func otherKeys(name: String, version: LoopbackTLS.Version) async throws {
        var tls = LoopbackTLS(try CertificateFolder.identity(name))
        tls.minimumVersion = version
        tls.maximumVersion = version
        try await withLoopbackServer(.tls(tls)) { server in
            server.respond { _ in .reply(200, body: "x") }
            let text = try await fetch(from: server) { $0.trustRoots = .pem(try CertificateFolder.authority()) }
            #expect(text == "x")
        }
    }

    // MARK: The system's roots

    /// A client whose environment has only these variables.
    private func withClient(
        _ server: LoopbackServer, _ variables: [String: String], _ body: (ServiceClient) async throws -> Void
    ) async throws {
        var options = TransportOptions()
        options.variable = { variables[$0] }
        let client = try ServiceClient(baseURL: server.baseURL, transport: try PooledTransport(options: options)) {
            $0.retry = .never
        }
        do {
            try await body(client)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
    }

    @Test("SSL_CERT_FILE and SSL_CERT_DIR replace the system's roots")
    func environment() async throws {
        try await withTemporaryFolder { folder in
            let file = try folder.write("roots", Data(("\u{FEFF}" + TestCertificates.authority).utf8))
            try FileManager.default.createDirectory(atPath: folder.file("full"), withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: folder.file("full/sub"), withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: folder.file("other"), withIntermediateDirectories: true)
            try folder.write("full/any-name.txt", Data(TestCertificates.authority.utf8))
            try folder.write("full/key.pem", Data(TestCertificates.client.key.utf8))
            try folder.write("full/notes", Data("nothing\0\u{FF}".utf8))
            try folder.write("other/other.crt", Data(TestCertificates.otherAuthority.utf8))
            let (full, other) = (folder.file("full"), folder.file("other"))
            let good: [[String: String]] = [
                ["SSL_CERT_FILE": file], ["SSL_CERT_DIR": full], ["SSL_CERT_DIR": "\(other)::\(full)"],
                ["SSL_CERT_FILE": file, "SSL_CERT_DIR": other], ["SSL_CERT_FILE": file, "SSL_CERT_DIR": "/no/such"],
                ["SSL_CERT_FILE": "", "SSL_CERT_DIR": full],
            ]
            try await withLoopbackServer(.tls()) { server in
                server.respond { _ in .reply(200, body: "x") }
                for variables in good {
                    try await withClient(server, variables) { client in
                        let fetched = try await client.fetch("/")
                        #expect(fetched.text == "x", "\(variables)")
                    }
                }
                let bad: [([String: String], ServiceError.Code)] = [
                    ([:], .tlsHandshakeFailed), (["SSL_CERT_FILE": "", "SSL_CERT_DIR": ""], .tlsHandshakeFailed),
                    (["SSL_CERT_DIR": other], .tlsHandshakeFailed),
                    (["SSL_CERT_FILE": "/no/such"], .invalidConfiguration),
                    (["SSL_CERT_FILE": folder.file("full/key.pem")], .invalidConfiguration),
                    (["SSL_CERT_FILE": full], .invalidConfiguration),
                    (["SSL_CERT_DIR": "/no/such"], .invalidConfiguration),
                    (["SSL_CERT_DIR": "/no/such\0"], .invalidConfiguration),
                ]
                for (variables, code) in bad {
                    try await withClient(server, variables) { client in
                        let error = try await serviceError { _ = try await client.fetch("/") }
                        #expect(error.code == code, "\(variables): \(error)")
                        #expect(error.message.contains("tls.trustRoots"))
                        #expect(error.progress == .neverSent)
                        #expect(error.attempts == 1)
                    }
                }
            }
        }
    }

    @Test(
        "An SSL_CERT_FILE that is no regular file is an error at once; such entries of SSL_CERT_DIR are skipped"
    )
    func irregularRoots() async throws {
        try await withTemporaryFolder { folder in
            let pipe = folder.file("pipe")
            #expect(mkfifo(pipe, 0o600) == 0)
            symlink("pipe", folder.file("link"))
            try FileManager.default.createDirectory(atPath: folder.file("folder"), withIntermediateDirectories: true)
            try await withLoopbackServer(.tls()) { server in
                server.respond { _ in .reply(200, body: "x") }
                for path in [pipe, folder.file("link"), folder.file("folder"), "/dev/null"] {
                    try await withClient(server, ["SSL_CERT_FILE": path]) { client in
                        let error = try await serviceError { _ = try await client.fetch("/") }
                        #expect(error.code == .invalidConfiguration)
                        #expect(error.progress == .neverSent)
                        #expect(
                            error.message == "tls.trustRoots: SSL_CERT_FILE does not name a regular file", "\(path)")
                    }
                }
                try await withClient(server, ["SSL_CERT_DIR": folder.path]) { client in
                    let error = try await serviceError { _ = try await client.fetch("/") }
                    #expect(error.code == .invalidConfiguration)
                    #expect(error.message.contains("SSL_CERT_DIR"))
                }
                try folder.write("roots.pem", Data(TestCertificates.authority.utf8))
                symlink("roots.pem", folder.file("roots-link"))
                for variables in [["SSL_CERT_DIR": folder.path], ["SSL_CERT_FILE": folder.file("roots-link")]] {
                    try await withClient(server, variables) { client in
                        let fetched = try await client.fetch("/")
                        #expect(fetched.text == "x", "\(variables)")
                    }
                }
            }
        }
    }

    @Test(
        "Roots that failed to load are loaded again at the next dial, and do not affect plain requests"
    )
    func loadedAgain() async throws {
        try await withTemporaryFolder { folder in
            let file = folder.file("roots.pem")
            try await withLoopbackServer(.tls()) { server in
                server.respond { _ in .reply(200, body: "x") }
                try await withClient(server, ["SSL_CERT_FILE": file]) { client in
                    let error = try await serviceError { _ = try await client.fetch("/") }
                    #expect(error.code == .invalidConfiguration)
                    #expect(error.message.contains("SSL_CERT_FILE"))
                    try folder.write("roots.pem", Data(TestCertificates.authority.utf8))
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                    // Loaded roots are not read again.
                    try folder.write("roots.pem", Data())
                    await server.closeConnections()
                    let again = try await client.fetch(.post("/", body: .text("x")))
                    #expect(again.text == "x")
                }
            }
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "plain") }
                try await withClient(server, ["SSL_CERT_FILE": "/no/such"]) { client in
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "plain")
                }
            }
        }
    }
}
