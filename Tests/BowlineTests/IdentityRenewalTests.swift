import Bowline
import BowlineTesting
import Foundation
import Logging
import Testing

@Suite("Files of our certificate that change", .timeLimit(.minutes(1)))
struct IdentityRenewalTests {
    private struct Setting {
        let server: LoopbackServer
        let client: ServiceClient
        let folder: TemporaryFolder
        let clock: TestClock
        let log: LogLines

        /// Sends a request on a new connection, and returns the certificate that the server has seen there.
        func certificate() async throws -> [UInt8]? {
            let before = server.connections.count
            let fetched = try await client.fetch("/\(before)")
            #expect(fetched.text == "/\(before)")
            try #require(server.connections.count == before + 1)
            return server.connections.last?.clientCertificate
        }

        /// Replaces the files whose texts are given.
        func write(certificate: String? = nil, key: String? = nil) throws {
            if let certificate { try folder.write("client.pem", Data(certificate.utf8)) }
            if let key { try folder.write("client.key", Data(key.utf8)) }
        }

        var warnings: [String] { log.all.map(\.message).filter { $0.contains("tls.identity") } }
    }

    private static let old = TestCertificates.client

    private static func new() throws -> TestCertificates.Identity { try CertificateFolder.identity("client") }

    /// A server that accepts both certificates, and a client whose certificate is in files.
    private func withSetting(
        pooled isPooled: Bool = false, reloads: Bool = true, _ body: (Setting) async throws -> Void
    ) async throws {
        var tls = LoopbackTLS()
        tls.clientAuthority = TestCertificates.authority + "\n" + (try CertificateFolder.authority())
        try await withTemporaryFolder { folder in
            try await withLoopbackServer(.tls(tls)) { server in
                server.respond { .reply(200, body: $0.path) }
                try folder.write("client.pem", Data(Self.old.certificate.utf8))
                try folder.write("client.key", Data(Self.old.key.utf8))
                let (clock, log) = (TestClock(), LogLines())
                let client = try ServiceClient(baseURL: "https://localhost:\(server.port)") {
                    $0.useOnly(clock)
                    $0.tls.trustRoots = .pem(TestCertificates.authority)
                    $0.tls.identity = .files(
                        certificate: folder.file("client.pem"), key: folder.file("client.key"))
                    $0.tls.reloadsIdentity = reloads
                    $0.pool.isEnabled = isPooled
                    $0.telemetry.logger = log.logger()
                }
                try await body(
                    Setting(server: server, client: client, folder: folder, clock: clock, log: log))
                await client.shutdown()
            }
        }
    }

    @Test("New files are used for the connections after the next look, which comes after a second", .tags(.TL12))
    func replaced() async throws {
        let old = CertificateFolder.der(Self.old.certificate)
        let new = CertificateFolder.der(try Self.new().certificate)
        try await withSetting { setting in
            #expect(try await setting.certificate() == old)
            try setting.write(certificate: try Self.new().certificate, key: try Self.new().key)
            setting.clock.advance(by: .milliseconds(999))
            for _ in 1...3 { #expect(try await setting.certificate() == old) }
            setting.clock.advance(by: .milliseconds(1))
            try await eventually("the new certificate") { try await setting.certificate() == new }
            #expect(try await setting.certificate() == new)
            // And back.
            try setting.write(certificate: Self.old.certificate, key: Self.old.key)
            setting.clock.advance(by: .seconds(1))
            try await eventually("the old certificate") { try await setting.certificate() == old }
            #expect(setting.warnings.isEmpty)
        }
    }

    @Test("A connection keeps the certificate of its handshake", .tags(.TL12))
    func openConnection() async throws {
        let new = CertificateFolder.der(try Self.new().certificate)
        try await withSetting(pooled: true) { setting in
            let gate = Gate()
            setting.server.route(.get, "/hold", always: .reply(200, body: "held").held(by: gate))
            let (client, server) = (setting.client, setting.server)
            let held = Task { try await client.fetch("/hold") }
            try await server.waitForRequests(count: 1)
            try setting.write(certificate: try Self.new().certificate, key: try Self.new().key)
            setting.clock.advance(by: .seconds(1))
            // Each of them needs another connection, because all connections before it are held.
            var more: [Task<FetchedResponse, any Error>] = []
            try await eventually("the new certificate") {
                more.append(Task { try await client.fetch("/hold") })
                try await server.waitForRequests(count: 1 + more.count)
                return server.connections.last?.clientCertificate == new
            }
            #expect(server.connections.first?.clientCertificate == CertificateFolder.der(Self.old.certificate))
            gate.open()
            let fetched = try await held.value
            #expect(fetched.text == "held")
            #expect(fetched.connectionID == 1)
            for task in more { #expect(try await task.value.text == "held") }
            #expect(server.connections.first?.end == nil)
        }
    }

    @Test(
        "A pair of files of which only one is new, or that cannot be read, changes nothing and is logged once",
        .tags(.TL12), arguments: ["certificate", "key", "broken", "empty", "missing"])
    func unusable(kind: String) async throws {
        let old = CertificateFolder.der(Self.old.certificate)
        let new = try Self.new()
        try await withSetting { setting in
            switch kind {
            case "certificate": try setting.write(certificate: new.certificate)
            case "key": try setting.write(key: new.key)
            case "broken": try setting.write(certificate: String(new.certificate.prefix(200)), key: new.key)
            case "empty": try setting.write(certificate: "", key: "")
            default: try FileManager.default.removeItem(atPath: setting.folder.file("client.key"))
            }
            for _ in 1...3 {
                setting.clock.advance(by: .seconds(1))
                #expect(try await setting.certificate() == old)
                try await eventually("the warning") { !setting.warnings.isEmpty }
                #expect(try await setting.certificate() == old)
            }
            #expect(setting.warnings.count == 1)
            #expect(
                setting.warnings.first?.hasPrefix(
                    "the changed files of tls.identity cannot be used, so the client keeps its certificate (") == true)
            #expect(setting.log.all.filter { $0.message.contains("tls.identity") }.map(\.level) == [.warning])
            #expect(!"\(setting.warnings)".contains(setting.folder.path))
            // When the pair is complete, it is used.
            try setting.write(certificate: new.certificate, key: new.key)
            setting.clock.advance(by: .seconds(1))
            let der = CertificateFolder.der(new.certificate)
            try await eventually("the new certificate") {
                setting.clock.advance(by: .seconds(1))
                return try await setting.certificate() == der
            }
        }
    }

    @Test("Without reloadsIdentity the files are read once", .tags(.TL12))
    func switchedOff() async throws {
        try await withSetting(reloads: false) { setting in
            try FileManager.default.removeItem(atPath: setting.folder.file("client.key"))
            for _ in 1...5 {
                setting.clock.advance(by: .seconds(1))
                #expect(try await setting.certificate() == CertificateFolder.der(Self.old.certificate))
            }
            #expect(setting.warnings.isEmpty)
        }
    }
}
