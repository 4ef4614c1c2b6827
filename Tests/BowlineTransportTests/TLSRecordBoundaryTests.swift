import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("TLS record boundaries")
struct TLSRecordBoundaryTests {
    @Test("The bytes end at a record boundary exactly where the records end, however they are cut", .tags(.KA13))
    func boundaries() {
        let sizes = [0, 1, 5, 300, 16_640]
        var stream: [UInt8] = []
        var boundaries: Set<Int> = [0]
        for size in sizes {
            stream += [23, 3, 3, UInt8(size >> 8), UInt8(size & 255)] + [UInt8](repeating: 0x17, count: size)
            boundaries.insert(stream.count)
        }
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<200 {
            let boundary = TLSRecordBoundary()
            var position = 0
            while position < stream.count {
                let end = min(stream.count, position + 1 + random.next(in: 0..<[2, 9, 4000][random.next(in: 0..<3)]))
                stream[position..<end].withUnsafeBytes { boundary.follow($0) }
                position = end
                #expect(boundary.isInsideRecord == !boundaries.contains(position))
            }
        }
    }

    private static func record(_ type: UInt8, _ size: Int = 3) -> [UInt8] {
        [type, 3, 3, UInt8(size >> 8), UInt8(size & 255)] + [UInt8](repeating: 22, count: size)
    }

    /// A server's side of TLS 1.2's handshake: hello and certificate, change of cipher, finished.
    private static let handshake = record(22, 400) + record(22, 70) + record(20, 1) + record(22, 40)

    private static func channel() throws -> (EmbeddedChannel, TLSRecordBoundary, ErrorReader) {
        let (boundary, reader) = (TLSRecordBoundary(), ErrorReader())
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers([boundary, reader])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return (channel, boundary, reader)
    }

    @Test(
        "a handshake record after TLS 1.2's handshake ends a connection that forbids renegotiation, however it is cut")
    func renegotiation() throws {
        let stream = Self.record(23) + Self.record(21) + Self.record(22)
        for cut in 0..<Self.record(23).count {
            let (channel, boundary, reader) = try Self.channel()
            try channel.writeInbound(ByteBuffer(bytes: Self.handshake))
            #expect(boundary.forbidRenegotiation())
            try channel.writeInbound(ByteBuffer(bytes: stream[..<(stream.count - 1 - cut)]))
            _ = try? channel.writeInbound(ByteBuffer(bytes: stream[(stream.count - 1 - cut)...]))
            #expect(reader.errors.count == 1)
            #expect(reader.errors.first as? TLSFailure == TLSFailure(.renegotiation))
            #expect(!channel.isActive)
        }
    }

    @Test("A renegotiation in the same segment as the handshake's end is noticed when it is forbidden")
    func early() throws {
        let (channel, boundary, _) = try Self.channel()
        try channel.writeInbound(ByteBuffer(bytes: Self.handshake + Self.record(22)))
        #expect(!boundary.forbidRenegotiation())
        _ = try? channel.finish()
    }

    @Test("Data and alerts pass, and a second handshake passes if it is allowed", arguments: [true, false])
    func passes(isForbidden: Bool) throws {
        let (channel, boundary, reader) = try Self.channel()
        try channel.writeInbound(ByteBuffer(bytes: Self.handshake))
        if isForbidden { #expect(boundary.forbidRenegotiation()) }
        for _ in 0..<100 { try channel.writeInbound(ByteBuffer(bytes: Self.record(23, 300) + Self.record(21, 2))) }
        if !isForbidden { try channel.writeInbound(ByteBuffer(bytes: Self.handshake)) }
        #expect(reader.errors.isEmpty)
        #expect(channel.isActive)
        #expect(reader.count == Self.handshake.count * (isForbidden ? 1 : 2) + 100 * 312)
        _ = try? channel.finish()
    }
}

private final class ErrorReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var errors: [any Error] = []
    var count = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        count += unwrapInboundIn(data).readableBytes
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        errors.append(error)
    }
}
