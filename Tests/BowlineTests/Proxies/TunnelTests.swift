import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Requests for `https` URLs through an HTTP proxy, which opens a tunnel for CONNECT.
@Suite("Tunnels through an HTTP proxy", .timeLimit(.minutes(1)))
struct TunnelTests {
    @Test(
        "The proxy gets one CONNECT with the credentials; the origin gets the requests without them",
        .tags(.PX1), arguments: [false, true])
    func connects(hasCredentials: Bool) async throws {
        try await withLoopbackServer(.tls()) { origin in
            origin.respond { .reply(200, body: $0.target) }
            try await ScriptedProxy.with(.tunnels(to: origin.port)) { proxy in
                let user = hasCredentials ? "ada:secret@" : ""
                let choice = ProxyChoice.http("http://\(user)127.0.0.1:\(proxy.port)")
                try await withProxiedClient(origin.baseURL, choice) { client in
                    for number in 1...3 {
                        let fetched = try await client.fetch("/users?id=1")
                        #expect(fetched.text == "/users?id=1")
                        let facts = try #require(fetched.response.connection)
                        #expect(facts.proxy == proxy.url)
                        #expect(facts.peer == "127.0.0.1:\(proxy.port)")
                        #expect(facts.requests == number)
                    }
                }
                let authorization = hasCredentials ? "Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\n" : ""
                let target = "localhost:\(origin.port)"
                let connect = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\(authorization)\r\n"
                #expect(proxy.texts == [connect])
                #expect(origin.requests.allSatisfy { $0[.proxyAuthorization] == nil })
                #expect(origin.requests.allSatisfy { $0.head.contains("Host: \(target)\r\n") })
                #expect(origin.connections.map(\.serverName) == ["localhost"])
                #expect(origin.problems.isEmpty)
            }
        }
    }

    @Test("CONNECT names the origin's port even if the URL does not, and an IPv6 address has brackets")
    func targets() async throws {
        try await ScriptedProxy.with(.answers("HTTP/1.1 403 Forbidden\r\n\r\n")) { proxy in
            for (url, target) in [("https://api.test", "api.test:443"), ("https://[2001:db8::1]", "[2001:db8::1]:443")]
            {
                try await withProxiedClient(url, .http(proxy.url)) { client in
                    _ = try await serviceError { _ = try await client.fetch("/") }
                    #expect(proxy.texts.last == "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n")
                }
            }
        }
    }

    @Test("ALPN chooses HTTP/2 through the tunnel, and all requests use this one tunnel")
    func http2() async throws {
        try await withLoopbackServer(.http2(LoopbackTLS())) { origin in
            origin.respond { .reply(200, body: $0.path) }
            try await ScriptedProxy.with(.tunnels(to: origin.port)) { proxy in
                try await withProxiedClient(origin.baseURL, .http(proxy.url)) { client in
                    let response = try await client.fetch("/")
                    #expect(response.response.connection?.protocolVersion == .http2)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for number in 0..<20 {
                            group.addTask {
                                let response = try await client.fetch("/\(number)")
                                #expect(response.text == "/\(number)")
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(proxy.messages.count == 1)
                #expect(origin.problems.isEmpty)
            }
        }
    }

    @Test("A 407 that comes through the tunnel is the origin's response")
    func originsStatus() async throws {
        try await withLoopbackServer(.tls()) { origin in
            origin.respond { _ in .reply(407, body: "mine") }
            try await ScriptedProxy.with(.tunnels(to: origin.port)) { proxy in
                try await withProxiedClient(origin.baseURL, .http(proxy.url)) { client in
                    let fetched = try await client.fetch("/")
                    #expect(fetched.response.status.code == 407)
                    #expect(fetched.text == "mine")
                }
            }
        }
    }

    @Test("A 200 may have Content-Length or Transfer-Encoding: both are ignored, and the tunnel is open")
    func framingIsIgnored() async throws {
        try await withLoopbackServer(.tls()) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            for field in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
                let answer = "HTTP/1.1 200 Connection established\r\n\(field)\r\n\r\n"
                try await ScriptedProxy.with(.tunnels(to: origin.port, answer: answer)) { proxy in
                    try await withProxiedClient(origin.baseURL, .http(proxy.url)) { client in
                        let response = try await client.fetch("/")
                        #expect(response.text == "x")
                    }
                }
            }
        }
    }

