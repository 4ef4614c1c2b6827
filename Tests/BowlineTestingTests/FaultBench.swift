import BowlineTesting
import NIOCore
import Testing

/// A proxy in front of a server whose connections the test drives in bytes.
struct FaultBench {
    let proxy: FaultProxy
    let server: LoopbackServer

    /// The server's side of a connection, by its number there, from 1.
    func peer(_ number: Int = 1) async throws -> LoopbackConnection {
        try await server.waitForConnections(count: number)
        return try #require(server.connection(number))
    }

    /// Runs `body` with both.
    static func with<Result: Sendable>(
        _ plan: FaultPlan = .none, _ body: (FaultBench) async throws -> Result
    ) async throws -> Result {
        try await withLoopbackServer { server in
            let never = Gate()
            server.onConnection { _ in try await never.wait() }
            return try await FaultProxy.withProxy(port: server.port, plan: plan) { proxy in
                try await body(FaultBench(proxy: proxy, server: server))
            }
        }
    }

    /// Runs `body` with one script for each connection.
    static func scripted<Result: Sendable>(
        _ configure: (inout FaultScript) -> Void, _ body: (FaultBench) async throws -> Result
    ) async throws -> Result {
        try await with(.every(FaultScript(configure)), body)
    }

    /// Connects, sends text, and reads to the end: what came, and how it ended. A connection that is reset before the
    /// connect returns has ended with a reset.
    func exchange(_ text: String) async -> (text: String, end: RawClient.End) {
        var outcome = (text: "", end: RawClient.End.reset)
        try? await withRawClient(port: proxy.port) { client in
            // The kernel reports a reset once: a write that fails has had it, and the read behind it finds an end like any other.
            var isReset = false
            if !text.isEmpty {
                // Through the channel: the writer's own call returns before the kernel has the bytes.
                do { try await client.channel.writeAndFlush(ByteBuffer(string: text)) } catch { isReset = true }
            }
            outcome = await client.readToEnd()
            if isReset { outcome.end = .reset }
        }
        return outcome
    }
}

extension LoopbackConnection {
    /// Reads until the peer ends: what came, and how it ended.
    func readToEnd() async throws -> (bytes: [UInt8], end: ConnectionEnd?) {
        var all: [UInt8] = []
        while true {
            let piece = try await read()
            guard piece.readableBytes > 0 else { return (all, record.end) }
            all += piece.readableBytesView
        }
    }

    /// Reads exactly so many bytes, as text; fewer if the peer ends before.
    func readText(_ count: Int) async throws -> String {
        String(buffer: try await read(atLeast: count))
    }
}
