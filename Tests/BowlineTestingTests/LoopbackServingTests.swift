import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@Suite("Loopback server: serving requests")
struct LoopbackServingTests {
    static let get = "GET /x?q=1 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-two: 2\r\n\r\n"

    @Test("answers requests on a connection that is kept alive, and records them")
    func keepAlive() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: "\($0.number)") }
            try await withRawClient(to: server) { client in
                for number in 1...3 {
                    try await client.send(Self.get)
                    let response = try await client.read(through: "\r\n\r\n\(number)")
                    #expect(response == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
                }
            }
            try await server.waitForOpenConnections(count: 0)
            let request = try #require(server.requests.last)
            #expect(request.method == .get)
            #expect(request.target == "/x?q=1")
            #expect(request.path == "/x")
            #expect(request.fields.map(\.name.rawName) == ["Host", "X-One", "x-two"])
            #expect(request.head == Self.get)
            #expect(request.isComplete)
            #expect((request.connection, request.number) == (1, 3))
            let connection = try #require(server.connections.first)
            #expect(server.connections.count == 1)
            #expect(connection.requests == 3)
            #expect(connection.end == .clientFinished)
            #expect(connection.bytesReceived == 3 * Self.get.utf8.count)
            #expect(connection.bytesSent == 3 * 39)
            #expect(server.problems == [])
        }
    }

    @Test("serves 10,000 requests on one connection in a reasonable time")
    func manyRequests() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "ok") }
            let elapsed = try await ContinuousClock().measure {
                try await withRawClient(to: server) { client in
                    for _ in 1...10_000 {
                        try await client.send(Self.get)
                        _ = try await client.read(through: "\r\n\r\nok")
                    }
                }
            }
            try await server.waitForRequests(count: 10_000)
            #expect(elapsed < .seconds(60), "took \(elapsed)")
            print("10,000 requests took \(elapsed)")
        }
    }
}
