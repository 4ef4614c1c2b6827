import Bowline
import BowlineTesting
import NIOCore
import NIOPosix
import Testing

@Suite("The key exchange that a client offers", .timeLimit(.minutes(1)))
struct KeyExchangeTests {
    /// Code points of RFC 8446 §4.2.7 and draft-ietf-tls-ecdhe-mlkem.
    private static let hybrid: UInt16 = 0x11EC
    private static let curves: [UInt16] = [0x001D, 0x0017, 0x0018, 0x0019]

    @Test(
        "By default X25519MLKEM768 is offered before the curves, with a key share of it and one of X25519", .tags(.TL14)
    )
    func hybrid() async throws {
        let hello = try await Self.hello { _ in }
        #expect(hello.groups == [Self.hybrid] + Self.curves)
        #expect(hello.shares == [Self.hybrid, 0x001D])
    }

    @Test("With .classical only the curves are offered, with one key share, also to a proxy", .tags(.TL14))
    func classical() async throws {
        let hello = try await Self.hello { $0.tls.keyExchange = .classical }
        #expect(hello.groups == Self.curves)
        #expect(hello.shares == [0x001D])
        let toProxy = try await Self.hello(isProxy: true) { $0.tls.keyExchange = .classical }
        #expect(toProxy.groups == Self.curves)
        #expect(toProxy.shares == [0x001D])
    }

    @Test("Requests over both are answered", .tags(.TL14))
    func answers() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { .reply(200, body: $0.path) }
            for exchange in [TLSOptions.KeyExchange.hybrid, .classical] {
                let client = try ServiceClient(baseURL: "https://localhost:\(server.port)") {
                    $0.tls.trustRoots = .pem(TestCertificates.authority)
                    $0.tls.keyExchange = exchange
                }
                #expect(try await client.fetch("/a").text == "/a")
                await client.shutdown()
            }
        }
    }

    /// Returns the first message of a client that dials an origin or a proxy.
    private static func hello(
        isProxy: Bool = false, _ configure: (inout ClientConfiguration) -> Void
    ) async throws -> Hello {
        let received = Received()
        let listener = try await ServerBootstrap(group: NIOSingletons.posixEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reader(received))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let client = try ServiceClient(baseURL: isProxy ? "http://origin.test" : "https://127.0.0.1:\(port)") {
            if isProxy { $0.proxy = .https("https://127.0.0.1:\(port)") }
            $0.retry = .never
            configure(&$0)
        }
        // The listener closes the connection after the message.
        await #expect(throws: ServiceError.self) { try await client.fetch("/") }
        await client.shutdown()
        try await listener.close()
        return try Hello(try #require(received.message.withLock { $0 }))
    }

    private final class Received: Sendable {
        let message = Guarded<ByteBuffer?>(nil)
    }

    /// Reads one TLS record, and closes the connection.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let received: Received
        private var bytes = ByteBuffer()

        init(_ received: Received) {
            self.received = received
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes.writeImmutableBuffer(unwrapInboundIn(data))
            guard let length = bytes.getInteger(at: bytes.readerIndex + 3, as: UInt16.self),
                let record = bytes.getSlice(at: bytes.readerIndex + 5, length: Int(length))
            else { return }
            received.message.withLock { $0 = record }
            context.close(promise: nil)
        }
    }

    /// The parts of a ClientHello (RFC 8446 §4.1.2) that say how keys can be exchanged.
    private struct Hello {
        private(set) var groups: [UInt16] = []
        private(set) var shares: [UInt16] = []

        private struct IsCut: Error {}

        /// Reads a part and the length before it.
        private static func part(
            of buffer: inout ByteBuffer, _ length: (some FixedWidthInteger).Type
        ) throws -> ByteBuffer {
            guard let part = buffer.readLengthPrefixedSlice(as: length) else { throw IsCut() }
            return part
        }

        init(_ record: ByteBuffer) throws {
            var message = record
            // Type and length of the message, version and random number.
            message.moveReaderIndex(forwardBy: 4 + 2 + 32)
            _ = try Self.part(of: &message, UInt8.self)
            _ = try Self.part(of: &message, UInt16.self)
            _ = try Self.part(of: &message, UInt8.self)
            var extensions = try Self.part(of: &message, UInt16.self)
            while let type = extensions.readInteger(as: UInt16.self) {
                var content = try Self.part(of: &extensions, UInt16.self)
                switch type {
                case 10:
                    var list = try Self.part(of: &content, UInt16.self)
                    while let group = list.readInteger(as: UInt16.self) { groups.append(group) }
                case 51:
                    var list = try Self.part(of: &content, UInt16.self)
                    while let group = list.readInteger(as: UInt16.self) {
                        shares.append(group)
                        _ = try Self.part(of: &list, UInt16.self)
                    }
                default: break
                }
            }
        }
    }
}
