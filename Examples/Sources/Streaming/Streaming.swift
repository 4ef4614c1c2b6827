import Bowline
import BowlineTesting
import Claims

/// Sends and receives bodies that are never completely in memory: `swift run --package-path Examples Streaming`.
@main
enum Streaming {
    static func main() async throws {
        try await withLoopbackServer { server in
            server.route(.put, "/archive") { .reply(201, body: "\($0.bodyLength)") }
            let rows = (1...1000).map { "\($0),rope,\($0 * 3)\n" }.joined()
            server.route(.get, "/rows", always: .reply(200, body: rows, framing: .chunks(of: 1000)))

            try await withServiceClient(server.baseURL) { client in
                try await up(client)
                try await down(client)
                try await through(client, server)
            }
        }
    }

    /// Makes the body while it is sent: the next chunk is made only when little of the body waits to be sent.
    private static func up(_ client: ServiceClient) async throws {
        print("Up: 16 MiB, made as they are sent")
        let response = try await client.put("archive", body: .stream(Chunks(count: 256, size: 64 << 10)))
        claim("all of it arrived", try await response.text() == "\(16 << 20)")

        print("Up, from a factory, which can be sent again")
        let body = RequestBody.replayable(length: 1 << 20) { Chunks(count: 16, size: 64 << 10) }
        let again = try await client.put("archive", body: body)
        claim("with its length announced", try await again.text() == "\(1 << 20)")
    }

    /// Back-pressure: the service sends only as fast as the client reads.
    private static func down(_ client: ServiceClient) async throws {
        print("Down: rows as they come, whatever the chunks")
        var total = 0
        var count = 0
        for try await row in try await client.get("rows").expecting(.ok).body.lines() {
            total += Int(row.split(separator: ",").last ?? "") ?? 0
            count += 1
        }
        claim("1000 rows, that add up", count == 1000 && total == 3 * 500 * 1001)
    }

    /// The body of a response is a sequence of chunks, and so is the body of a request.
    private static func through(_ client: ServiceClient, _ server: LoopbackServer) async throws {
        print("Through: what comes down goes up")
        let rows = try await client.get("rows").expecting(.ok)
        _ = try await client.put("archive", body: .stream(rows.body)).expecting(.created)
        let last = server.requests.last?.bodyText ?? ""
        claim("the copy is whole", last.hasPrefix("1,rope,3\n") && last.hasSuffix("1000,rope,3000\n"))
    }
}

/// Returns this many chunks of zeros.
struct Chunks: AsyncSequence, Sendable {
    let count: Int
    let size: Int

    struct AsyncIterator: AsyncIteratorProtocol {
        var left: Int
        let size: Int

        mutating func next() async -> ByteBuffer? {
            guard left > 0 else { return nil }
            left -= 1
            return ByteBuffer(repeating: 0, count: size)
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(left: count, size: size) }
}
