import Bowline
import BowlineTesting
import NIOCore
import Testing

/// A peer that never returns the connection's window after a body that was broken off, as HAProxy 2.6.
@Suite("HTTP/2: a connection whose window a broken-off body has used up", .timeLimit(.minutes(1)))
struct HTTP2SpentWindowTests {
    private static let window = 65_535

    /// Answers the first connection's first request in the middle of its body, and the other connections' requests at
    /// their ends.
    private static func serve(_ server: LoopbackServer, status: Int, taking bytes: Int) {
        let connections = Guarded(0)
        server.onConnection { connection in
            let isFirst = connections.withLock { count in
                count += 1
                return count == 1
            }
            var peer = try await FramePeer(connection)
            if isFirst {
                let head = try await peer.nextHead()
                var taken = 0
                while taken < bytes {
                    let frame = try await peer.next()
                    if frame.type == FramePeer.data { taken += frame.payload.readableBytes }
                }
                try await peer.reply(status, on: head.stream)
            }
            while true {
                let head = try await peer.nextHead()
                let body = head.endsStream ? ByteBuffer() : try await peer.body()
                try await peer.reply(200, on: head.stream, fields: [("x-bytes", "\(body.readableBytes)")])
            }
        }
    }

    @Test("A refused upload that used up the window: the next body goes over another connection, in time")
    func spent() async throws {
        try await withLoopbackServer { server in
            Self.serve(server, status: 413, taking: Self.window)
            try await withComparedHTTP2Client(server) {
                $0.retry = .never
            } _: { client, _ in
                let large = RequestBody.bytes([UInt8](repeating: 1, count: 4 * Self.window))
                let refused = try await client.post("upload", body: large)
                #expect(refused.status == .contentTooLarge)
                _ = try await refused.body.collect(upTo: 100)
                let next = try await client.post("upload", body: .text("hello")) { $0.timeouts.bodyIdle = .seconds(10) }
                #expect(next.status == .ok)
                #expect(next.fields[HTTPField.Name("x-bytes")!] == "5")
                #expect(client.pool.snapshot().opened == 2)
                try await eventually("the first connection's end") {
                    client.pool.snapshot().closed["requestUnfinished"] == 1
                }
            }
        }
    }

    @Test("A refused upload that left a part of the window: the connection goes on")
    func left() async throws {
        try await withLoopbackServer { server in
            Self.serve(server, status: 413, taking: 1000)
            try await withComparedHTTP2Client(server) {
                $0.retry = .never
            } _: { client, sent in
                let (chunks, source) = AsyncStream.makeStream(of: ByteBuffer.self)
                let part = ByteBuffer(bytes: (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
                source.yield(part)
                let body = RequestBody.stream(chunks)
                sent.note(body, yields: part)
                let refused = try await client.post("upload", body: body)
                source.finish()
                #expect(refused.status == .contentTooLarge)
                _ = try await refused.body.collect(upTo: 100)
                let next = try await client.post("upload", body: .text("hello"))
                #expect(next.fields[HTTPField.Name("x-bytes")!] == "5")
                #expect(client.pool.snapshot().opened == 1)
            }
        }
    }
}
