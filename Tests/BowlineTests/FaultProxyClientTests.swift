import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("A client behind a fault proxy", .timeLimit(.minutes(1)))
struct FaultProxyClientTests {
    /// The protocol between client and server.
    enum Wire: String, CaseIterable {
        case plain, encrypted, http2

        var options: LoopbackServer.Options {
            switch self {
            case .plain: LoopbackServer.Options()
            case .encrypted: .tls()
            case .http2: .http2(LoopbackTLS())
            }
        }

        var scheme: String { self == .plain ? "http" : "https" }
    }

    /// Runs `body` with a client whose connections go through a proxy to a server that echoes bodies.
    private func withClient(
        _ wire: Wire, _ plan: FaultPlan = .none, configure: @escaping (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, FaultProxy, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer(wire.options) { server in
            server.route(.get, "/hello", always: .reply(200, body: "hello"))
            server.route(.post, "/echo") { request in .reply(200, body: request.body) }
            let sent = SentFields(isMarking: false)
            try await FaultProxy.withProxy(port: server.port, plan: plan) { proxy in
                try await withServiceClient(proxy.baseURL(scheme: wire.scheme)) {
                    $0.tls.trustRoots = .pem(TestCertificates.authority)
                    $0.retry.maximumAttempts = 1
                    $0.middleware.perAttempt = [sent]
                    configure(&$0)
                } _: { client in
                    try await body(client, proxy, server)
                }
            }
            #expect(server.problems == [])
            await sent.compare(with: server.requests)
        }
    }

    @Test("Requests and responses pass unchanged", arguments: Wire.allCases)
    func untouched(wire: Wire) async throws {
        try await withClient(wire) { client, proxy, server in
            let hello = try await client.fetch("/hello")
            #expect(hello.text == "hello")
            let version = hello.response.connection?.protocolVersion.rawValue
            #expect(version == (wire == .http2 ? "HTTP/2" : "HTTP/1.1"))
            let sent = String(repeating: "0123456789", count: 20_000)
            let echoed = try await client.fetch(.post("/echo", body: .text(sent)))
            #expect(echoed.text == sent)
            #expect(server.requests.map(\.path) == ["/hello", "/echo"])
            #expect(server.requests.map(\.connection) == [1, 1])
            #expect(proxy.accepted == 1)
        }
    }

    @Test("Requests and responses pass in slices, late and slowly", arguments: Wire.allCases)
    func slow(wire: Wire) async throws {
        let script = FaultScript {
            $0.toServer.sliceBytes = 7
            $0.toServer.latency = .milliseconds(1)
            $0.toServer.jitter = .milliseconds(2)
            $0.toClient.sliceBytes = 5
            $0.toClient.bytesPerSecond = 1_000_000
        }
        try await withClient(wire, .every(script)) { client, _, _ in
            let sent = String(repeating: "0123456789", count: 200)
            let echoed = try await client.fetch(.post("/echo", body: .text(sent)))
            #expect(echoed.text == sent)
        }
    }

    @Test(
        "A response that is reset in its head fails; the client goes on with another connection",
        arguments: [1, 12, 30])
    func resetInHead(offset: Int) async throws {
        let script = FaultScript { $0.toClient.events = [FaultEvent(at: offset, .cut(.reset))] }
        try await withClient(.plain, .scripts([script])) { client, proxy, server in
            let error = try await serviceError { _ = try await client.get("/hello") }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .responseStarted)
            #expect(server.executions(of: "/hello") == 1)
            #expect(proxy.log.contains { $0.kind == .cut(.reset) && $0.offset == offset })
            let again = try await client.fetch("/hello")
            #expect(again.text == "hello")
            #expect(proxy.accepted == 2)
        }
    }

    @Test("A request whose response is reset in its head is retried")
    func retriedAfterReset() async throws {
        let script = FaultScript { $0.toClient.events = [FaultEvent(at: 20, .cut(.reset))] }
        try await withClient(
            .plain, .scripts([script]),
            configure: {
                $0.retry.maximumAttempts = 3
                $0.retry.baseDelay = .zero
            }
        ) { client, proxy, server in
            let hello = try await client.fetch("/hello")
            #expect(hello.text == "hello")
            #expect(hello.response.attempts == 2)
            #expect(server.executions(of: "/hello") == 2)
            #expect(proxy.accepted == 2)
        }
    }

    @Test(
        "A request on a connection that the network refuses is executed once, on another connection",
        arguments: [FaultCut.fin, .reset])
    func refused(how: FaultCut) async throws {
        let script = FaultScript { $0.opening = .refuse(how) }
        try await withClient(
            .plain, .scripts([script]),
            configure: {
                $0.retry.maximumAttempts = 3
                $0.retry.baseDelay = .zero
            }
        ) { client, proxy, server in
            let hello = try await client.fetch("/hello")
            #expect(hello.text == "hello")
            #expect(server.executions(of: "/hello") == 1)
            #expect(proxy.accepted >= 2)
        }
    }

    @Test("A corrupted record fails the connection and never reaches the caller as data")
    func corrupted() async throws {
        try await withClient(.encrypted) { client, proxy, _ in
            proxy.use(.every(FaultScript { $0.toClient.events = [FaultEvent(at: 1500, .corrupt(1))] }))
            let sent = String(repeating: "0123456789", count: 1000)
            _ = try await serviceError { _ = try await client.fetch(.post("/echo", body: .text(sent))) }
            #expect(proxy.log.contains { $0.kind == .corrupt(1) && $0.offset == 1500 })
        }
    }

    @Test(
        "A silent path ends a call at its limit, and calls succeed when the silence is over", arguments: Wire.allCases)
    func silent(wire: Wire) async throws {
        try await withClient(wire) { client, proxy, _ in
            let before = try await client.fetch("/hello")
            #expect(before.text == "hello")
            proxy.silence()
            let error = try await serviceError {
                _ = try await client.get("/hello") { $0.timeouts.attempt = .milliseconds(200) }
            }
            #expect(error.code == .attemptTimeout)
            proxy.resume()
            let after = try await client.fetch("/hello")
            #expect(after.text == "hello")
        }
    }
}
