import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Options of a dialled channel", .timeLimit(.minutes(1)))
struct DialOptionsTests {
    /// What is read back from the channel and its socket.
    private struct Found: Equatable {
        let isNoDelay: Bool
        let isKeepAlive: Bool
        let high: Int
        let readsInARow: UInt
    }

    @Test("The options of a connection are set on its socket", arguments: [true, false])
    func options(isSet: Bool) async throws {
        var options = TransportOptions()
        options.connection.isNoDelay = isSet
        options.connection.isKeepAlive = isSet
        options.connection.writeBufferLimit = 12_345
        let transport = try PooledTransport(options: options)
        let environment = transport.environment
        try await withLoopbackServer { server in
            let url = try ServiceURL(server.baseURL)
            let found = try await withCheckedThrowingContinuation { (waiter: CheckedContinuation<Found, any Error>) in
                Dial(
                    DialPlan(Route(url.origin), environment: environment), environment: environment,
                    sweep: environment.loops.sweep(affinity: 0), events: nil
                ) { result in
                    waiter.resume(with: Result { try Self.found(try result.get().channel) })
                }
                .start()
            }
            #expect(found == Found(isNoDelay: isSet, isKeepAlive: isSet, high: 12_345, readsInARow: 1))
        }
        await transport.close()
    }

    private static func found(_ channel: any Channel) throws -> Found {
        let options = try #require(channel.syncOptions)
        defer { channel.close(promise: nil) }
        return Found(
            isNoDelay: try options.getOption(.tcpOption(.tcp_nodelay)) != 0,
            isKeepAlive: try options.getOption(.socketOption(.so_keepalive)) != 0,
            high: try options.getOption(.writeBufferWaterMark).high,
            readsInARow: try options.getOption(.maxMessagesPerRead)
        )
    }
}
