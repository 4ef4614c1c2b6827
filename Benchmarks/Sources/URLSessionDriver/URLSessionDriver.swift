import DriverKit
import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// URLSession without a cache and cookies, and with as many connections as requests in flight.
///
/// FoundationNetworking trusts only the system's authorities, so there is no `--ca`, and it is measured without TLS.
struct URLSessionClient: BenchmarkClient {
    static let name = "URLSession (FoundationNetworking)"

    private let session: URLSession
    private let request: URLRequest
    private let body: Data?

    init(_ work: Work) throws {
        guard let url = URL(string: work.url), work.authority == nil else { throw Misuse() }
        let configuration = URLSessionConfiguration.ephemeral
        configuration.urlCache = nil
        configuration.httpCookieStorage = nil
        configuration.httpMaximumConnectionsPerHost = work.mode == .requests ? work.inFlight : work.count
        session = URLSession(configuration: configuration)
        var request = URLRequest(url: url)
        if !work.isCompressed { request.setValue("identity", forHTTPHeaderField: "Accept-Encoding") }
        if work.sent != nil { request.httpMethod = "POST" }
        self.request = request
        body = work.sent.map { Data(repeating: 0x61, count: $0) }
    }

    func send() async throws -> (status: Int, bytes: Int) {
        let (data, response) =
            if let body {
                try await session.upload(for: request, from: body)
            } else {
                try await session.data(for: request)
            }
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, data.count)
    }

    func shutdown() async throws {
        session.invalidateAndCancel()
    }
}

@main
enum URLSessionDriver {
    static func main() {
        drive(URLSessionClient.self)
    }
}
