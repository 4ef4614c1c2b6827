import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import Testing

/// Which proxy a client's requests use. `EnvironmentProxiesTests` and `ProxySelectionTests` have the rules.
@Suite("The proxy that a client uses", .timeLimit(.minutes(1)))
struct ProxyUseTests {
    private struct Mine: Error {}

    /// A client without a base URL in an environment with these variables. It can resolve no name.
    private func withClient(
        _ variables: [String: String], _ body: (ServiceClient) async throws -> Void
    ) async throws {
        var options = TransportOptions()
        options.variable = { variables[$0] }
        options.resolver = FixedAddresses([:], otherwise: nil)
        options.tls.trustRoots = .pem(TestCertificates.authority)
        let client = try ServiceClient(transport: try PooledTransport(options: options)) { $0.retry = .never }
        do {
            try await body(client)
        } catch {
            await client.shutdown(within: .zero)
            throw error
        }
        await client.shutdown(within: .zero)
    }

    @Test("With balancing over addresses, a URL that the closure sends to a proxy is not looked up here", .tags(.PX6))
    func customWithBalancing() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.target) }
            let url = server.baseURL
            let choice = ProxyChoice.custom { $0.path == "/" ? nil : try Proxy(url) }
            try await withProxiedClient(
                "http://api.test", choice, configure: { $0.resilience.balancing = BalancingOptions() }
            ) { client in
                let fetched = try await client.fetch("/x")
                #expect(fetched.text == "http://api.test/x")
            }
        }
    }

    @Test("By default the environment chooses: a proxy for each scheme, except for the hosts of no_proxy", .tags(.PX6))
    func environment() async throws {
        try await withLoopbackServers(2) { servers in
            for server in servers { server.respond { .reply(200, body: $0.target) } }
            let connect = ScriptedProxy.Script.answers("HTTP/1.1 403 Forbidden\r\n\r\n")
            try await ScriptedProxy.with(connect) { proxy in
                let variables = [
                    "http_proxy": "127.0.0.1:\(servers[0].port)", "HTTPS_PROXY": proxy.url, "no_proxy": "direct.test",
                ]
                try await withClient(variables) { client in
                    let fetched = try await client.fetch("http://api.test/x")
                    #expect(fetched.text == "http://api.test/x")
                    #expect(fetched.response.connection?.proxy == servers[0].baseURL)
                    let encrypted = try await serviceError { _ = try await client.fetch("https://api.test/") }
                    #expect(encrypted.message.contains("the proxy \(proxy.url)"))
                    let direct = try await serviceError { _ = try await client.fetch("http://direct.test/") }
                    #expect(direct.code == .nameResolutionFailed)
                }
                #expect(proxy.texts.first?.hasPrefix("CONNECT api.test:443 HTTP/1.1\r\n") == true)
            }
        }
    }

    @Test("Loopback origins never use a proxy of the environment", .tags(.PX6))
    func loopback() async throws {
        try await withLoopbackServers(2) { servers in
            for server in servers { server.respond { .reply(200, body: $0.target) } }
            try await withClient(["all_proxy": servers[0].baseURL]) { client in
                for host in ["127.0.0.1", "localhost", "api.localhost"] {
                    let fetched = try await client.fetch("http://\(host):\(servers[1].port)/x")
                    #expect(fetched.text == "/x")
                    #expect(fetched.response.connection?.proxy == nil)
                }
            }
            #expect(servers[0].connections.isEmpty)
        }
    }

    @Test("A proxy that the program names is used for loopback origins too", .tags(.PX6))
    func ofTheProgram() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.target) }
            try await withProxiedClient("http://localhost:1", .http(server.baseURL)) { client in
                let response = try await client.fetch("/x")
                #expect(response.text == "http://localhost:1/x")
            }
        }
    }

    @Test(
        "A malformed variable fails the requests that would use it: the error names the variable, never its value",
        .tags(.PX6), arguments: ["http://canary.test:80/path", "ftp://canary.test", "http://canary:pass word@"])
    func malformed(value: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withClient(["http_proxy": value, "https_proxy": "http://127.0.0.1:1"]) { client in
                for _ in 1...2 {
                    let error = try await serviceError { _ = try await client.fetch("http://api.test/") }
                    #expect(error.code == .invalidConfiguration)
                    #expect(error.message.hasPrefix("http_proxy in the environment names no usable proxy"))
                    #expect(error.progress == .neverSent)
                    for text in ["canary", "pass word"] { #expect(!error.description.contains(text)) }
                }
                let encrypted = try await serviceError { _ = try await client.fetch("https://api.test/") }
                #expect(encrypted.code == .proxyFailed)
                #expect(try await client.fetch(server.url("/")).text == "x")
            }
        }
    }

    @Test("A closure chooses by URL, for each attempt and each hop of a redirect")
    func custom() async throws {
        try await withLoopbackServers(2) { servers in
            let (first, second) = (servers[0], servers[1])
            first.respond { request in
                request.path.hasSuffix("/a") ? .reply(302, fields: [.location: "/b"]) : .reply(503)
            }
            second.respond(inOrder: [.reply(503), .reply(200, body: "x")])
            let asked = Guarded<[String]>([])
            let (a, b) = (first.baseURL, second.baseURL)
            let choice = ProxyChoice.custom { url in
                asked.withLock { $0.append(url.absoluteString) }
                return try Proxy(url.path == "/a" ? a : b)
            }
            try await withProxiedClient("http://api.test", choice) {
                $0.retry = RetryOptions()
                $0.retry.baseDelay = .zero
                $0.retry.throttledBaseDelay = .zero
            } _: { client in
                let fetched = try await client.fetch("/a")
                #expect(fetched.text == "x")
                #expect(fetched.response.connection?.proxy == b)
            }
            #expect(asked.withLock { $0 } == ["http://api.test/a", "http://api.test/b", "http://api.test/b"])
            #expect(first.requests.count == 1)
            #expect(second.requests.count == 2)
        }
    }

    @Test("An error of the closure fails the request before anything is dialled")
    func throwing() async throws {
        try await withProxiedClient("http://api.test", .custom { _ in throw Mine() }) { client in
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .invalidConfiguration)
            #expect(error.underlying is Mine)
            #expect(error.progress == .neverSent)
            #expect(client.pool.snapshot().origins.isEmpty)
        }
    }

    @Test("A Unix domain socket uses no proxy")
    func unixSocket() async throws {
        try await withLoopbackServer(.unixSocket) { server in
            server.respond { .reply(200, body: $0.target) }
            try await withProxiedClient(server.baseURL, .http("http://127.0.0.1:1")) { client in
                let fetched = try await client.fetch("/x")
                #expect(fetched.text == "/x")
                #expect(fetched.response.connection?.proxy == nil)
            }
        }
    }
}
