import Bowline
import BowlineTesting
import Foundation
import Testing

/// A peer that asks for a second handshake, which only OpenSSL's own server does on demand.
@Suite("TLS 1.2 renegotiation", .timeLimit(.minutes(1)), .enabled(if: OpenSSLServer.isThere))
struct RenegotiationTests {
    private func client(
        _ server: OpenSSLServer, _ configure: (inout ClientConfiguration) -> Void
    ) throws -> ServiceClient {
        let (authority, identity) = (try CertificateFolder.authority(), try CertificateFolder.identity("client"))
        return try ServiceClient(baseURL: "https://127.0.0.1:\(server.port)") {
            $0.tls.trustRoots = .pem(authority)
            $0.tls.identity = .pem(certificate: identity.certificate, key: identity.key)
            $0.retry = .never
            configure(&$0)
        }
    }

    @Test("With .once a server may ask for our certificate after it has read the request")
    func once() async throws {
        let server = try await OpenSSLServer.start()
        defer { server.stop() }
        let client = try client(server) { $0.tls.renegotiation = .once }
        let pending = Task { try await client.fetch("/late") }
        try await server.waitFor("GET /late HTTP/1.1")
        #expect(!server.output.contains("read client certificate"))
        server.send("R\n")
        try await server.waitFor("read client certificate")
        try await server.waitFor("SSL_accept:SSLv3/TLS write finished", times: 2)
        server.send("HTTP/1.1 200 OK\nContent-Length: 4\n\nrope\n")
        let fetched = try await pending.value
        #expect(fetched.text == "rope")
        await client.shutdown()
    }

    @Test("With .never a server that asks ends the connection, and the error names the option")
    func never() async throws {
        let server = try await OpenSSLServer.start()
        defer { server.stop() }
        let client = try client(server) { _ in }
        let pending = Task { try await client.fetch("/late") }
        try await server.waitFor("GET /late HTTP/1.1")
        server.send("R\n")
        let error = try await serviceError { _ = try await pending.value }
        #expect(error.code == .tlsHandshakeFailed)
        #expect(error.progress == .ambiguous)
        #expect(error.message.contains("tls.renegotiation"), "\(error)")
        #expect(!server.output.contains("read client certificate"))
        await client.shutdown()
    }

    @Test("Over HTTP/2 a server that asks ends the connection even with .once (RFC 9113 §9.2.1)")
    func http2() async throws {
        let server = try await OpenSSLServer.start(["-alpn", "h2"])
        defer { server.stop() }
        let client = try client(server) {
            $0.tls.renegotiation = .once
            $0.http2.negotiation = .http2Only
        }
        let pending = Task { try await client.fetch("/") }
        try await server.waitFor("PRI * HTTP/2.0")
        server.send("R\n")
        let error = try await serviceError { _ = try await pending.value }
        #expect(error.progress == .neverSent)
        #expect(error.message.contains("over HTTP/2 never"), "\(error)")
        #expect(!server.output.contains("read client certificate"))
        await client.shutdown()
    }
}

/// `openssl s_server`: shows what it receives, sends what it is given, and renegotiates at a line with `R`.
// Safety: the process and its pipes are only used through calls that may come from any thread; the output is locked.
final class OpenSSLServer: @unchecked Sendable {
    static let isThere = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

    private let process = Process()
    private let input = Pipe()
    private let outputs = Pipe()
    private let collected = Guarded("")
    private(set) var port = 0

    var output: String { collected.withLock { $0 } }

    static func start(_ options: [String] = []) async throws -> OpenSSLServer {
        let server = OpenSSLServer()
        try await server.run(options)
        return server
    }

    private func run(_ options: [String]) async throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments =
            [
                "s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-crlf", "-state",
                "-cert", CertificateFolder.path("other-name.pem"), "-key", CertificateFolder.path("other-name.key"),
                "-CAfile", CertificateFolder.path("authority.pem"),
            ] + options
        process.standardInput = input
        process.standardOutput = outputs
        process.standardError = outputs
        outputs.fileHandleForReading.readabilityHandler = { handle in
            let text = String(decoding: handle.availableData, as: UTF8.self)
            self.collected.withLock { $0 += text }
        }
        try process.run()
        try await eventually("a port") { self.output.contains(/ACCEPT 127\.0\.0\.1:\d+\s/) }
        port = output.firstMatch(of: /ACCEPT 127\.0\.0\.1:(\d+)/).flatMap { Int($0.1) } ?? 0
    }

    func send(_ text: String) {
        try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    }

    func waitFor(_ text: String, times: Int = 1) async throws {
        try await eventually(text) { self.output.components(separatedBy: text).count > times }
    }

    func stop() {
        outputs.fileHandleForReading.readabilityHandler = nil
        // Not `terminate()`: the process inherits the signal mask of the test's thread, which blocks SIGTERM.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
