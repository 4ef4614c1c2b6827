import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("The idle limit of an HTTP/1.1 response's body", .timeLimit(.minutes(1)))
struct HTTP1IdleLimitTests {
    private static let piece = ByteBuffer(repeating: 0x61, count: 8_192)

    @Test(
        "the idle limit waits for a slow reader, and begins again when the reader has caught up", .tags(.TO4),
        arguments: [Duration.seconds(1), .seconds(10)])
    func caughtUp(pause: Duration) async throws {
        let harness = try await HTTP1Harness()
        var timeouts = Timeouts()
        timeouts.bodyIdle = .seconds(2)
        let (exchange, task) = try await harness.send(.get("http://a.example/large"), timeouts: timeouts)
        try await harness.receive("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        let response = try await task.value
        var sent = 0
        while try await harness.onLoop({ !harness.connection.reading.isPaused }) {
            try await harness.receive(Self.piece)
            sent += Self.piece.readableBytes
        }
        // The time that the reader takes, shorter or longer than the limit.
        try await harness.advance(by: pause)
        #expect(!exchange.isOver)

        var reader = response.body.makeAsyncIterator()
        var read = ByteBuffer()
        while read.readableBytes < sent, let chunk = try await reader.next() { read.writeImmutableBuffer(chunk) }
        #expect(read == ByteBuffer(repeating: 0x61, count: sent))
        // The loop runs the work that the reader caused.
        await harness.channel.testingEventLoop.run()
        #expect(try await harness.onLoop { !harness.connection.reading.isPaused })

        try await harness.advance(by: .milliseconds(1999))
        #expect(!exchange.isOver)
        #expect(harness.log.notes.isEmpty)
        try await harness.advance(by: .milliseconds(1))
        #expect(exchange.isOver)
        #expect(harness.log.notes == ["closed timedOut"])
        let error = try await #require(throws: ServiceError.self) { _ = try await reader.next() }
        #expect(error.code == .bodyIdleTimeout)
        #expect(error.progress == .responseStarted)
        #expect(error.elapsed == pause + .seconds(2))
        await harness.finish()
    }

    @Test("after a reader has caught up, bytes put the limit off as before", .tags(.TO4))
    func bytesAfterwards() async throws {
        let harness = try await HTTP1Harness()
        var timeouts = Timeouts()
        timeouts.bodyIdle = .seconds(2)
        let count = 20
        let (exchange, task) = try await harness.send(.get("http://a.example/large"), timeouts: timeouts)
        let length = count * Self.piece.readableBytes
        try await harness.receive("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n")
        var reader = try await task.value.body.makeAsyncIterator()
        var read = 0
        for _ in 0..<10 { try await harness.receive(Self.piece) }
        try await harness.advance(by: .seconds(10))
        while read < 10 * Self.piece.readableBytes, let chunk = try await reader.next() { read += chunk.readableBytes }
        await harness.channel.testingEventLoop.run()
        for _ in 10..<count {
            try await harness.advance(by: .milliseconds(1999))
            try await harness.receive(Self.piece)
            if let chunk = try await reader.next() { read += chunk.readableBytes }
        }
        #expect(try await reader.next() == nil)
        #expect(read == length)
        #expect(exchange.isOver)
        #expect(harness.log.notes == ["released"])
        await harness.finish()
    }
}
