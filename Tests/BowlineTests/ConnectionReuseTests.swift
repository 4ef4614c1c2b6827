import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Connection reuse (KA)")
struct ConnectionReuseTests {
    @Test("KA1: two sequential GETs whose bodies are read use one connection", arguments: [false, true])
    func sequentialRequestsShareAConnection(chunked: Bool) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "hello", framing: chunked ? .chunked : .length) }
            try await withServiceClient(server.baseURL) { client in
                for expected in 1...3 {
                    let response = try await client.get("/")
                    #expect(response.status == .ok)
                    #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "hello"))
                    #expect(response.connection?.id == 1)
                    #expect(response.connection?.requests == expected)
                    #expect(response.connection?.isReused == (expected > 1))
                }
            }
            #expect(server.connections.count == 1)
        }
    }
}
