import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("The first look at a TLS connection that was opened ahead", .timeLimit(.minutes(1)))
struct FirstLookTests {
    /// Takes the place of TLS, and treats every record as a session ticket.
    private final class TicketReader: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
    }

    private static let record: [UInt8] = [23, 3, 3, 0, 4, 1, 2, 3, 4]

    @Test(
        "A session ticket that is still being read delays the first request and does not close the connection",
        .tags(.KA13))
    func ticket() async throws {
        try await withExchange(isReused: false) { channel, owner, running in
            try await channel.writeInbound(ByteBuffer(bytes: Self.record[3...]))
            await channel.testingEventLoop.advanceTime(by: HTTP1Connection.ticketWait)
            let head = try await channel.waitForOutboundWrite(as: ByteBuffer.self)
            #expect(String(buffer: head).hasPrefix("POST / HTTP/1.1\r\n"))
            running.cancel()
            await #expect(throws: (any Error).self) { try await running.value }
            try await channel.eventLoop.submit {}.get()
            #expect(owner.notes == ["closed cancelled"])
        }
    }

    @Test("Bytes that are not read within that time close the connection before a byte is written", .tags(.KA13))
    func unfinished() async throws {
        try await withExchange(isReused: false) { channel, owner, running in
            await channel.testingEventLoop.advanceTime(by: HTTP1Connection.ticketWait)
            let error = try await #require(throws: TransportOutcome.self) { try await running.value }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .neverSent)
            #expect(owner.notes == ["closed unsolicitedBytes"])
            #expect(try await channel.readOutbound(as: ByteBuffer.self) == nil)
        }
    }

    @Test("A connection that has carried a request gets no extra time", .tags(.KA13))
    func used() async throws {
        try await withExchange(isReused: true) { channel, owner, running in
            let error = try await #require(throws: TransportOutcome.self) { try await running.value }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .neverSent)
            #expect(owner.notes == ["closed unsolicitedBytes"])
            #expect(try await channel.readOutbound(as: ByteBuffer.self) == nil)
        }
    }

    /// Starts a POST on a TLS connection of which half a record's header has been read.
    private func withExchange(
        isReused: Bool,
        _ test: (NIOAsyncTestingChannel, RecordingOwner, Task<ServiceResponse, any Error>)
            async throws -> Void
    ) async throws {
        let channel = NIOAsyncTestingChannel()
        let clock = TestClock()
        let owner = RecordingOwner()
        let connection = try await channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandlers([TLSRecordBoundary(), TicketReader()])
            let connection = HTTP1Connection(
                ConnectionTraits(
                    id: ConnectionID(1), affinity: 0, channel: channel, peer: "peer", isTLS: true,
                    dialTimings: DialTimings(total: .zero),
                    sweep: DeadlineSweep(timer: LoopTimer(eventLoop: channel.eventLoop, clock: clock)),
                    executor: EventLoopTaskExecutor(channel.eventLoop),
                    originLink: OriginLink(options: ConnectionOptions(), owner: owner)))
            try pipeline.addHandler(connection)
            return connection
        }.get()
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 443)).get()
        try await channel.writeInbound(ByteBuffer(bytes: Self.record[..<3]))

        let exchange = Exchange(
            request: try PreparedRequest(
                .post("https://a.example/", body: .text("x")), context: RequestContext(), started: clock.now,
                isPooled: true),
            connection: connection,
            lease: Exchange.LeaseFacts(
                isReused: isReused, uses: isReused ? 2 : 1, wasIdle: true, leased: clock.now),
            resends: 0, options: ConnectionOptions()
        )
        let running = Task { try await exchange.run() }
        try await eventually("the connection has looked") {
            try await channel.eventLoop.submit {
                connection.silence.hasWaitedForTickets || connection.closeReason != nil
            }.get()
        }
        try await test(channel, owner, running)
        #expect(exchange.isOver)
        _ = try? await channel.finish()
    }
}
