internal import Bowline
internal import BowlineTesting

/// The origins of a churn: each is a separate server, and the five kinds take turns.
final class ChurnServers: Sendable {
    /// How an origin is reached.
    enum Kind: Sendable, CaseIterable {
        case http1
        /// Plain HTTP/1.1 by a host name, which the client resolves for each dial.
        case http1ByName
        case http1TLS
        case http2
        /// HTTP/2 with a GOAWAY after 20 requests.
        case http2GoingAway

        var isHTTP2: Bool { self == .http2 || self == .http2GoingAway }
        var isEncrypted: Bool { isHTTP2 || self == .http1TLS }

        /// The kind of the origin with this number.
        static func of(origin: Int) -> Kind { allCases[origin % allCases.count] }

        fileprivate var options: LoopbackServer.Options {
            var options = LoopbackServer.Options()
            if isEncrypted { options.tls = LoopbackTLS() }
            if isHTTP2 {
                var http2 = LoopbackHTTP2()
                if self == .http2GoingAway { http2.requestsPerConnection = 20 }
                options.http2 = http2
            }
            options.recordedBodyLimit = 0
            options.keepsRecords = false
            return options
        }
    }

    private let servers: [LoopbackServer]

    private init(_ servers: [LoopbackServer]) {
        self.servers = servers
    }

    /// Starts `count` servers that answer as the seed says.
    static func start(_ count: Int, seed: UInt64) async throws -> ChurnServers {
        var servers: [LoopbackServer] = []
        do {
            for origin in 0..<count {
                let kind = Kind.of(origin: origin)
                let server = try await LoopbackServer.start(kind.options)
                server.respond { request in
                    guard let number = ChurnCall.number(of: request.target) else { return .reply(404) }
                    return ChurnCall(seed: seed, number: number, origins: count).reply(isHTTP2: kind.isHTTP2)
                }
                servers.append(server)
            }
        } catch {
            await ChurnServers(servers).stop()
            throw error
        }
        return ChurnServers(servers)
    }

    var count: Int { servers.count }

    /// The URL of a call's target at its origin.
    func url(_ call: ChurnCall) -> String {
        let kind = Kind.of(origin: call.origin)
        let host = kind == .http1ByName ? "localhost" : "127.0.0.1"
        return "\(kind.isEncrypted ? "https" : "http")://\(host):\(servers[call.origin].port)/\(call.target)"
    }

    func stop() async {
        for server in servers { await server.stop() }
    }
}
