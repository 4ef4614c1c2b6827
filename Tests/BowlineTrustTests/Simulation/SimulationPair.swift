internal import BowlineCore
internal import BowlineTesting
internal import NIOCore

@testable import BowlineTrust

/// Two connected ends of a simulated path, with a handler at each that records what it sees.
// Safety: used on the simulation's thread only.
final class SimulationPair: @unchecked Sendable {
    /// What one end has seen.
    final class Recorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private(set) var bytes = ByteBuffer()
        /// The sizes of the pieces that were read.
        private(set) var pieces: [Int] = []
        private(set) var writability: [Bool] = []
        private(set) var errors: [any Error] = []
        private(set) var isInactive = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let read = unwrapInboundIn(data)
            pieces.append(read.readableBytes)
            bytes.writeImmutableBuffer(read)
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            writability.append(context.channel.isWritable)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }

        func channelInactive(context: ChannelHandlerContext) { isInactive = true }
    }

    let time: VirtualTime
    let client: SimulationChannel
    let server: SimulationChannel
    let clientSide = Recorder()
    let serverSide = Recorder()
    private(set) var events: [SimulationConnection.Event] = []
    private(set) var isOver = false

    /// Makes both ends, and connects them.
    init(_ time: VirtualTime, _ path: SimulationPath) async throws {
        self.time = time
        let (one, other) = (SimulationLoop(time), SimulationLoop(time))
        let (client, server) = await (
            on(one) { SimulationChannel(on: one, number: 1, local: nil, remote: nil, dial: { _ in }) },
            on(other) { SimulationChannel(on: other, number: 1, local: nil, remote: nil, dial: nil) }
        )
        self.client = client
        self.server = server
        let connection = SimulationConnection(
            number: 1, client: client, server: server, path: path, clock: time.clock,
            random: time.makeRandom("pair"), event: { [weak self] in self?.events.append($0) },
            over: { [weak self] _ in self?.isOver = true })
        let (clientSide, serverSide) = (clientSide, serverSide)
        try await trying(on: other) {
            try server.pipeline.syncOperations.addHandler(serverSide)
            server.established(connection, as: .server)
        }
        try await trying(on: one) {
            try client.pipeline.syncOperations.addHandler(clientSide)
            client.established(connection, as: .client)
        }
    }

    /// Lets time pass.
    func pass(_ duration: Duration) async throws {
        try await time.clock.sleep(for: duration)
    }

    /// Closes both ends, and waits until they are closed.
    func close() async throws {
        for channel in [client, server] { await on(channel.loop) { channel.close(promise: nil) } }
        try await pass(.seconds(60))
    }
}

/// Runs `work` in a turn of the loop.
func on<Result: Sendable>(_ loop: SimulationLoop, _ work: @escaping () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        loop.perform { continuation.resume(returning: work()) }
    }
}

/// Runs `work` in a turn of the loop, and throws its error.
func trying(on loop: SimulationLoop, _ work: @escaping () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { continuation in
        loop.perform { continuation.resume(with: Result(catching: work)) }
    }
}
