import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Redirects over sockets", .timeLimit(.minutes(1)))
struct RedirectOverSocketTests {
    @Test(
        "With a pool of one connection, redirects with bodies of any size are followed", .tags(.RD7),
        arguments: [0, 10, 1 << 22])
    func poolOfOne(size: Int) async throws {
        try await withLoopbackServer { server in
            let body = String(repeating: "x", count: size)
            server.route(.get, "/a", always: .reply(302, fields: [.location: "/b"], body: body))
            server.route(.get, "/b", always: .reply(301, fields: [.location: "c"], body: body))
            server.route(.get, "/c", always: .reply(200, body: "end"))
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 1 }
            let response = try await client.fetch("/a")
            #expect(response.text == "end")
            #expect(response.response.facts.redirects.map(\.path) == ["/b", "/c"])
            #expect(response.response.attempts == 1)
            #expect(response.response.requestsSent == 3)
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test(
        "A redirect whose body never ends does not delay the next hop, which may need the connection's place",
        .tags(.RD7)
    )
    func endlessBody() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard let request = try await connection.readRequest() else { return }
                guard request.path == "/a" else {
                    try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend")
                    return
                }
                try await connection.send("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 1000000\r\n\r\nx")
                try await connection.waitForClose()
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 1 }
            #expect(try await client.fetch("/a").text == "end")
            _ = await client.shutdown(within: .seconds(5))
        }
    }

    @Test(
        "Over the wire, another port gets no credentials of the caller, the client or the authenticator",
        .tags(.RD2, .I9))
    func otherOrigin() async throws {
        let key = try #require(HTTPField.Name("X-Api-Key"))
        let secret = try #require(HTTPField.Name("X-Secret"))
        try await withLoopbackServer { other in
            try await withLoopbackServer { server in
                server.route(.get, "/a", always: .reply(307, fields: [.location: other.url("/b")]))
                server.route(.get, "/c", always: .reply(200))
                other.route(.get, "/b", always: .reply(307, fields: [.location: server.url("/c")]))
                let client = try ServiceClient(baseURL: server.baseURL) {
                    $0.fields = [key: "canary", .userAgent: "tests"]
                    $0.redirect.sensitiveFields = [secret]
                    $0.authentication = try BearerAuthentication(token: "canary")
                }
                let request = ServiceRequest("/a", fields: [.cookie: "canary", secret: "canary"])
                #expect(try await client.fetch(request).response.status == .ok)
                #expect(server.requests.map { $0.head.contains("canary") } == [true, false])
                #expect(server.requests.first?.head.contains("Bearer canary") == true)
                #expect(other.requests.map { $0.head.contains("canary") } == [false])
                #expect(other.requests.first?.fields[.userAgent] == "tests")
                #expect(other.requests.first?.head.contains("Host: 127.0.0.1:\(other.port)\r\n") == true)
                let scoped = try client.scoped(to: "", fields: [secret: "canary"])
                #expect(try await scoped.fetch("/a").response.status == .ok)
                // The request's options do not remove a sensitive field that the client names.
                let own = try await client.get("/a", fields: [secret: "canary"]) { $0.redirect.sensitiveFields = [] }
                #expect(own.status == .ok)
                #expect(other.requests.allSatisfy { !$0.head.contains("canary") })
                _ = await client.shutdown(within: .seconds(5))
            }
        }
    }

    @Test(
        "A Location with a bare CR or LF is a protocol violation, and one of 8 MB exceeds the head's limit",
        .tags(.RD5))
    func hostileLocation() async throws {
        let hostile: [(String, ServiceError.Code)] = [
            ("/a\rb", .protocolViolation), ("/a\nb", .protocolViolation),
            ("/" + String(repeating: "a", count: 8 << 20), .responseLimitExceeded),
        ]
        for (location, code) in hostile {
            try await withLoopbackServer { server in
                server.onConnection { connection in
                    _ = try await connection.readRequest()
                    try? await connection.send(
                        "HTTP/1.1 302 Found\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n")
                    try await connection.waitForClose()
                }
                let client = try ServiceClient(baseURL: server.baseURL) { $0.retry = .never }
                let error = try await serviceError { _ = try await client.fetch("/a") }
                #expect(error.code == code)
                #expect(server.requests.count == 1)
                _ = await client.shutdown(within: .seconds(5))
            }
        }
    }

    @Test(
        "A Location with a line break in it splits no request: the rest is a field of the response", .tags(.RD5))
    func splitLocation() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                while true {
                    guard let request = try await connection.readRequest() else { return }
                    let isFirst = request.path == "/a"
                    try await connection.send(
                        isFirst
                            ? "HTTP/1.1 302 Found\r\nLocation: /b\r\nX-Injected: 1\r\nContent-Length: 0\r\n\r\n"
                            : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                }
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            _ = try await client.fetch("/a")
            #expect(server.requests.map(\.path) == ["/a", "/b"])
            #expect(server.requests.allSatisfy { !$0.head.contains("X-Injected") })
            _ = await client.shutdown(within: .seconds(5))
        }
    }

    @Test("The total deadline covers all hops", .tags(.RD7))
    func deadline() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            let gate = Gate()
            server.route(.get, "/a") { _ in .reply(302, fields: [.location: "/b"]) }
            server.route(.get, "/b") { _ in .reply(200).held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.useOnly(clock)
                $0.timeouts.total = .seconds(7)
            }
            let error = try await clock.failure(
                of: { _ = try await client.fetch("/a") }, once: { try await gate.waitForWaiters() })
            #expect(error.code == .deadlineExceeded)
            #expect(error.attempts == 1)
            #expect(error.requestsSent == 2)
            #expect(clock.now <= MonotonicInstant(nanoseconds: 7_100_000_000))
            _ = await client.shutdown(within: .zero)
        }
    }

    @Test("Cancelling while the second hop waits ends the call", .tags(.CA11))
    func cancelled() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.route(.get, "/a") { _ in .reply(302, fields: [.location: "/b"]) }
            server.route(.get, "/b") { _ in .reply(200).held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            let sent = Task { try await client.fetch("/a") }
            try await gate.waitForWaiters()
            sent.cancel()
            await #expect(throws: CancellationError.self) { try await sent.value }
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A call that is redirected while the client drains goes on to its end")
    func draining() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.route(.get, "/a") { _ in .reply(302, fields: [.location: "/b"]).held(by: gate) }
            server.route(.get, "/b") { _ in .reply(200, body: "end") }
            let client = try ServiceClient(baseURL: server.baseURL)
            async let text = client.fetch("/a").text
            try await gate.waitForWaiters()
            async let report = client.shutdown(within: .seconds(5))
            for await progress in client.shutdownProgress where progress.state != .running { break }
            gate.open()
            #expect(try await text == "end")
            #expect(await report.isClean)
        }
    }

    @Test(
        "A service on a Unix domain socket redirects to its own paths, and by its own name",
        .tags(.RD5))
    func unixSocket() async throws {
        try await withLoopbackServer(.unixSocket) { server in
            server.route(.get, "/a", always: .reply(302, fields: [.location: "b"]))
            server.route(.get, "/b", always: .reply(302, fields: [.location: "http://localhost/c"]))
            server.route(.get, "/c", always: .reply(200, body: "end"))
            let client = try ServiceClient(baseURL: server.baseURL)
            #expect(try await client.fetch("/a").text == "end")
            _ = await client.shutdown(within: .seconds(5))
        }
    }
}
