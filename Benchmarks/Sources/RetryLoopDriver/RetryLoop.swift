import AsyncHTTPClient
import Foundation
import NIOCore
import Synchronization

/// AsyncHTTPClient behind a plain retry loop, as programs write it: a few tries, one after another, without a wait, a
/// budget or a look at the method.
///
/// AsyncHTTPClient does not balance. So the loop gives each call to the next server of the list, and each further try
/// to the server after that.
final class RetryLoop: Sendable {
    /// The result of a call.
    struct Result: Sendable {
        var status: Int?
        var error: String?
        var tries: Int
    }

    private let client: HTTPClient
    private let servers: [String]
    private let tries: Int
    private let tryTimeout: TimeAmount
    private let calls = Atomic(0)

    /// - Parameters:
    ///   - servers: The base URLs.
    ///   - tries: How many tries a call has, the first included.
    init(servers: [String], tries: Int, tryTimeout: TimeAmount) {
        var configuration = HTTPClient.Configuration()
        // Bowline's limit. The default, 8, would make calls wait for connections to a slow server.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 256
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        self.servers = servers
        self.tries = tries
        self.tryTimeout = tryTimeout
    }

    /// Sends a request until a response has a status below 500.
    ///
    /// - Parameter path: The part of the URL after the base URL.
    func call(isPost: Bool, path: String) async -> Result {
        let first = calls.wrappingAdd(1, ordering: .relaxed).oldValue
        var result = Result(tries: 0)
        while result.tries < tries {
            var request = HTTPClientRequest(url: servers[(first + result.tries) % servers.count] + path)
            if isPost { request.method = .POST }
            result = Result(tries: result.tries + 1)
            do {
                let response = try await client.execute(request, timeout: tryTimeout)
                for try await _ in response.body {}
                result.status = Int(response.status.code)
                if response.status.code < 500 { return result }
            } catch {
                result.error = "\(error)"
            }
        }
        return result
    }

    func shutdown() async throws {
        try await client.shutdown()
    }
}