    /// What a proxy answers instead of a clean 2xx.
    struct Answer: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: String
        var closes = false
        var code = ServiceError.Code.proxyFailed
        let message: String

        static let all = [
            Answer(
                testDescription: "200 with a body", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                message: "sent more bytes than its answer"),
            Answer(
                testDescription: "200 with bytes behind", bytes: "HTTP/1.1 200 OK\r\n\r\n\u{16}\u{03}\u{01}",
                message: "sent more bytes than its answer"),
            Answer(
                testDescription: "407", bytes: "HTTP/1.1 407 canary\r\nProxy-Authenticate: Basic\r\n\r\n",
                code: .proxyAuthenticationRequired, message: "requires credentials (status 407)"),
            Answer(
                testDescription: "302", bytes: "HTTP/1.1 302 canary\r\nLocation: http://canary.test/\r\n\r\n",
                message: "refused the tunnel with status 302"),
            Answer(
                testDescription: "403", bytes: "HTTP/1.1 403 canary\r\nContent-Length: 6\r\n\r\ncanary",
                message: "refused the tunnel with status 403"),
            Answer(testDescription: "garbage", bytes: "canary canary\r\n\r\n", message: "is not valid HTTP/1.1"),
            Answer(
                testDescription: "half a head", bytes: "HTTP/1.1 200 OK\r\nX-Ca", closes: true,
                message: "closed the connection within its answer"),
            Answer(
                testDescription: "nothing", bytes: "", closes: true,
                message: "closed the connection before it answered"),
        ]
    }

    @Test(
        "An answer that is no clean 2xx fails the request, which was never sent; the error names the proxy",
        .tags(.PX2), arguments: Answer.all)
    func refused(answer: Answer) async throws {
        try await withLoopbackServer(.tls()) { origin in
            try await ScriptedProxy.with(.answers(answer.bytes, closes: answer.closes)) { proxy in
                try await withProxiedClient(origin.baseURL, .http(proxy.url)) { client in
                    let request = ServiceRequest.post("/secret", body: .text("x"))
                    let error = try await serviceError { _ = try await client.fetch(request) }
                    #expect(error.code == answer.code)
                    #expect(error.progress == .neverSent)
                    #expect(error.phase == .connecting)
                    #expect(error.message.contains("the proxy \(proxy.url)"))
                    #expect(error.message.contains(answer.message), "\(error.message)")
                    for text in ["canary", "secret"] { #expect(!error.message.contains(text)) }
                    #expect(client.pool.snapshot().opened == 0)
                }
                #expect(proxy.messages.count == 1)
                #expect(origin.connections.isEmpty)
                try await proxy.server.waitForOpenConnections(count: 0)
            }
        }
    }

    @Test("The error of refused credentials says that there were some, and does not contain them")
    func wrongCredentials() async throws {
        try await ScriptedProxy.with(.answers("HTTP/1.1 407 No\r\n\r\n")) { proxy in
            let choice = ProxyChoice.http("http://ada:secret@127.0.0.1:\(proxy.port)")
            try await withProxiedClient("https://api.test", choice) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyAuthenticationRequired)
                #expect(error.message.contains("the proxy \(proxy.url) does not accept the credentials"))
                for secret in ["secret", "YWRh"] { #expect(!error.description.contains(secret)) }
            }
        }
    }

    @Test("A proxy that does not answer is bounded by timeouts.connect, and the error names the proxy", .tags(.PX2))
    func silent() async throws {
        let clock = TestClock()
        try await ScriptedProxy.with(.answers("")) { proxy in
            let client = try ServiceClient(baseURL: "https://localhost:1") {
                $0.useOnly(clock)
                $0.timeouts.connect = .seconds(3)
                $0.proxy = .http(proxy.url)
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            }
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await proxy.waitForMessages(1)
            }
            #expect(error.code == .connectTimeout)
            #expect(error.message.contains("the proxy \(proxy.url)"))
            #expect(error.progress == .neverSent)
            #expect(error.elapsed == .seconds(3))
            try await proxy.server.waitForOpenConnections(count: 0)
            try await end(client, clock)
        }
    }

    @Test("A proxy that refuses connections is proxyFailed, and the error names it", arguments: ["http", "https"])
    func unreachable(scheme: String) async throws {
        let server = try await LoopbackServer.start()
        let proxy = server.baseURL
        await server.stop()
        try await withProxiedClient("\(scheme)://api.test", .http(proxy)) { client in
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .proxyFailed)
            #expect(error.message.contains("the proxy \(proxy) could not be used"))
            #expect(error.message.contains("refused"))
            #expect(error.progress == .neverSent)
        }
    }

    @Test("A proxy whose name is unknown is proxyFailed, and the origin's name is not looked up")
    func unknownProxy() async throws {
        try await withProxiedClient("https://api.test", .http("http://proxy.test:3128")) { client in
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .proxyFailed)
            #expect(error.message.contains("the proxy http://proxy.test:3128"))
            #expect((error.underlying as? NameLookupError)?.reason == .noSuchHost)
        }
    }

    @Test(
        "If the proxy refuses a tunnel or drops the request for it, a retry sends the request, whatever its method",
        .tags(.PX3), arguments: ["HTTP/1.1 503 Busy\r\n\r\n", ""])
    func retried(answer: String) async throws {
        try await withLoopbackServer(.tls()) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            let script = ScriptedProxy.Script { peer in
                try await peer.readHead()
                guard peer.connection.number > 1 else { return try await peer.send(answer) }
                try await peer.send("HTTP/1.1 200 OK\r\n\r\n")
                try await peer.tunnel(to: origin.port)
            }
            try await ScriptedProxy.with(script) { proxy in
                try await withProxiedClient(origin.baseURL, .http(proxy.url)) {
                    $0.retry = RetryOptions()
                    $0.retry.baseDelay = .zero
                } _: { client in
                    let fetched = try await client.fetch(.post("/", body: .text("once")))
                    #expect(fetched.text == "x")
                    #expect(fetched.response.attempts == 2)
                }
                #expect(origin.requests.map(\.bodyText) == ["once"])
            }
        }
    }

    @Test("A 407 is not retried: the next attempt would have the same credentials")
    func notRetried() async throws {
        try await ScriptedProxy.with(.answers("HTTP/1.1 407 No\r\n\r\n")) { proxy in
            try await withProxiedClient("https://api.test", .http(proxy.url)) {
                $0.retry = RetryOptions()
                $0.retry.baseDelay = .zero
            } _: { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyAuthenticationRequired)
                #expect(error.attempts == 1)
            }
            #expect(proxy.messages.count == 1)
        }
    }

    @Test("Tunnels with different credentials are apart, also with HTTP/2", .tags(.PX4), arguments: [false, true])
    func notShared(isHTTP2: Bool) async throws {
        try await withLoopbackServer(isHTTP2 ? .http2(LoopbackTLS()) : .tls()) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            try await ScriptedProxy.with(.tunnels(to: origin.port)) { proxy in
                let users = ["/a": "ada:secret@", "/b": "eve:secret@"]
                let port = proxy.port
                let choice = ProxyChoice.custom { url in
                    try users[url.path].map { try Proxy("http://\($0)127.0.0.1:\(port)") }
                }
                try await withProxiedClient(origin.baseURL, choice) { client in
                    var connections: [Int] = []
                    for path in ["/a", "/b", "/direct", "/a", "/b", "/direct"] {
                        connections.append(try await client.fetch(path).connectionID)
                    }
                    #expect(connections == [1, 2, 3, 1, 2, 3])
                }
                #expect(proxy.texts.count == 2)
                #expect(proxy.texts.first?.contains("Basic YWRhOnNlY3JldA==") == true)
                #expect(proxy.texts.last?.contains("Basic ZXZlOnNlY3JldA==") == true)
            }
        }
    }
}
