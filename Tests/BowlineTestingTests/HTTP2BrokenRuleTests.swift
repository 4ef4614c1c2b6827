import BowlineTesting
import NIOCore
import Testing

@Suite("Loopback server: rules of HTTP/2 that a client breaks", .timeLimit(.minutes(1)))
struct HTTP2BrokenRuleTests {
    struct Breach: Sendable, CustomTestStringConvertible {
        let error: String
        let bytes: ByteBuffer
        var testDescription: String { error }

        init(_ error: String, _ frames: [HTTP2WireFrame]) {
            self.error = error
            bytes = HTTP2BrokenRuleTests.opening(frames)
        }

        init(_ error: String, text: String) {
            self.error = error
            bytes = ByteBuffer(string: text)
        }
    }

    /// The client's preface, its settings and the frames. It also acknowledges the server's settings.
    private static func opening(_ frames: [HTTP2WireFrame]) -> ByteBuffer {
        let first: [HTTP2WireFrame] = [.settings([]), .settingsAcknowledgement]
        var bytes = HTTP2WireFrame.clientPreface
        for frame in first + frames { bytes.writeImmutableBuffer(frame.bytes) }
        return bytes
    }

    private static func head(on stream: Int) -> HTTP2WireFrame {
        let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
        return HTTP2WireFrame(
            .headers, flags: HTTP2WireFrame.endHeaders, on: stream,
            HTTP2WireField.section(fields.map { HTTP2WireField($0, $1) }))
    }

    private static func data(_ count: Int, on stream: Int) -> HTTP2WireFrame {
        HTTP2WireFrame(.data, on: stream, ByteBuffer(repeating: 0x61, count: count))
    }

    /// A server that allows one stream, and 1,024 bytes of a body before it reads them.
    private static var options: LoopbackServer.Options {
        var options = LoopbackServer.Options()
        var http2 = LoopbackHTTP2()
        http2.initialWindow = 1024
        http2.maximumStreams = 1
        options.http2 = http2
        return options
    }

    @Test(
        "The server records each as a problem",
        arguments: [
            Breach("BadClientMagic", text: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Breach(
                "UnableToParseFrame",
                [HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders, on: 1, ByteBuffer(bytes: [0x80]))]),
            Breach("FlowControlViolation", [Self.head(on: 1), Self.data(1025, on: 1)]),
            Breach("MaxStreamsViolation", [Self.head(on: 1), Self.head(on: 3)]),
        ])
    func breaches(breach: Breach) async throws {
        try await withLoopbackServer(Self.options) { server in
            try await withRawClient(to: server) { client in
                try await client.outbound.write(breach.bytes)
                _ = await client.readToEnd()
            }
            #expect(server.problems == ["connection 1: the client broke a rule of HTTP/2: \(breach.error)"])
        }
    }

    @Test("A full window, a reset and a cut in the middle of a frame break no rule")
    func allowed() async throws {
        try await withLoopbackServer(Self.options) { server in
            try await withRawClient(to: server) { client in
                let code = ByteBuffer(integer: UInt32(8))
                var bytes = Self.opening([
                    Self.head(on: 1), Self.data(1024, on: 1), HTTP2WireFrame(.reset, on: 1, code), Self.head(on: 3),
                ])
                bytes.writeImmutableBuffer(Self.data(500, on: 3).bytes.getSlice(at: 0, length: 100) ?? ByteBuffer())
                try await client.outbound.write(bytes)
                try await server.waitForRequestHeads(count: 2)
                try await client.reset()
            }
            try await server.waitForOpenConnections(count: 0)
            #expect(server.problems == [])
        }
    }

    @Test("Trailers on a stream that the server has reset break no rule")
    func lateTrailers() async throws {
        try await withLoopbackServer(Self.options) { server in
            server.respondEarly { _ in .resetStream(code: 7) }
            try await withRawClient(to: server) { client in
                try await client.outbound.write(Self.opening([Self.head(on: 1)]))
                // The code of the server's RST_STREAM frame.
                _ = try await client.read(through: "\0\0\0\u{7}")
                let trailers = HTTP2WireFrame(
                    .headers, flags: HTTP2WireFrame.endHeaders | HTTP2WireFrame.endStream, on: 1,
                    HTTP2WireField.section([HTTP2WireField("x-sum", "1")]))
                try await client.outbound.write(trailers.bytes)
            }
            try await server.waitForOpenConnections(count: 0)
            #expect(server.problems == [])
        }
    }
}
