import BowlineTesting
import NIOCore
import Testing

/// A proxy in front of a server. The test drives the server's connections in bytes.
struct FaultBench {
    let proxy: FaultProxy
    let server: LoopbackServer

    /// Returns the server's side of a connection by its number on the server, from 1.
    func peer(_ number: Int = 1) async throws -> LoopbackConnection {
        try await server.waitForConnections(count: number)
        return try #require(server.connection(number))
    }

    /// Runs `body` with a new server and a new proxy.
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

    /// Runs `body` with the same script for each connection.
    static func scripted<Result: Sendable>(
        _ configure: (inout FaultScript) -> Void, _ body: (FaultBench) async throws -> Result
    ) async throws -> Result {
        try await with(.every(FaultScript(configure)), body)
    }

    /// Connects, sends text, and reads to the end. Returns the received text, and how the connection ended. If the
    /// connection is reset before the connect returns, the end is a reset.
    func exchange(_ text: String) async -> (text: String, end: RawClient.End) {
        var outcome = (text: "", end: RawClient.End.reset)
        try? await withRawClient(port: proxy.port) { client in
            // The kernel reports a reset once. If the write reports it, the read after it finds an ordinary end.
            var isReset = false
            if !text.isEmpty {
                // Write through the channel: the writer's own call returns before the kernel has the bytes.
                do { try await client.channel.writeAndFlush(ByteBuffer(string: text)) } catch { isReset = true }
            }
            outcome = await client.readToEnd()
            if isReset { outcome.end = .reset }
        }
        return outcome
    }
}

extension LoopbackConnection {
    /// Reads until the peer ends the connection. Returns the received bytes, and how the connection ended.
    func readToEnd() async throws -> (bytes: [UInt8], end: ConnectionEnd?) {
        var all: [UInt8] = []
        while true {
            let piece = try await read()
            guard piece.readableBytes > 0 else { return (all, record.end) }
            all += piece.readableBytesView
        }
    }

    /// Reads until `count` bytes are unread, and returns all unread bytes as text; fewer if the peer ends the
    /// connection first.
    func readText(_ count: Int) async throws -> String {
        String(buffer: try await read(atLeast: count))
    }
}
