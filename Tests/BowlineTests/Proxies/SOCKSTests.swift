import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Requests through a SOCKS5 proxy", .timeLimit(.minutes(1)))
struct SOCKSTests {
    /// Answers look-ups of `api.test` with fixed addresses, and keeps the names that it was asked for.
    private final class Names: ServiceResolver {
        private let asked = Guarded<Set<String>>([])
        private let addresses: [IPAddress]

        init(_ addresses: [String]) {
            self.addresses = addresses.compactMap { IPAddress($0) }
        }

        var all: Set<String> { asked.withLock { $0 } }

        func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
            asked.withLock { _ = $0.insert(host) }
            guard host == "api.test" else { throw NameLookupError(.noSuchHost) }
            return ResolvedAddresses(addresses.filter { $0.family == family })
        }
    }

    private static let requestLength = SOCKSBytes.request("api.test", port: 80).count

    @Test("The proxy gets the origin's name, and the origin gets ordinary requests over one tunnel")
    func nameAtTheProxy() async throws {
        try await withLoopbackServer { origin in
            origin.respond { .reply(200, body: $0.target) }
            try await ScriptedProxy.with(.socks(to: origin.port, requestLength: Self.requestLength)) { proxy in
                let names = Names([])
                let url = "socks5h://127.0.0.1:\(proxy.port)"
                try await withProxiedClient("http://api.test:\(origin.port)", .socks5(url)) {
                    $0.resolver = names
                } _: { client in
                    for number in 1...3 {
                        let fetched = try await client.fetch("/users")
                        #expect(fetched.text == "/users")
                        #expect(fetched.response.connection?.requests == number)
                        #expect(fetched.response.connection?.proxy == url)
                    }
                }
                let port = origin.port
                #expect(proxy.messages == [SOCKSBytes.greeting, SOCKSBytes.request("api.test", port: port)])
                #expect(names.all.isEmpty)
                let head = "GET /users HTTP/1.1\r\nHost: api.test:\(port)\r\n"
                #expect(origin.requests.allSatisfy { $0.head.hasPrefix(head) })
                #expect(origin.problems.isEmpty)
            }
        }
    }

    @Test(
        "User and password go to a proxy that asks for them, and not to one that needs none", arguments: [false, true])
    func credentials(isAsked: Bool) async throws {
        try await withLoopbackServer { origin in
            origin.respond { _ in .reply(200, body: "x") }
            let script = ScriptedProxy.Script { peer in
                try await peer.readMessage(4)
                try await peer.send([5, isAsked ? 2 : 0])
                if isAsked {
                    try await peer.readMessage(12)
                    try await peer.send([1, 0])
                }
                try await peer.readMessage(Self.requestLength)
                try await peer.send(SOCKSBytes.opened)
                try await peer.tunnel(to: origin.port)
            }
            try await ScriptedProxy.with(script) { proxy in
                let choice = ProxyChoice.socks5("socks5h://ada:secret@127.0.0.1:\(proxy.port)")
                try await withProxiedClient("http://api.test:\(origin.port)", choice) { client in
                    let response = try await client.fetch("/")
                    #expect(response.text == "x")
                }
                let login = [UInt8]("\u{1}\u{3}ada\u{6}secret".utf8)
                let request = SOCKSBytes.request("api.test", port: origin.port)
                let greeting = SOCKSBytes.greetingWithCredentials
                #expect(proxy.messages == (isAsked ? [greeting, login, request] : [greeting, request]))
                #expect(origin.requests.allSatisfy { $0[.proxyAuthorization] == nil })
            }
        }
    }

    @Test(
        "With socks5:// the client resolves the name: the proxy gets an IPv4 address if there is one, else IPv6",
        arguments: [["::1", "127.0.0.1"], ["127.0.0.1"], ["2001:db8::1"]])
    func resolvedHere(addresses: [String]) async throws {
        let expected = try #require(IPAddress(addresses.last ?? ""))
        let request = SOCKSBytes.request(expected, port: 80)
        try await withLoopbackServer { origin in
            origin.respond { _ in .reply(200, body: "x") }
            try await ScriptedProxy.with(.socks(to: origin.port, requestLength: request.count)) { proxy in
                let names = Names(addresses)
                let url = "socks5://127.0.0.1:\(proxy.port)"
                try await withProxiedClient("http://api.test", .socks5(url)) {
                    $0.resolver = names
                } _: { client in
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                    #expect(fetched.response.connection?.proxy == url)
                }
                #expect(proxy.messages == [SOCKSBytes.greeting, request])
                #expect(names.all == ["api.test"])
                #expect(origin.requests.first?.head.contains("Host: api.test\r\n") == true)
            }
        }
    }

    @Test("An address in the URL goes to the proxy as an address", arguments: ["socks5", "socks5h"])
    func literalAddress(scheme: String) async throws {
        let address = try #require(IPAddress("2001:db8::1"))
        let request = SOCKSBytes.request(address, port: 80)
        try await withLoopbackServer { origin in
            origin.respond { _ in .reply(200, body: "x") }
            try await ScriptedProxy.with(.socks(to: origin.port, requestLength: request.count)) { proxy in
                let choice = ProxyChoice.socks5("\(scheme)://127.0.0.1:\(proxy.port)")
                try await withProxiedClient("http://[2001:db8::1]", choice) { client in
                    let response = try await client.fetch("/")
                    #expect(response.text == "x")
                }
                #expect(proxy.messages == [SOCKSBytes.greeting, request])
            }
        }
    }

    @Test("A name that the client cannot resolve for a socks5:// proxy fails the request with nameResolutionFailed")
    func unknownName() async throws {
        try await ScriptedProxy.with(.socks(to: 1, requestLength: 1)) { proxy in
            try await withProxiedClient("http://api.test", .socks5("socks5://127.0.0.1:\(proxy.port)")) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .nameResolutionFailed)
                #expect(error.progress == .neverSent)
                #expect((error.underlying as? NameLookupError)?.reason == .noSuchHost)
            }
            #expect(proxy.messages.count <= 1)
        }
    }

    @Test("TLS with the origin runs through the tunnel, and ALPN chooses HTTP/2")
    func encrypted() async throws {
        try await withLoopbackServer(.http2(LoopbackTLS())) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            let request = SOCKSBytes.request("localhost", port: origin.port)
            try await ScriptedProxy.with(.socks(to: origin.port, requestLength: request.count)) { proxy in
                let choice = ProxyChoice.socks5("127.0.0.1:\(proxy.port)")
                try await withProxiedClient(origin.baseURL, choice) { client in
                    let fetched = try await client.fetch("/")
                    #expect(fetched.text == "x")
                    #expect(fetched.response.connection?.protocolVersion == .http2)
                }
                #expect(proxy.messages == [SOCKSBytes.greeting, request])
                #expect(origin.connections.map(\.serverName) == ["localhost"])
            }
        }
    }

    @Test(
        "Each refusal is proxyFailed with its reply code, and the retry policy retries it", .tags(.PX5),
        arguments: UInt8(1)...8)
    func refused(code: UInt8) async throws {
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(3)
            try await peer.send([5, 0])
            try await peer.readMessage(Self.requestLength)
            try await peer.send([5, code, 0, 1, 0, 0, 0, 0, 0, 0])
        }
        try await ScriptedProxy.with(script) { proxy in
            let choice = ProxyChoice.socks5("127.0.0.1:\(proxy.port)")
            try await withProxiedClient("http://api.test", choice) {
                $0.retry = RetryOptions()
                $0.retry.maximumAttempts = 2
                $0.retry.baseDelay = .zero
            } _: { client in
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: .text("x"))) }
                #expect(error.code == .proxyFailed)
                #expect(error.message.contains("the proxy socks5h://127.0.0.1:\(proxy.port) did not connect"))
                #expect(error.message.contains("SOCKS reply \(code)"))
                #expect(error.progress == .neverSent)
                #expect(error.attempts == 2)
            }
            #expect(proxy.messages.count == 4)
        }
    }

    @Test(
        "Refused credentials, or missing ones, are proxyAuthenticationRequired, and there is no second attempt",
        .tags(.PX5), arguments: [false, true], [false, true])
    func notAuthenticated(hasCredentials: Bool, refusesMethod: Bool) async throws {
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(hasCredentials ? 4 : 3)
            if refusesMethod || !hasCredentials {
                try await peer.send([5, 0xFF])
            } else {
                try await peer.send([5, 2])
                try await peer.readMessage(12)
                try await peer.send([1, 1])
            }
            try await peer.waitForClose()
        }
        try await ScriptedProxy.with(script) { proxy in
            let user = hasCredentials ? "ada:secret@" : ""
            let choice = ProxyChoice.socks5("socks5h://\(user)127.0.0.1:\(proxy.port)")
            try await withProxiedClient("http://api.test", choice) {
                $0.retry = RetryOptions()
                $0.retry.baseDelay = .zero
            } _: { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyAuthenticationRequired)
                #expect(error.message.contains("the proxy socks5h://127.0.0.1:\(proxy.port)"))
                #expect(!error.description.contains("secret"))
                #expect(error.progress == .neverSent)
                #expect(error.attempts == 1)
            }
            #expect(proxy.server.connections.count == 1)
        }
    }

    @Test("An answer that is cut at any byte fails the request with proxyFailed", .tags(.PX5), arguments: 0..<12)
    func cut(after count: Int) async throws {
        let answers: [UInt8] = [5, 0] + SOCKSBytes.opened
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(3)
            try await peer.send(Array(answers.prefix(min(count, 2))))
            guard count >= 2 else { return }
            try await peer.readMessage(Self.requestLength)
            try await peer.send(Array(answers.prefix(count).dropFirst(2)))
        }
        try await ScriptedProxy.with(script) { proxy in
            try await withProxiedClient("http://api.test", .socks5("127.0.0.1:\(proxy.port)")) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyFailed)
                #expect(error.message.contains("closed the connection"), "\(error.message)")
                #expect(error.progress == .neverSent)
                #expect(client.pool.snapshot().opened == 0)
            }
        }
    }

    @Test(
        "Bytes that are not SOCKS5, and bytes behind an answer, fail the request with proxyFailed", .tags(.PX5),
        arguments: [Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), [4, 90], [5, 0, 0]])
    func notSOCKS(answer: [UInt8]) async throws {
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(3)
            try await peer.send(answer)
            try await peer.waitForClose()
        }
        try await ScriptedProxy.with(script) { proxy in
            try await withProxiedClient("http://api.test", .socks5("127.0.0.1:\(proxy.port)")) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyFailed)
                #expect(error.progress == .neverSent)
            }
            #expect(proxy.messages == [SOCKSBytes.greeting])
        }
    }

    @Test("A proxy that does not answer is bounded by timeouts.connect, and the error names the proxy")
    func silent() async throws {
        let clock = TestClock()
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(3)
            try await peer.waitForClose()
        }
        try await ScriptedProxy.with(script) { proxy in
            let client = try ServiceClient(baseURL: "http://api.test") {
                $0.useOnly(clock)
                $0.timeouts.connect = .seconds(3)
                $0.proxy = .socks5("127.0.0.1:\(proxy.port)")
            }
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await proxy.waitForMessages(1)
            }
            #expect(error.code == .connectTimeout)
            #expect(error.message.contains("the proxy socks5h://127.0.0.1:\(proxy.port)"))
            #expect(error.progress == .neverSent)
            try await proxy.server.waitForOpenConnections(count: 0)
            try await end(client, clock)
        }
    }

    @Test("A proxy and a direct connection to one origin are apart, and so are socks5:// and socks5h://", .tags(.PX4))
    func notShared() async throws {
        try await withLoopbackServer { origin in
            origin.respond { _ in .reply(200, body: "x") }
            let address = try #require(IPAddress("127.0.0.1"))
            let request = SOCKSBytes.request(address, port: origin.port)
            try await ScriptedProxy.with(.socks(to: origin.port, requestLength: request.count)) { proxy in
                let port = proxy.port
                let choice = ProxyChoice.custom { url in
                    switch url.path {
                    case "/here": try Proxy("socks5://127.0.0.1:\(port)")
                    case "/there": try Proxy("socks5h://127.0.0.1:\(port)")
                    default: nil
                    }
                }
                try await withProxiedClient(origin.baseURL, choice) { client in
                    var connections: [Int] = []
                    for path in ["/here", "/there", "/direct", "/here", "/there", "/direct"] {
                        connections.append(try await client.fetch(path).connectionID)
                    }
                    #expect(connections == [1, 2, 3, 1, 2, 3])
                }
                #expect(origin.connections.count == 3)
            }
        }
    }
}
