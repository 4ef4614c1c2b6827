import Bowline
import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("The hosts that a certificate is for", .timeLimit(.minutes(2)))
struct CertificateIdentityTests {
    @Test("Each row of the table has our verdict, by RFC 9525 and RFC 9110 §4.3.4", .tags(.TL1))
    func table() throws {
        let rows = try IdentityRow.load()
        #expect(rows.count >= 80)
        #expect(Set(rows.map(\.id)).count == rows.count)
        for row in rows {
            let matches = ReferenceIdentity(host: row.serverName ?? row.host).matches(try row.names.map(Self.name))
            #expect(matches == (row.verdict == "accepted"), "\(row.id): \(row.host), \(row.names)")
        }
        // The table must contain both verdicts, on which we and curl agree; otherwise it shows nothing.
        for verdict in ["accepted", "refused"] {
            #expect(rows.contains { $0.verdict == verdict && $0.curl == verdict })
        }
    }

    @Test("A host matches the same names whether it comes from a URL or stands alone", .tags(.TL1, .I16))
    func hostsOfURLs() throws {
        for row in try IdentityRow.load() where row.serverName == nil {
            let host = row.host.contains(":") ? "[\(row.host)]" : row.host
            guard let url = try? ServiceURL("https://\(host)/") else { continue }
            let names = try row.names.map(Self.name)
            let matches = ReferenceIdentity(host: url.origin.host).matches(names)
            #expect(matches == (row.verdict == "accepted"), "\(row.id)")
        }
    }

    @Test("Neither order nor additional names change a verdict", .tags(.TL1))
    func random() throws {
        let rows = try IdentityRow.load()
        var random = SeededRandom.fromEnvironment()
        let hosts = rows.map { ReferenceIdentity(host: $0.serverName ?? $0.host) }
        let names = try rows.map { try $0.names.map(Self.name) }
        for _ in 0..<20_000 {
            let (host, first, second) = (
                hosts[random.next(in: 0..<hosts.count)], names[random.next(in: 0..<names.count)],
                names[random.next(in: 0..<names.count)]
            )
            let matches = host.matches(first) || host.matches(second)
            #expect(host.matches(first + second) == matches)
            #expect(host.matches((first + second).reversed()) == matches)
        }
    }

    @Test(
        "A host name is sent as server name, without its final dot; an address, or a text like one, is not sent",
        .tags(.TL3),
        arguments: [
            ("A.test", "a.test"), ("a.test.", "a.test"), ("my_host.test", "my_host.test"), ("127.0.0.1", nil),
            ("127.0.0.1.", nil), ("::1", nil), ("fe80::1%eth0", nil), ("127.1", nil), ("a..test", nil), ("", nil),
            (String(repeating: "a", count: 255), String(repeating: "a", count: 255)),
            (String(repeating: "a", count: 256), nil),
        ])
    func serverName(host: String, expected: String?) {
        #expect(ReferenceIdentity(host: host).serverName == expected)
    }

    @Test("The names in a message are bounded and printable, whatever the peer wrote")
    func summary() {
        let nasty = (0...255).map { UInt8($0) }
        let names =
            [PresentedName.dns(nasty), .address([1]), .address([1, 2, 3, 4]), .other]
            + (0..<1000).map { .dns(Array("h\($0).test".utf8)) }
        let text = PresentedName.summary(names)
        #expect(text.utf8.count < 400)
        #expect(text.utf8.allSatisfy { (0x20..<0x7F).contains($0) || $0 >= 0x80 })
        #expect(text.unicodeScalars.allSatisfy { $0 == "…" || (0x20..<0x7F).contains($0.value) })
        #expect(text.hasSuffix("and 998 more"))
        #expect(PresentedName.summary([]) == "it has no subject alternative name")
        #expect(PresentedName.summary([.other]).contains("neither DNS names nor IP addresses"))
    }

    private static func name(_ text: String) throws -> PresentedName {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let value = parts[1]
        switch parts[0] {
        case "dns": return .dns(value.unicodeScalars.map { UInt8($0.value) })
        case "ip": return .address(try #require(Origin.addressBytes(String(value))))
        case "raw-ip":
            let digits = Array(value.utf8)
            let bytes = stride(from: 0, to: digits.count, by: 2).map { index in
                UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) ?? 0
            }
            return .address(bytes)
        default: return .other
        }
    }

