internal import BowlineCore
internal import BowlinePlatform
internal import BowlineTesting
internal import NIOCore
internal import Testing

@testable import BowlineTrust

@Suite("A channel of the simulated network")
struct SimulationChannelTests {
    /// Runs `body` with two connected ends, and closes them.
    private func withPair<Result: Sendable>(
        seed: UInt64 = 0, _ path: SimulationPath = SimulationPath(),
        _ body: @escaping @Sendable (SimulationPair) async throws -> Result
    ) async throws -> Result {
        try await withVirtualTime(seed: seed) { time in
            let pair = try await SimulationPair(time, path)
            let result = try await body(pair)
            try await pair.close()
            return result
        }
    }

    @Test(
        "Bytes arrive whole and in order in both directions, in pieces of any size", arguments: 0..<60 as Range<UInt64>)
    func order(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let path = SimulationPath.drawn(&random, isFaulty: false)
        let sizes = (0..<40).map { _ in random.next(in: 0..<3_000) }
        let (arrived, returned, sent) = try await withPair(seed: seed, path) { pair in
            var sent = ByteBuffer()
            for size in sizes {
                let bytes = SimulationContent.bytes(7, .request, from: sent.writerIndex, count: size)
                sent.writeImmutableBuffer(bytes)
                for channel in [pair.client, pair.server] {
                    await on(channel.loop) { channel.writeAndFlush(bytes, promise: nil) }
                }
            }
            try await pair.pass(.seconds(60))
            return (pair.serverSide.bytes, pair.clientSide.bytes, sent)
        }
        #expect(sent.readableBytes > 10_000)
        #expect(arrived == sent)
        #expect(returned == sent)
    }

    @Test("A piece is at most as long as the path says")
    func pieces() async throws {
        var path = SimulationPath()
        path.longestPiece = 10
        path.latency = .milliseconds(1)
        path.jitter = .milliseconds(1)
        let chosen = path
        let pieces = try await withPair(chosen) { pair in
            await on(pair.client.loop) { pair.client.writeAndFlush(ByteBuffer(repeating: 1, count: 200), promise: nil) }
            try await pair.pass(.seconds(1))
            return pair.serverSide.pieces
        }
        #expect(pieces.count >= 20)
        #expect(pieces.max() ?? 0 <= 10)
        #expect(pieces.reduce(0, +) == 200)
    }

    @Test("A channel is not writable while more bytes wait than its limit, and sends on when the reader reads")
    func backPressure() async throws {
        var path = SimulationPath()
        path.capacity = 1_000
        let chosen = path
        let (blocked, waiting, arrived, writability) = try await withPair(chosen) { pair in
            await on(pair.server.loop) { _ = pair.server.setOption(.autoRead, value: false) }
            // Reads the one read that was asked for before.
            await on(pair.client.loop) { pair.client.writeAndFlush(ByteBuffer(repeating: 9, count: 1), promise: nil) }
            try await pair.pass(.milliseconds(1))
            let bytes = ByteBuffer(repeating: 7, count: 200_000)
            await on(pair.client.loop) { pair.client.writeAndFlush(bytes, promise: nil) }
            try await pair.pass(.milliseconds(1))
            let (blocked, waiting) = await on(pair.client.loop) {
                (!pair.client.isWritable, try? pair.client.syncOptions?.getOption(.bufferedWritableBytes))
            }
            await on(pair.server.loop) { _ = pair.server.setOption(.autoRead, value: true) }
            try await pair.pass(.seconds(1))
            return (blocked, waiting, pair.serverSide.bytes.readableBytes, pair.clientSide.writability)
        }
        #expect(blocked)
        #expect(waiting == 199_000)
        #expect(arrived == 200_001)
        #expect(writability == [false, true])
    }

    @Test("A close delivers what was written before, and then the end")
    func closing() async throws {
        let (arrived, isInactive, isOver) = try await withPair { pair in
            await on(pair.client.loop) {
                pair.client.writeAndFlush(ByteBuffer(repeating: 7, count: 50_000), promise: nil)
                pair.client.close(promise: nil)
            }
            try await pair.pass(.seconds(1))
            return (pair.serverSide.bytes.readableBytes, pair.serverSide.isInactive, pair.isOver)
        }
        #expect(arrived == 50_000)
        #expect(isInactive)
        #expect(isOver)
    }

