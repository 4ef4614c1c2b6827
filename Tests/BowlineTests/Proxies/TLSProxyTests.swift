import Bowline
import BowlineTesting
import NIOCore
import Testing

/// `https://` proxies: TLS with the proxy, and TLS with the origin within it.
@Suite("TLS to a proxy", .timeLimit(.minutes(1)))
struct TLSProxyTests {
    @Test("Requests for http URLs go to the proxy over TLS, in absolute form", .tags(.PX1))
    func forwarded() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { .reply(200, body: $0.target) }
            let choice = ProxyChoice.https("https://ada:secret@localhost:\(server.port)")
            try await withProxiedClient("http://api.test", choice) { client in
                for isReused in [false, true] {
                    let fetched = try await client.fetch("/x")
                    #expect(fetched.text == "http://api.test/x")
                    #expect(fetched.isReused == isReused)
                    #expect(fetched.response.connection?.proxy == server.baseURL)
                }
            }
            let values = server.requests.map { $0[.proxyAuthorization] }
            #expect(values == ["Basic YWRhOnNlY3JldA==", "Basic YWRhOnNlY3JldA=="])
            #expect(server.connections.map(\.serverName) == ["localhost"])
            #expect(server.problems.isEmpty)
        }
    }

    @Test("The client offers the proxy HTTP/1.1 only, even if the proxy prefers HTTP/2")
    func applicationProtocol() async throws {
        try await withLoopbackServer(.http2(LoopbackTLS())) { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withProxiedClient("http://api.test", .https(server.baseURL)) { client in
                let response = try await client.fetch("/")
                #expect(response.response.connection?.protocolVersion == .http1_1)
            }
            #expect(server.connections.map(\.applicationProtocol) == ["http/1.1"])
        }
    }

    @Test(
        "TLS with the origin runs within TLS with the proxy, for HTTP/1.1 and HTTP/2 and both versions of TLS",
        arguments: [false, true], [LoopbackTLS.Version.tls12, .tls13])
    func tlsInTLS(isHTTP2: Bool, version: LoopbackTLS.Version) async throws {
        var tls = LoopbackTLS()
        tls.maximumVersion = version
        let large = String(repeating: "large ", count: 50_000)
        try await withLoopbackServer(isHTTP2 ? .http2(tls) : .tls(tls)) { origin in
            origin.respond { request in .reply(200, body: request.body) }
            try await ScriptedProxy.with(.tunnels(to: origin.port), over: .tls()) { proxy in
                try await withProxiedClient(origin.baseURL, .https(proxy.url)) { client in
                    for number in 1...3 {
                        let fetched = try await client.fetch(.post("/", body: .text(large)))
                        #expect(fetched.text == large)
                        let facts = try #require(fetched.response.connection)
                        #expect(facts.protocolVersion == (isHTTP2 ? .http2 : .http1_1))
                        #expect(facts.requests == number)
                    }
                }
                let target = "localhost:\(origin.port)"
                #expect(proxy.texts == ["CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n"])
                #expect(origin.problems.isEmpty)
            }
        }
    }

    @Test("A proxy whose certificate is for another host is proxyFailed, and gets no byte of CONNECT")
    func otherHost() async throws {
        let tls = LoopbackTLS(TestCertificates.wrongHost)
        try await ScriptedProxy.with(.answers("HTTP/1.1 200 OK\r\n\r\n"), over: .tls(tls)) { proxy in
            try await withProxiedClient("https://api.test", .https(proxy.url)) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyFailed)
                #expect(error.message.contains("the proxy \(proxy.url) could not be used"))
                #expect(error.message.contains("certificate"))
                #expect(error.progress == .neverSent)
            }
            #expect(proxy.messages.isEmpty)
        }
    }

    @Test("An expired certificate of an origin behind a TLS proxy is the origin's failure, and the error describes it")
    func originsCertificate() async throws {
        try await withLoopbackServer(.tls(LoopbackTLS(TestCertificates.expired))) { origin in
            try await ScriptedProxy.with(.tunnels(to: origin.port), over: .tls()) { proxy in
                try await withProxiedClient(origin.baseURL, .https(proxy.url)) { client in
                    let error = try await serviceError { _ = try await client.fetch("/") }
                    #expect(error.code == .tlsHandshakeFailed)
                    #expect(error.message.contains("expired"), "\(error.message)")
                    #expect(!error.message.contains("proxy"))
                }
                #expect(origin.requests.isEmpty)
            }
        }
    }

    @Test("The client's certificate goes to the origin, never to the proxy", .tags(.PX1))
    func clientCertificate() async throws {
        try await withLoopbackServer(.tls(.requiringClientCertificate)) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            try await ScriptedProxy.with(.tunnels(to: origin.port), over: .tls()) { proxy in
                try await withProxiedClient(origin.baseURL, .https(proxy.url)) {
                    let identity = TestCertificates.client
                    $0.tls.identity = .pem(certificate: identity.certificate, key: identity.key)
                } _: { client in
                    let response = try await client.fetch("/")
                    #expect(response.text == "x")
                }
                #expect(origin.connections.map { $0.clientCertificate != nil } == [true])
                #expect(proxy.server.connections.map(\.clientCertificate) == [nil])
            }
        }
    }

    @Test("A proxy that requires a client certificate gets none: it is the origin's")
    func noCertificateForProxy() async throws {
        try await withLoopbackServer(.tls(.requiringClientCertificate)) { proxy in
            proxy.respond { _ in .reply(200, body: "x") }
            try await withProxiedClient("http://api.test", .https(proxy.baseURL)) {
                let identity = TestCertificates.client
                $0.tls.identity = .pem(certificate: identity.certificate, key: identity.key)
            } _: { client in
                _ = try await serviceError { _ = try await client.fetch("/") }
            }
            #expect(proxy.requests.isEmpty)
        }
    }

    @Test("A proxy that speaks no TLS is proxyFailed")
    func plain() async throws {
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(1)
            try await peer.send("HTTP/1.1 400 Bad Request\r\n\r\n")
            try await peer.waitForClose()
        }
        try await ScriptedProxy.with(script) { proxy in
            try await withProxiedClient("https://api.test", .https("https://localhost:\(proxy.port)")) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .proxyFailed)
                #expect(error.message.contains("the proxy https://localhost:\(proxy.port) could not be used"))
            }
        }
    }

    @Test("A proxy that does not answer the handshake is bounded by timeouts.connect, and the error names it")
    func silent() async throws {
        let clock = TestClock()
        let script = ScriptedProxy.Script { peer in
            try await peer.readMessage(1)
            try await peer.waitForClose()
        }
        try await ScriptedProxy.with(script) { proxy in
            let client = try ServiceClient(baseURL: "https://api.test") {
                $0.useOnly(clock)
                $0.timeouts.connect = .seconds(3)
                $0.proxy = .https("https://localhost:\(proxy.port)")
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            }
            let error = try await clock.failure(
                of: { try await client.fetch("/") }, noLaterThan: MonotonicInstant(nanoseconds: 3_000_000_000)
            ) {
                try await proxy.waitForMessages(1)
            }
            #expect(error.code == .connectTimeout)
            #expect(error.message.contains("the proxy https://localhost:\(proxy.port)"))
            try await end(client, clock)
        }
    }
}