    // MARK: On sockets

    /// A certificate, the address by which it is reached, and whether it is for that address.
    struct Meeting: Sendable, CustomTestStringConvertible {
        let certificate: String
        let host: String
        var serverName: String?
        let isAccepted: Bool

        var testDescription: String { "\(certificate) as \(serverName ?? host)" }
    }

    private static func named(_ name: String, _ isAccepted: Bool, _ certificate: String = "many-names") -> Meeting {
        Meeting(certificate: certificate, host: "localhost", serverName: name, isAccepted: isAccepted)
    }

    static let meetings: [Meeting] = [
        Meeting(certificate: "other-name", host: "localhost", isAccepted: false),
        Meeting(certificate: "other-name", host: "127.0.0.1", isAccepted: true),
        Meeting(certificate: "other-name", host: "127.0.0.1", serverName: "evil.test", isAccepted: true),
        Meeting(certificate: "other-name", host: "127.0.0.1", serverName: "bank.test", isAccepted: false),
        named("evil.test", true, "other-name"), named("bank.test", false, "other-name"),
        Meeting(certificate: "many-names", host: "127.0.0.1", isAccepted: false),
        Meeting(certificate: "many-names", host: "localhost", isAccepted: false),
        named("my_host.test", true), named("a_b.wild.test", true), named("WILD.wild.TEST", true),
        named("wild.test", false), named("a.b.wild.test", false), named("foo.part.test", false),
        named("start.part.test", false), named("a.single", false), named("a.test", false),
        named("deep.x.test", false), named("dotted.test", true), named("dotted.test.", true), named("upper.test", true),
        named("xn--a.test", false), named("uri.test", false), named("mail.test", false), named("many.test", false),
        Meeting(certificate: "other-kinds", host: "localhost", isAccepted: false),
        Meeting(certificate: "odd-bytes", host: "localhost", isAccepted: false),
    ]

    @Test(
        "A certificate for another name is refused before a byte is sent, over both protocols", .tags(.TL1, .TL2),
        arguments: meetings, [HTTP2Options.Negotiation.http1Only, .http2Only])
    func onSockets(meeting: Meeting, negotiation: HTTP2Options.Negotiation) async throws {
        let tls = LoopbackTLS(try CertificateFolder.identity(meeting.certificate))
        try await withLoopbackServer(negotiation == .http2Only ? .http2(tls) : .tls(tls)) { server in
            server.respond { .reply(200, body: $0.path) }
            let sent = SentFields()
            let client = try ServiceClient(baseURL: "https://\(meeting.host):\(server.port)") {
                $0.middleware.perAttempt = [sent]
                $0.tls.trustRoots = .pem(try CertificateFolder.authority())
                $0.tls.serverName = meeting.serverName
                $0.http2.negotiation = negotiation
            }
            if meeting.isAccepted {
                let fetched = try await client.fetch("/named")
                #expect(fetched.text == "/named")
                #expect(server.requests.count == 1)
                await sent.compare(with: server.requests)
                #expect(fetched.response.connection?.protocolVersion == (negotiation == .http2Only ? .http2 : .http1_1))
            } else {
                let error = try await serviceError { _ = try await client.fetch("/secret") }
                #expect(error.code == .tlsHandshakeFailed)
                #expect(error.progress == .neverSent)
                #expect(error.attempts == 1)
                #expect(error.message.contains("is not for \"\(meeting.serverName ?? meeting.host)\""), "\(error)")
                try await server.waitForOpenConnections(count: 0)
                #expect(server.requests.isEmpty)
                #expect(server.connections.count == 1)
                #expect(server.connections.allSatisfy { $0.bytesReceived == 0 })
            }
            await client.shutdown()
        }
    }

    @Test(
        "A host that no certificate can name is not dialled", .tags(.TL1),
        arguments: ["127.1", "2130706433", "a..test"])
    func unnamable(host: String) async throws {
        let client = try ServiceClient(baseURL: "https://\(host):1")
        let error = try await serviceError { _ = try await client.fetch("/") }
        #expect(error.code == .tlsHandshakeFailed)
        #expect(error.attempts == 1)
        #expect(error.message.contains("no certificate can name \"\(host)\""), "\(error)")
        await client.shutdown()
    }
}