    @Test("A channel that does not read gets all bytes when the peer ends its direction")
    func endWithoutReading() async throws {
        let (before, after, isInactive) = try await withPair { pair in
            await on(pair.server.loop) { _ = pair.server.setOption(.autoRead, value: false) }
            await on(pair.client.loop) {
                for _ in 0..<3 { pair.client.writeAndFlush(ByteBuffer(repeating: 7, count: 100_000), promise: nil) }
            }
            try await pair.pass(.seconds(1))
            let before = pair.serverSide.bytes.readableBytes
            await on(pair.client.loop) { pair.client.close(mode: .output, promise: nil) }
            try await pair.pass(.seconds(1))
            return (before, pair.serverSide.bytes.readableBytes, pair.serverSide.isInactive)
        }
        // One read was asked for before reading was switched off.
        #expect(before == 100_000)
        #expect(after > before)
        #expect(isInactive || after < 300_000)
    }

    @Test("A close with unread bytes resets the connection")
    func closeWithUnread() async throws {
        let errors = try await withPair { pair in
            await on(pair.server.loop) { _ = pair.server.setOption(.autoRead, value: false) }
            await on(pair.client.loop) {
                for _ in 0..<2 { pair.client.writeAndFlush(ByteBuffer(repeating: 7, count: 10), promise: nil) }
            }
            // Each in a read of its own.
            try await pair.pass(.seconds(1))
            await on(pair.client.loop) { pair.client.writeAndFlush(ByteBuffer(repeating: 7, count: 10), promise: nil) }
            try await pair.pass(.seconds(1))
            await on(pair.server.loop) { pair.server.close(promise: nil) }
            try await pair.pass(.seconds(1))
            return pair.clientSide.errors.map { ($0 as? IOError)?.errnoCode }
        }
        #expect(errors == [ECONNRESET])
    }

    @Test("A path that cuts the connection fails both ends after exactly so many bytes", arguments: [0, 1, 99, 100])
    func cut(count: Int) async throws {
        var path = SimulationPath()
        path.cutAfter = count
        let chosen = path
        let (arrived, errors, events) = try await withPair(chosen) { pair in
            await on(pair.client.loop) { pair.client.writeAndFlush(ByteBuffer(repeating: 7, count: 100), promise: nil) }
            try await pair.pass(.seconds(1))
            return (
                pair.serverSide.bytes.readableBytes, pair.serverSide.errors.count + pair.clientSide.errors.count,
                pair.events.count
            )
        }
        #expect(arrived == count)
        #expect(errors == 2)
        #expect(events == 1)
    }

    @Test("A dark path delivers no further byte, and no end")
    func dark() async throws {
        var path = SimulationPath()
        path.darkAfter = 50
        let chosen = path
        let (arrived, isInactive) = try await withPair(chosen) { pair in
            await on(pair.client.loop) {
                pair.client.writeAndFlush(ByteBuffer(repeating: 7, count: 100), promise: nil)
                pair.client.close(promise: nil)
            }
            try await pair.pass(.seconds(1))
            return (pair.serverSide.bytes.readableBytes, pair.serverSide.isInactive)
        }
        #expect(arrived == 50)
        #expect(!isInactive)
    }

    @Test("A loop is the loop only during its turns, and runs jobs in their order")
    func turns() async throws {
        let (outside, inside, order) = try await withVirtualTime { time in
            let loop = SimulationLoop(time)
            let outside = loop.inEventLoop
            let order = Order()
            loop.perform {
                order.add(1)
                loop.perform { order.add(3) }
                order.add(2)
            }
            let inside = await on(loop) { loop.inEventLoop }
            try await time.settle()
            return (outside, inside, order.numbers)
        }
        #expect(!outside)
        #expect(inside)
        #expect(order == [1, 2, 3])
    }

    @Test("A timer of a loop fires at its instant, and never if it was cancelled")
    func timers() async throws {
        let fired = try await withVirtualTime { time in
            let loop = SimulationLoop(time)
            let fired = Order()
            loop.scheduleTask(in: .milliseconds(5)) { fired.add(Int(time.now.nanoseconds)) }
            let cancelled = loop.scheduleTask(in: .milliseconds(5)) { fired.add(-1) }
            cancelled.cancel()
            try await time.clock.sleep(for: .seconds(1))
            return fired.numbers
        }
        #expect(fired == [5_000_000])
    }
}

/// The order in which things happened.
// Safety: used on the simulation's thread only.
private final class Order: @unchecked Sendable {
    private(set) var numbers: [Int] = []

    func add(_ number: Int) { numbers.append(number) }
}
