import Bowline
import BowlineTesting
import BowlineTransport
import Foundation
import NIOCore
import NIOPosix
import Testing

@Suite("The log of secrets", .timeLimit(.minutes(1)))
struct KeyLogTests {
    /// A line of the log.
    private struct Line {
        let label: String
        let clientRandom: String
        let secret: String

        init(_ text: Substring) throws {
            let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            try #require(parts.count == 3, "\(text)")
            (label, clientRandom, secret) = (parts[0], parts[1], parts[2])
            #expect(clientRandom.count == 64)
            #expect([64, 96].contains(secret.count))
            #expect((clientRandom + secret).allSatisfy { $0.isHexDigit })
        }

        static func all(in data: Data) throws -> [Line] {
            let text = String(decoding: data, as: UTF8.self)
            #expect(text.isEmpty || text.hasSuffix("\n"))
            return try text.split(separator: "\n", omittingEmptySubsequences: true).map(Line.init)
        }
    }

    @Test(
        "Each connection adds its secrets under the random number of its ClientHello", .tags(.TL13),
        arguments: [
            (LoopbackTLS.Version.tls12, ["CLIENT_RANDOM"]),
            (
                LoopbackTLS.Version.tls13,
                [
                    "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
                    "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0",
                ]
            ),
        ])
    func lines(version: LoopbackTLS.Version, labels: [String]) async throws {
        var tls = LoopbackTLS()
        tls.minimumVersion = version
        tls.maximumVersion = version
        try await withTemporaryFolder { folder in
            try await withLoopbackServer(.tls(tls)) { server in
                server.respond { .reply(200, body: $0.path) }
                try await withTap(to: server.port) { port, taps in
                    let client = try ServiceClient(baseURL: "https://localhost:\(port)") {
                        $0.tls.trustRoots = .pem(TestCertificates.authority)
                        $0.tls.keyLog = .file(folder.file("keys"))
                        $0.pool.isEnabled = false
                        $0.retry = .never
                    }
                    for path in ["/a", "/b", "/c"] {
                        let fetched = try await client.fetch(path)
                        #expect(fetched.text == path)
                    }
                    await client.shutdown()
                    let lines = try Line.all(in: try folder.read("keys"))
                    let randoms = taps.seen.withLock { $0 }
                    #expect(randoms.count == 3)
                    #expect(Set(lines.map(\.clientRandom)) == Set(randoms))
                    for random in randoms {
                        let own = lines.filter { $0.clientRandom == random }
                        #expect(own.map(\.label).sorted() == labels)
                    }
                    #expect(Set(lines.map(\.secret)).count == 3 * labels.count)
                }
            }
        }
    }

    @Test("A new file is for its owner only; lines are added to an existing file", .tags(.TL13))
    func file() async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer(.tls()) { server in
                server.respond { _ in .reply(200, body: "x") }
                var contents = Data()
                for number in 1...2 {
                    let client = try ServiceClient(baseURL: server.baseURL) {
                        $0.tls.trustRoots = .pem(TestCertificates.authority)
                        $0.tls.keyLog = .file(folder.file("keys"))
                    }
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                    await client.shutdown()
                    let data = try folder.read("keys")
                    #expect(data.starts(with: contents))
                    contents = data
                    #expect(Set(try Line.all(in: data).map(\.clientRandom)).count == number)
                }
                let mode = try FileManager.default.attributesOfItem(atPath: folder.file("keys"))[.posixPermissions]
                #expect(mode as? Int == 0o600)
            }
        }
    }

    @Test("The variable SSLKEYLOGFILE has an effect only if the code asks for it", .tags(.TL13))
    func environment() async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer(.tls()) { server in
                server.respond { _ in .reply(200, body: "x") }
                let cases: [(TLSOptions.KeyLog?, [String: String], Bool)] = [
                    (nil, ["SSLKEYLOGFILE": folder.file("keys")], false), (.environment, [:], false),
                    (.environment, ["SSLKEYLOGFILE": ""], false),
                    (.environment, ["SSLKEYLOGFILE": folder.file("keys")], true),
                ]
                for (keyLog, variables, isWritten) in cases {
                    var options = TransportOptions()
                    options.variable = { variables[$0] }
                    options.tls.trustRoots = .pem(TestCertificates.authority)
                    options.tls.keyLog = keyLog
                    let client = try ServiceClient(
                        baseURL: server.baseURL, transport: try PooledTransport(options: options)
                    ) { $0.retry = .never }
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                    await client.shutdown()
                    #expect(try folder.names() == (isWritten ? ["keys"] : []))
                }
                #expect(try !Line.all(in: folder.read("keys")).isEmpty)
            }
        }
    }

    /// Runs `body` with the port of a proxy to `port`, and with the client randoms that pass through it, in order.
    private func withTap(
        to port: Int, _ body: (Int, Randoms) async throws -> Void
    ) async throws {
        let randoms = Randoms()
        let proxy = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { inbound in
                ClientBootstrap(group: inbound.eventLoop)
                    .channelInitializer { outbound in
                        outbound.eventLoop.makeCompletedFuture {
                            try outbound.pipeline.syncOperations.addHandler(Tap(to: inbound, nil))
                        }
                    }
                    .connect(host: "127.0.0.1", port: port)
                    .flatMap { outbound in
                        inbound.eventLoop.makeCompletedFuture {
                            try inbound.pipeline.syncOperations.addHandler(Tap(to: outbound, randoms))
                        }
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body(try #require(proxy.localAddress?.port), randoms)
        } catch {
            try await proxy.close()
            throw error
        }
        try await proxy.close()
    }

    private final class Randoms: Sendable {
        let seen = Guarded<[String]>([])
    }

    /// Passes bytes on, and notes the random number of the ClientHello, with which a client begins (RFC 8446 §4.1.2).
    private final class Tap: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let target: any Channel
        private var randoms: Randoms?
        private var first = ByteBuffer()

        /// - Parameter randoms: nil: the bytes are those of the server.
        init(to target: any Channel, _ randoms: Randoms?) {
            self.target = target
            self.randoms = randoms
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            if let randoms {
                first.writeImmutableBuffer(bytes)
                // Headers of record and message, version; then the random number.
                if let random = first.getBytes(at: first.readerIndex + 11, length: 32) {
                    let text = random.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                    randoms.seen.withLock { $0.append(text) }
                    self.randoms = nil
                }
            }
            target.writeAndFlush(bytes, promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            target.close(promise: nil)
        }
    }
}
