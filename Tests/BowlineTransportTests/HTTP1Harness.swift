import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

/// A real HTTP/1.1 connection without a socket, in a test's own time; the test is its peer.
final class HTTP1Harness: Sendable {
    let channel = NIOAsyncTestingChannel()
    let clock = TestClock(start: MonotonicInstant(nanoseconds: 1_000_000_000))
    let connection: HTTP1Connection
    /// The calls of the connection to its pool, in order.
    let log = RecordingOwner()

    init() async throws {
        let (channel, clock, log) = (channel, clock, log)
        connection = try await channel.testingEventLoop.executeInContext {
            let connection = HTTP1Connection(
                ConnectionTraits(
                    id: ConnectionID(1), affinity: 0, channel: channel, peer: "peer", isTLS: false,
                    dialTimings: DialTimings(total: .zero),
                    sweep: DeadlineSweep(timer: LoopTimer(eventLoop: channel.eventLoop, clock: UnhurriedClock(clock))),
                    executor: EventLoopTaskExecutor(channel.eventLoop),
                    originLink: OriginLink(options: ConnectionOptions(), owner: log)))
            try channel.pipeline.syncOperations.addHandler(connection)
            return connection
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 80)).get()
    }

    /// Leases the connection for a request without a body, whose head has been written when this returns.
    func send(
        _ request: ServiceRequest, timeouts: Timeouts = Timeouts()
    ) async throws -> (exchange: Exchange, task: Task<ServiceResponse, any Error>) {
        let exchange = Exchange(
            request: try PreparedRequest(
                request, context: RequestContext(timeouts: timeouts), started: clock.now, isPooled: true),
            connection: connection,
            lease: Exchange.LeaseFacts(isReused: true, uses: 2, wasIdle: true, leased: clock.now),
            resends: 0, options: ConnectionOptions())
        let task = Task { try await exchange.run() }
        let head = try await channel.waitForOutboundWrite(as: ByteBuffer.self)
        #expect(String(buffer: head).hasPrefix("\(request.method.rawValue) "))
        await channel.testingEventLoop.run()
        return (exchange, task)
    }

    /// The connection reads these bytes at once.
    func receive(_ bytes: ByteBuffer) async throws {
        try await channel.writeInbound(bytes)
        await channel.testingEventLoop.run()
    }

    func receive(_ text: String) async throws {
        try await receive(ByteBuffer(string: text))
    }

    func onLoop<Result: Sendable>(_ action: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await channel.testingEventLoop.executeInContext(action)
    }

    /// Moves the time from one deadline to the next, and runs the work due at each.
    func advance(by duration: Duration) async throws {
        let end = clock.now.advanced(by: duration)
        let (connection, clock) = (connection, clock)
        while try await onLoop({
            guard connection.exchange != nil, connection.deadline <= end else { return false }
            clock.advance(to: connection.deadline)
            connection.deadlinePassed(now: clock.now)
            return true
        }) { await channel.testingEventLoop.run() }
        clock.advance(to: end)
    }

    func finish() async {
        let connection = connection
        try? await onLoop { connection.close(.forced) }
        _ = try? await channel.finish(acceptAlreadyClosed: true)
    }
}

/// An HTTP/1.1 connection on `channel`, which is then connected, with `handlers` between them.
func makeHTTP1Connection(
    on channel: NIOAsyncTestingChannel, sweep: DeadlineSweep, originLink: OriginLink,
    behind handlers: [any ChannelHandler & Sendable] = []
) async throws -> HTTP1Connection {
    let connection = try await channel.eventLoop.submit {
        let connection = HTTP1Connection(
            ConnectionTraits(
                id: ConnectionID(1), affinity: 0, channel: channel, peer: "peer", isTLS: false,
                dialTimings: DialTimings(total: .zero),
                sweep: sweep, executor: EventLoopTaskExecutor(channel.eventLoop), originLink: originLink))
        for handler in handlers { try channel.pipeline.syncOperations.addHandler(handler) }
        try channel.pipeline.syncOperations.addHandler(connection)
        return connection
    }.get()
    try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 80)).get()
    return connection
}
