import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Requests for `http` URLs through an HTTP proxy: it gets them in absolute form (RFC 9112 §3.2.2). A loopback server is
/// the proxy, and answers them itself.
@Suite("Requests that an HTTP proxy gets in absolute form", .timeLimit(.minutes(1)))
struct ForwardedRequestTests {
    private static func lines(_ request: RecordedRequest) -> [String] {
        request.head.split(separator: "\r\n").map(String.init)
    }

    @Test(
        "The request line has the whole URL, Host has the origin, and all other lines are those of a direct request",
        .tags(.PX1))
    func absoluteForm() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.target) }
            let request = ServiceRequest(
                method: .post, "users?id=1&x=%20y", fields: [.accept: "text/plain"], body: .text("hello"))
            try await withProxiedClient("http://api.test:8080/v1", .http(server.baseURL)) { client in
                let fetched = try await client.fetch(request)
                #expect(fetched.text == "http://api.test:8080/v1/users?id=1&x=%20y")
                #expect(fetched.response.connection?.proxy == server.baseURL)
                #expect(fetched.response.connection?.peer == "127.0.0.1:\(server.port)")
            }
            try await withProxiedClient(server.url("v1"), .none) { client in
                let fetched = try await client.fetch(request)
                #expect(fetched.response.connection?.proxy == nil)
            }
            try #require(server.requests.count == 2)
            let (forwarded, direct) = (Self.lines(server.requests[0]), Self.lines(server.requests[1]))
            #expect(forwarded[0] == "POST http://api.test:8080/v1/users?id=1&x=%20y HTTP/1.1")
            #expect(forwarded[1] == "Host: api.test:8080")
            #expect(direct[0] == "POST /v1/users?id=1&x=%20y HTTP/1.1")
            #expect(forwarded.dropFirst(2) == direct.dropFirst(2))
            #expect(server.requests.map(\.bodyText) == ["hello", "hello"])
            #expect(server.problems.isEmpty)
        }
    }

    @Test("The default port is not written, and the path / is", .tags(.PX1))
    func root() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withProxiedClient("http://api.test", .http(server.baseURL)) { client in
                _ = try await client.fetch("/")
            }
            let request = try #require(server.requests.first)
            #expect(Self.lines(request).prefix(2) == ["GET http://api.test/ HTTP/1.1", "Host: api.test"])
        }
    }

    @Test("The proxy's credentials are in Proxy-Authorization, in place of a field of the caller", .tags(.PX1))
    func credentials() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            let proxy = ProxyChoice.http("http://ada:secret@127.0.0.1:\(server.port)")
            try await withProxiedClient("http://api.test", proxy) { client in
                for own in [nil, "Basic b3duOm93bg=="] {
                    var request = ServiceRequest.get("/")
                    request.fields[.proxyAuthorization] = own
                    let fetched = try await client.fetch(request)
                    #expect(fetched.response.connection?.proxy == server.baseURL)
                }
            }
            let values = server.requests.map { $0.fields[values: .proxyAuthorization] }
            #expect(values == [["Basic YWRhOnNlY3JldA=="], ["Basic YWRhOnNlY3JldA=="]])
        }
    }

    @Test("Requests to one origin reuse a connection to the proxy")
    func reused() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withProxiedClient("http://api.test", .http(server.baseURL)) { client in
                for number in 1...3 {
                    let facts = try #require(try await client.fetch("/").response.connection)
                    #expect(facts.id == 1)
                    #expect(facts.requests == number)
                }
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test(
        "Different proxies, different credentials and a direct connection do not share connections, whatever the order",
        .tags(.PX4))
    func notShared() async throws {
        try await withLoopbackServers(3) { servers in
            for server in servers { server.respond { .reply(200, body: $0.target) } }
            let (first, second, origin) = (servers[0], servers[1], servers[2])
            let urls = [
                "/a": first.baseURL, "/b": "http://ada:secret@127.0.0.1:\(first.port)",
                "/c": "http://eve:secret@127.0.0.1:\(first.port)", "/d": second.baseURL,
            ]
            let choice = ProxyChoice.custom { url in try urls[url.path].map { try Proxy($0) } }
            try await withProxiedClient(origin.baseURL, choice) { client in
                var connections: [String: Int] = [:]
                for path in ["/a", "/b", "/c", "/d", "/e"] {
                    connections[path] = try await client.fetch(path).connectionID
                }
                #expect(Set(connections.values).count == 5)
                for path in ["/e", "/c", "/a", "/d", "/b"] {
                    let fetched = try await client.fetch(path)
                    #expect(fetched.connectionID == connections[path], "\(path)")
                    #expect(fetched.isReused, "\(path)")
                    #expect(fetched.text == (path == "/e" ? path : origin.baseURL + path))
                }
            }
            #expect(first.connections.count == 3)
            #expect(second.connections.count == 1)
            #expect(origin.connections.count == 1)
            let credentials = first.requests.map { "\($0.path.suffix(2)) \($0[.proxyAuthorization] ?? "none")" }
            let (ada, eve) = ("/b Basic YWRhOnNlY3JldA==", "/c Basic ZXZlOnNlY3JldA==")
            #expect(credentials == ["/a none", ada, eve, eve, "/a none", ada])
        }
    }

    @Test(
        "A 407 of the proxy is proxyAuthenticationRequired and no response, on a new connection and on a reused one",
        arguments: [false, true])
    func authenticationRequired(isReused: Bool) async throws {
        try await withLoopbackServer { server in
            let refusal = ScriptedReply.reply(407, fields: [.proxyAuthenticate: "Basic"], body: "canary")
            server.respond(inOrder: isReused ? [.reply(200), refusal] : [refusal])
            let proxy = ProxyChoice.http("http://ada:secret@127.0.0.1:\(server.port)")
            try await withProxiedClient("http://api.test", proxy) {
                $0.retry.maximumAttempts = 3
            } _: { client in
                if isReused { _ = try await client.fetch("/") }
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyAuthenticationRequired)
                #expect(error.progress == .refused)
                #expect(error.attempts == 1)
                #expect(error.resends == 0)
                #expect(error.connection?.proxy == server.baseURL)
                #expect(error.message.contains("the proxy \(server.baseURL) does not accept the credentials"))
                for secret in ["canary", "secret", "YWRh"] { #expect(!error.description.contains(secret)) }
            }
            #expect(server.requests.count == (isReused ? 2 : 1))
        }
    }

    @Test("After a 407 the connection closes, and the next request gets another connection")
    func afterRefusal() async throws {
        try await withLoopbackServer { server in
            server.respond(inOrder: [.reply(407, body: "no"), .reply(200, body: "x")])
            try await withProxiedClient("http://api.test", .http(server.baseURL)) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.message.contains("requires credentials"))
                let response = try await client.fetch("/")
                #expect(response.text == "x")
                #expect(client.pool.snapshot().closed == ["bodyAbandoned": 1])
            }
            #expect(server.connections.count == 2)
        }
    }

    @Test("Other answers of the proxy are responses, because the client cannot know who made them")
    func otherStatuses() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(502, body: "bad gateway") }
            try await withProxiedClient("http://api.test", .http(server.baseURL)) { client in
                let fetched = try await client.fetch("/")
                #expect(fetched.response.status.code == 502)
                #expect(fetched.text == "bad gateway")
            }
        }
    }

    @Test("The proxy gets HTTP/1.1 even if HTTP/2 is required: this is between the client and the proxy")
    func priorKnowledge() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withProxiedClient("http://api.test", .http(server.baseURL)) {
                $0.http2.negotiation = .http2Only
            } _: { client in
                let response = try await client.fetch("/")
                #expect(response.response.connection?.protocolVersion == .http1_1)
            }
        }
    }
}
