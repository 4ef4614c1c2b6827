import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("Writes that fail at once", .timeLimit(.minutes(1)))
struct FailedWriteTests {
    /// A socket that fails when it is written to: the channel closes within the write.
    private final class BrokenSocket: ChannelOutboundHandler, Sendable {
        typealias OutboundIn = ByteBuffer

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            promise?.fail(IOError(errnoCode: 32, reason: "write"))
            context.fireErrorCaught(IOError(errnoCode: 32, reason: "write"))
            context.fireChannelInactive()
        }
    }

    private static let bodies: [(name: String, body: RequestBody)] = [
        ("none", .none), ("inline", .text("x")), ("streamed", .bytes(ByteBuffer(repeating: 0x61, count: 100_000))),
    ]

    @Test(
        "A connection whose write fails at once leaves the deadline sweep, and its request fails",
        arguments: bodies.indices
    )
    func sweepIsEmpty(index: Int) async throws {
        let channel = NIOAsyncTestingChannel()
        let clock = TestClock()
        let sweep = DeadlineSweep(timer: LoopTimer(eventLoop: channel.eventLoop, clock: clock))
        let owner = RecordingOwner()
        let connection = try await makeHTTP1Connection(
            on: channel, sweep: sweep, originLink: OriginLink(options: ConnectionOptions(), owner: owner),
            behind: [BrokenSocket()])

        let request = ServiceRequest(method: .put, "http://a.example/", body: Self.bodies[index].body)
        let exchange = Exchange(
            request: try PreparedRequest(
                request, context: RequestContext(), started: clock.now, isPooled: true
            ),
            connection: connection,
            lease: Exchange.LeaseFacts(isReused: true, uses: 2, wasIdle: true, leased: clock.now),
            resends: 0, options: ConnectionOptions()
        )
        let error = try await #require(throws: TransportOutcome.self) { _ = try await exchange.run() }
        #expect(error.code == .connectionClosed)
        #expect(error.progress == .ambiguous)
        let (count, index) = try await channel.eventLoop.submit { (sweep.count, connection.sweepIndex) }.get()
        #expect(count == 0)
        #expect(index == -1)
        #expect(owner.notes == ["closed transportError"])
        #expect(exchange.isOver)
        _ = try? await channel.finish()
    }
}
