import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

/// With TLS a channel closes up to a second after `close`, and errors may arrive in between.
@Suite("Two errors from one channel before it closes", .timeLimit(.minutes(1)))
struct ChannelErrorTests {
    /// Closes when the test says so.
    private final class SlowClosing: ChannelOutboundHandler, Sendable {
        typealias OutboundIn = ByteBuffer

        private let isHeld = Guarded(true)

        func release() { isHeld.withLock { $0 = false } }

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if isHeld.withLock({ $0 }) {
                promise?.succeed(())
            } else {
                context.close(mode: mode, promise: promise)
            }
        }
    }

    private static func reset() -> IOError { IOError(errnoCode: 104, reason: "first") }
    private static func brokenPipe() -> IOError { IOError(errnoCode: 32, reason: "second") }

    /// The channel reports an error, then another, and then it is closed.
    private func fail(
        _ channel: NIOAsyncTestingChannel, _ log: RecordingOwner, between: @escaping @Sendable () -> Void = {}
    ) async throws {
        let closing = SlowClosing()
        try await channel.testingEventLoop.executeInContext {
            try channel.pipeline.syncOperations.addHandler(closing, position: .first)
            channel.pipeline.fireErrorCaught(Self.reset())
        }
        await channel.testingEventLoop.run()
        try await channel.testingEventLoop.executeInContext {
            between()
            channel.pipeline.fireErrorCaught(Self.brokenPipe())
        }
        await channel.testingEventLoop.run()
        closing.release()
        try await channel.close()
        await channel.testingEventLoop.run()
    }

    private func isFirst(_ underlying: (any Error)?) -> Bool {
        (underlying as? IOError)?.errnoCode == 104
    }

    /// The exchange has ended, and its connection with it, once.
    private func expectEnd(of exchange: Exchange, on harness: HTTP1Harness) async throws {
        #expect(exchange.isOver)
        #expect(harness.log.notes == ["closed transportError"])
        #expect(try await harness.onLoop { harness.connection.sweepIndex == -1 })
        await harness.finish()
    }

    @Test("Over HTTP/1.1 a request without a response fails once, with the first error as its cause")
    func overHTTP1() async throws {
        let harness = try await HTTP1Harness()
        let (exchange, task) = try await harness.send(.get("http://a.example/"))
        try await fail(harness.channel, harness.log)
        let error = try await #require(throws: TransportOutcome.self) { _ = try await task.value }
        #expect(error.code == .connectionClosed)
        #expect(error.progress == .ambiguous)
        #expect(isFirst(error.underlying), "\(String(describing: error.underlying))")
        try await expectEnd(of: exchange, on: harness)
    }

    @Test("Over HTTP/1.1 the body of a response fails once, with the first error as its cause")
    func withinBodyOverHTTP1() async throws {
        let harness = try await HTTP1Harness()
        let (exchange, task) = try await harness.send(.get("http://a.example/"))
        try await harness.receive("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        try await fail(harness.channel, harness.log)
        var reader = try await task.value.body.makeAsyncIterator()
        #expect(try await reader.next() == ByteBuffer(string: "part"))
        let error = try await #require(throws: ServiceError.self) { _ = try await reader.next() }
        #expect(error.code == .incompleteBody)
        #expect(error.progress == .responseStarted)
        #expect(isFirst(error.underlying), "\(String(describing: error.underlying))")
        try await expectEnd(of: exchange, on: harness)
    }

    @Test(
        "Over HTTP/1.1 a response that ends after the first error is whole, and its connection is not reused")
    func endBetweenErrors() async throws {
        let harness = try await HTTP1Harness()
        let (_, task) = try await harness.send(.get("http://a.example/"))
        try await fail(harness.channel, harness.log) { [channel = harness.channel] in
            channel.pipeline.fireChannelRead(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrope"))
            channel.pipeline.fireChannelReadComplete()
        }
        #expect(try await task.value.body.collect(upTo: 10) == ByteBuffer(string: "rope"))
        #expect(harness.log.notes == ["closed transportError"], "the pool would lease what is being closed")
        await harness.finish()
    }

    @Test("over HTTP/1.1 an idle connection ends once, at the first error")
    func idle() async throws {
        let harness = try await HTTP1Harness()
        try await fail(harness.channel, harness.log)
        #expect(harness.log.notes == ["closed closedByPeer"])
        await harness.finish()
    }

    @Test("Over HTTP/2 each request fails once, at the first error and with it as the cause")
    func overHTTP2() async throws {
        let harness = try await HTTP2Harness()
        let started = try await harness.send(.get("http://a.example/started"))
        let waiting = try await harness.send(.get("http://a.example/waiting"))
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(
            HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head),
            HTTP2WireFrame(.data, on: 1, ByteBuffer(string: "part")))
        let response = try await started.task.value
        _ = harness.entries()
        try await fail(harness.channel, harness.log)

        var reader = response.body.makeAsyncIterator()
        #expect(try await reader.next() == ByteBuffer(string: "part"))
        let cut = try await #require(throws: ServiceError.self) { _ = try await reader.next() }
        #expect(cut.code == .incompleteBody)
        #expect(cut.progress == .responseStarted)
        #expect(isFirst(cut.underlying), "\(String(describing: cut.underlying))")
        let error = try #require(await waiting.error)
        #expect(error.code == .connectionClosed)
        #expect(error.progress == .ambiguous)
        #expect(isFirst(error.underlying), "\(String(describing: error.underlying))")
        let entries = harness.entries()
        #expect(entries == ["closed transportError", "http://a.example/waiting: failed"])
        #expect(started.exchange.isOver)
        #expect(waiting.exchange.isOver)
        await harness.finish()
    }

    @Test("Over HTTP/2 a violation by the peer stays the cause, whatever errors the channel reports afterwards")
    func violationFirst() async throws {
        let harness = try await HTTP2Harness()
        let call = try await harness.send(.get("http://a.example/"))
        let closing = SlowClosing()
        try await harness.onLoop { [channel = harness.channel] in
            try channel.pipeline.syncOperations.addHandler(closing, position: .first)
        }
        // DATA on the connection itself.
        try await harness.receive(HTTP2WireFrame(.data, on: 0, ByteBuffer(string: "x")))
        closing.release()
        try await fail(harness.channel, harness.log)
        let error = try #require(await call.error)
        #expect(error.code == .protocolViolation)
        #expect(error.progress == .ambiguous)
        #expect(error.underlying is HTTP2Violation)
        #expect(harness.entries().filter { $0.hasPrefix("closed") } == ["closed protocolError"])
        await harness.finish()
    }
}
