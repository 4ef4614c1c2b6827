import AsyncHTTPClient
import DriverKit
import Foundation
import NIOCore
import NIOSSL

/// AsyncHTTPClient with a user's usual settings: as many connections as requests in flight, on SwiftNIO's singleton
/// loops.
struct AsyncHTTPClientClient: BenchmarkClient {
    static let name = "AsyncHTTPClient 1.37.0"

    private let client: HTTPClient
    private let request: HTTPClientRequest

    init(_ work: Work) throws {
        var configuration = HTTPClient.Configuration()
        if let authority = work.authority {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(authority)
            configuration.tlsConfiguration = tls
        }
        // The client's default is 10 s. Ten thousand handshakes at once take longer.
        configuration.timeout.connect = .seconds(60)
        configuration.httpVersion = work.isHTTP2 ? .automatic : .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit =
            work.mode == .requests ? work.inFlight : work.count
        if work.isCompressed { configuration.decompression = .enabled(limit: .none) }
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        var request = HTTPClientRequest(url: work.url)
        if let length = work.sent {
            request.method = .POST
            request.body = .bytes(ByteBuffer(repeating: 0x61, count: length))
        }
        self.request = request
    }

    func send() async throws -> (status: Int, bytes: Int) {
        let response = try await client.execute(request, timeout: .seconds(60))
        var bytes = 0
        for try await chunk in response.body { bytes += chunk.readableBytes }
        return (Int(response.status.code), bytes)
    }

    func shutdown() async throws {
        try await client.shutdown()
    }
}

@main
enum AsyncHTTPClientDriver {
    static func main() {
        drive(AsyncHTTPClientClient.self)
    }
}
