import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("A connection whose pool is released", .timeLimit(.minutes(1)))
struct ReleasedPoolTests {
    @Test(
        "The connection does not keep its pool, and closes when a lease ends after it",
        arguments: [true, false])
    func poolIsGone(isUsed: Bool) async throws {
        let channel = NIOAsyncTestingChannel()
        var owner: RecordingOwner? = RecordingOwner()
        let link = OriginLink(options: ConnectionOptions(), owner: owner)
        let sweep = DeadlineSweep(timer: LoopTimer(eventLoop: channel.eventLoop, clock: TestClock()))
        let connection = try await makeHTTP1Connection(on: channel, sweep: sweep, originLink: link)

        Self.endLease(of: connection, isUsed: isUsed, on: link)
        #expect(owner?.take() == [isUsed ? "released" : "returned unused"])
        #expect(try await Self.closeReason(of: connection) == nil)

        owner = nil
        Self.endLease(of: connection, isUsed: isUsed, on: link)
        #expect(try await Self.closeReason(of: connection) == .poolReleased)
        #expect(!channel.isActive)
        _ = try? await channel.finish()
    }

    private static func endLease(of connection: HTTP1Connection, isUsed: Bool, on link: OriginLink) {
        if isUsed {
            link.release(connection, keepAliveTimeout: nil, now: MonotonicInstant(nanoseconds: 0))
        } else {
            link.returnUnused(connection)
        }
    }

    private static func closeReason(of connection: HTTP1Connection) async throws -> CloseReason? {
        try await connection.eventLoop.submit { connection.closeReason }.get()
    }
}
