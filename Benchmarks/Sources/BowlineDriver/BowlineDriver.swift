import Bowline
import DriverKit
import Foundation

/// Bowline in its default configuration: the whole default pipeline over the pooled transport.
struct BowlineClient: BenchmarkClient {
    static let name = "Bowline"

    private let client: ServiceClient
    private let url: String
    private let request: ServiceRequest
    private let isOnEventLoop: Bool

    init(_ work: Work) throws {
        client = try ServiceClient(baseURL: work.url) {
            if let authority = work.authority {
                $0.tls.trustRoots = .pem(try String(contentsOfFile: authority, encoding: .utf8))
            }
            if work.isClassical { $0.tls.keyExchange = .classical }
            $0.http2.negotiation = work.isHTTP2 ? .automatic : .http1Only
            // The defaults, except for the limits of the pool: as many connections as requests in flight.
            let connections = work.mode == .requests ? work.inFlight + work.idle : work.count
            $0.pool.maximumPerOrigin = max(256, connections)
            $0.pool.maximumIdlePerOrigin = max(64, connections)
            $0.pool.maximumIdle = max(512, connections)
        }
        url = work.url
        if let length = work.sent {
            request = .post("", body: .bytes([UInt8](repeating: 0x61, count: length)))
        } else {
            request = .get("")
        }
        isOnEventLoop = work.isOnEventLoop
    }

    func send() async throws -> (status: Int, bytes: Int) {
        let response = try await client.send(request)
        var bytes = 0
        for try await chunk in response.body { bytes += chunk.readableBytes }
        return (response.status.code, bytes)
    }

    func open(_ connections: Int) async throws {
        // Open the connections in steps, so that no dial waits for other dials longer than a dial may take.
        for opened in stride(from: min(500, connections), through: connections, by: 500) {
            try await client.pool.prewarm(origin: url, connections: opened)
        }
        let idle = client.pool.snapshot().idle
        guard idle == connections else { throw Unopened(idle: idle) }
    }

    private struct Unopened: Error {
        let idle: Int
    }

    func place(_ workers: @escaping @Sendable @concurrent () async throws -> Void) async throws {
        guard isOnEventLoop else { return try await workers() }
        try await client.withEventLoopExecutor { try await workers() }
    }

    func shutdown() async throws {
        await client.shutdown()
    }
}

@main
enum BowlineDriver {
    static func main() {
        drive(BowlineClient.self)
    }
}
