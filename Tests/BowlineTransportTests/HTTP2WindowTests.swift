import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("HTTP/2's windows", .timeLimit(.minutes(1)))
struct HTTP2WindowTests {
    private static let window = 65_536
    private static let piece = ByteBuffer(repeating: 0x61, count: 8_192)

    /// How much the peer may send on a stream and on the connection, by the client's updates.
    private struct Room {
        var stream = HTTP2WindowTests.window
        var streamUpdates = 0
        var connectionUpdates = 0

        mutating func note(_ frames: [HTTP2WireFrame]) {
            for frame in frames where frame.kind == .windowUpdate {
                let increment = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self) ?? 0
                if frame.stream == 0 {
                    connectionUpdates += 1
                } else {
                    stream += Int(increment)
                    streamUpdates += 1
                }
            }
        }
    }

    @Test(
        "At most one window of bytes waits for a slow reader; then the reader gets the rest", .tags(.H2j))
    func unreadStream() async throws {
        let harness = try await HTTP2Harness {
            $0.streamWindow = Self.window
            $0.connectionWindow = 2 * Self.window
        }
        let call = try await harness.send(.get("http://a.example/large"))
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
        let response = try await call.task.value
        var room = Room()
        var sent = 0
        while room.stream >= Self.piece.readableBytes, sent < 4 << 20 {
            try await harness.receive(HTTP2WireFrame(.data, on: 1, Self.piece))
            sent += Self.piece.readableBytes
            room.stream -= Self.piece.readableBytes
            room.note(try await harness.frames())
        }
        #expect(sent >= Self.window)
        #expect(sent <= Self.window)
        #expect(room.streamUpdates == 0)
        #expect(room.connectionUpdates > 0, "such a reader holds up its own stream only")

        let updates = room.streamUpdates
        let body = Task { try await response.body.collect(upTo: 8 << 20) }
        try await eventually("the window is given back") {
            room.note(try await harness.frames())
            return room.streamUpdates > updates
        }
        #expect(room.stream >= Self.window / 2)
        try await harness.receive(HTTP2WireFrame(.data, flags: HTTP2WireFrame.endStream, on: 1, Self.piece))
        #expect(try await body.value.readableBytes == sent + Self.piece.readableBytes)
        await harness.finish()
    }

    @Test(
        "the idle limit of a body waits for a slow reader, and begins again when the reader has caught up", .tags(.TO4))
    func caughtUp() async throws {
        let harness = try await HTTP2Harness { $0.streamWindow = Self.window }
        var timeouts = Timeouts()
        timeouts.bodyIdle = .seconds(2)
        let call = try await harness.send(.get("http://a.example/large"), timeouts: timeouts)
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
        let response = try await call.task.value
        let count = Self.window / Self.piece.readableBytes
        for _ in 0..<count { try await harness.receive(HTTP2WireFrame(.data, on: 1, Self.piece)) }
        try await harness.advance(by: .seconds(10))
        #expect(!call.exchange.isOver)
        var reader = response.body.makeAsyncIterator()
        var taken = 0
        while taken < Self.window, let chunk = try await reader.next() { taken += chunk.readableBytes }
        // The loop runs the work that the reader caused.
        _ = try await harness.frames()
        try await harness.advance(by: .seconds(1))
        #expect(!call.exchange.isOver)
        try await harness.advance(by: .seconds(1))
        #expect(try await harness.frames().contains { $0.kind == .reset && $0.stream == 1 })
        #expect(call.exchange.isOver)
        await harness.finish()
    }

    @Test("a stream that is read gets its window back before it is used up", .tags(.H2j))
    func readStream() async throws {
        let harness = try await HTTP2Harness { $0.streamWindow = Self.window }
        let call = try await harness.send(.get("http://a.example/large"))
        let head = HTTP2WireField.section([.init(":status", "200")])
        try await harness.receive(HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, head))
        let body = try await call.task.value.body
        var reader = body.makeAsyncIterator()
        var room = Room()
        for _ in 0..<64 {
            try await harness.receive(HTTP2WireFrame(.data, on: 1, Self.piece))
            room.stream -= Self.piece.readableBytes
            let chunk = try await reader.next()
            #expect(chunk == Self.piece)
            room.note(try await harness.frames())
            #expect(room.stream > 0)
        }
        #expect(room.streamUpdates > 0)
        await harness.finish()
    }
}
