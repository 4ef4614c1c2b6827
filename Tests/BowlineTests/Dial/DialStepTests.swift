import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import Testing

/// The steps of a dial as listeners and callers see them, over each kind of route.
@Suite("The steps of a dial", .timeLimit(.minutes(1)))
struct DialStepTests {
    /// A route, and what its dial shows.
    struct Shown: Sendable, CustomTestStringConvertible {
        enum Kind: Sendable {
            case address, name, encrypted, forwarded, tunnel, socks, forwardedOverTLS, tlsInTLS
        }

        enum Step: Sendable {
            case resolve, connect, tunnel, tls
        }

        let kind: Kind
        /// The events between `dialling` and `established`.
        let events: [String]
        let timings: Set<Step>

        var testDescription: String { "\(kind)" }
        var isOriginEncrypted: Bool { [.encrypted, .tunnel, .tlsInTLS].contains(kind) }
        var isProxyEncrypted: Bool { [.forwardedOverTLS, .tlsInTLS].contains(kind) }

        static let all = [
            Shown(kind: .address, events: ["connected"], timings: [.connect]),
            Shown(kind: .name, events: ["resolved", "connected"], timings: [.resolve, .connect]),
            Shown(
                kind: .encrypted, events: ["resolved", "connected", "secured"], timings: [.resolve, .connect, .tls]),
            Shown(kind: .forwarded, events: ["resolved", "connected"], timings: [.resolve, .connect]),
            Shown(
                kind: .tunnel, events: ["resolved", "connected", "tunnelled", "secured"],
                timings: [.resolve, .connect, .tunnel, .tls]),
            Shown(
                kind: .socks, events: ["resolved", "connected", "tunnelled"], timings: [.resolve, .connect, .tunnel]),
            Shown(
                kind: .forwardedOverTLS, events: ["resolved", "connected"], timings: [.resolve, .connect, .tunnel]),
            Shown(
                kind: .tlsInTLS, events: ["resolved", "connected", "tunnelled", "secured"],
                timings: [.resolve, .connect, .tunnel, .tls]),
        ]

        /// The proxy of the route; it has the name `proxy.test`, or `localhost` if it has a certificate.
        func choice(port: Int) -> ProxyChoice {
            switch kind {
            case .address, .name, .encrypted: .none
            case .forwarded, .tunnel: .http("http://proxy.test:\(port)")
            case .socks: .socks5("proxy.test:\(port)")
            case .forwardedOverTLS, .tlsInTLS: .https("https://localhost:\(port)")
            }
        }

        func script(originPort: Int) -> ScriptedProxy.Script {
            switch kind {
            case .socks: .socks(to: originPort, requestLength: SOCKSBytes.request("origin.test", port: 1).count)
            case .forwarded, .forwardedOverTLS:
                ScriptedProxy.Script { peer in
                    while true {
                        try await peer.readHead()
                        try await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
                    }
                }
            case .address, .name, .encrypted, .tunnel, .tlsInTLS: .tunnels(to: originPort)
            }
        }

        func url(port: Int) -> String {
            switch kind {
            case .address: "http://127.0.0.1:\(port)"
            case .encrypted, .tunnel, .tlsInTLS: "https://localhost:\(port)"
            case .name, .forwarded, .socks, .forwardedOverTLS: "http://origin.test:\(port)"
            }
        }
    }

    private static func steps(_ timings: PhaseTimings) -> Set<Shown.Step> {
        let durations: [(Shown.Step, Duration?)] = [
            (.resolve, timings.resolve), (.connect, timings.connect), (.tunnel, timings.tunnel), (.tls, timings.tls),
        ]
        return Set(durations.filter { $0.1 != nil }.map { $0.0 })
    }

    private static func sum(_ timings: PhaseTimings) -> Duration {
        [timings.resolve, timings.connect, timings.tunnel, timings.tls].compactMap { $0 }.reduce(.zero, +)
    }

    @Test(
        "A dial shows its steps in order, and the timings of exactly these steps; a reused connection shows none",
        arguments: Shown.all)
    func shown(route: Shown) async throws {
        let events = RecordedEvents()
        let address = try #require(IPAddress("127.0.0.1"))
        try await withLoopbackServer(route.isOriginEncrypted ? .tls() : .init()) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            let script = route.script(originPort: origin.port)
            try await ScriptedProxy.with(script, over: route.isProxyEncrypted ? .tls() : .init()) { proxy in
                try await withProxiedClient(route.url(port: origin.port), route.choice(port: proxy.port)) {
                    $0.telemetry.events = [events]
                    $0.resolver = FixedAddresses(["proxy.test": [address], "origin.test": [address]], otherwise: nil)
                } _: { client in
                    let fresh = try await client.fetch("/")
                    #expect(fresh.text == "x")
                    let expected = (["dialling"] + route.events + ["established"]).map { "\($0) #1" }
                    #expect(events.texts.filter { $0.contains("#1") }.prefix(expected.count) == expected[...])
                    let timings = fresh.response.timings
                    #expect(Self.steps(timings) == route.timings)
                    let dial = try #require(timings.dial)
                    #expect(Self.sum(timings) <= dial)
                    #expect(Self.sum(timings) > .zero)

                    let reused = try await client.fetch("/")
                    #expect(reused.isReused)
                    #expect(reused.response.timings.dial == nil)
                    #expect(Self.steps(reused.response.timings) == [])
                }
            }
        }
    }

    @Test("The event of a kept answer comes too: each dial to a name has it")
    func cachedName() async throws {
        let events = RecordedEvents()
        let address = try #require(IPAddress("127.0.0.1"))
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withProxiedClient("http://api.test:\(server.port)", .none) {
                $0.pool.isEnabled = false
                $0.resolver = FixedAddresses(["api.test": [address]], otherwise: nil)
                $0.telemetry.events = [events]
            } _: { client in
                for _ in 1...2 { _ = try await client.fetch("/") }
            }
            let dials = events.texts.filter { $0.hasPrefix("resolved") || $0.hasPrefix("connected") }
            #expect(dials == ["resolved #1", "connected #1", "resolved #2", "connected #2"])
        }
    }

    @Test("A name that does not exist has no event of an address")
    func unknownName() async throws {
        let events = RecordedEvents()
        try await withProxiedClient("http://api.test", .none) {
            $0.telemetry.events = [events]
        } _: { client in
            _ = try await serviceError { _ = try await client.fetch("/") }
        }
        let code = ServiceError.Code.nameResolutionFailed
        #expect(events.texts.filter { $0.contains("#") } == ["dialling #1", "failed \(code) #1"])
    }

    @Test("Each step's time is measured on the client's clock")
    func measured() async throws {
        let clock = TestClock()
        let (mayOpen, mayConnect) = (Gate(), Gate())
        let names = StalledNames()
        try await withLoopbackServer(.tls()) { origin in
            origin.respond { _ in .reply(200, body: "x") }
            let script = ScriptedProxy.Script { peer in
                try await peer.readHead()
                try await mayOpen.wait()
                try await peer.send("HTTP/1.1 200 OK\r\n\r\n")
                try await mayConnect.wait()
                try await peer.tunnel(to: origin.port)
            }
            try await ScriptedProxy.with(script) { proxy in
                let client = try ServiceClient(baseURL: "https://origin.test") {
                    $0.useOnly(clock)
                    $0.proxy = .http("http://proxy.test:\(proxy.port)")
                    $0.resolver = names
                    $0.tls.verification = .disabled
                }
                let task = Task { try await client.fetch("/") }
                try await names.asked.wait()
                clock.advance(by: .seconds(1))
                try await names.answer()
                try await proxy.waitForMessages(1)
                clock.advance(by: .seconds(2))
                mayOpen.open()
                let count = try #require(proxy.messages.first?.count)
                try await eventually("the ClientHello") {
                    proxy.server.connections.contains { $0.bytesReceived > count }
                }
                clock.advance(by: .seconds(4))
                mayConnect.open()
                let timings = try await task.value.response.timings
                #expect(timings.resolve == .seconds(1))
                #expect(timings.connect == .zero)
                #expect(timings.tunnel == .seconds(2))
                #expect(timings.tls == .seconds(4))
                #expect(timings.dial == .seconds(7))
                try await names.end()
                try await end(client, clock)
            }
        }
    }

    /// Where a dial is when its request is cancelled.
    enum Stage: String, CaseIterable, Sendable {
        case resolving, connecting, proxyHandshake, targetLookUp, tunnel, handshake
    }

    @Test(
        "Cancelling in any step closes the dial's sockets, and a shutdown finds nothing to close", .tags(.CA3, .LC8),
        arguments: Stage.allCases)
    func cancelled(stage: Stage) async throws {
        let names = StalledNames()
        let events = RecordedEvents()
        let script = ScriptedProxy.Script { peer in
            // CONNECT, a ClientHello or a SOCKS greeting. Only the stage `handshake` gets an answer.
            try await peer.readMessage(3)
            if stage == .handshake {
                try await peer.send("HTTP/1.1 200 OK\r\n\r\n")
                try await peer.readMessage(1)
            }
            try await peer.waitForClose()
        }
        let sockets: LoopbackServer.Options = stage == .connecting ? .unreachable : .init()
        try await ScriptedProxy.with(script, over: sockets) { proxy in
            var options = TransportOptions()
            options.pool.isEnabled = false
            options.resolver = names
            options.tls.trustRoots = .pem(TestCertificates.authority)
            options.events = EventDispatch([events], clock: options.clock)
            options.proxy =
                switch stage {
                case .resolving: .http("http://proxy.test:\(proxy.port)")
                case .connecting, .tunnel, .handshake: .http("http://127.0.0.1:\(proxy.port)")
                case .proxyHandshake: .https("https://127.0.0.1:\(proxy.port)")
                case .targetLookUp: .socks5("socks5://127.0.0.1:\(proxy.port)")
                }
            let transport = try PooledTransport(options: options)
            let client = try ServiceClient(transport: transport) { $0.retry = .never }
            let task = Task { try await client.fetch("https://origin.test/") }
            switch stage {
            case .resolving, .targetLookUp: try await names.asked.wait()
            case .connecting: try await eventually("the socket") { transport.openChannels == 1 }
            case .proxyHandshake, .tunnel: try await proxy.waitForMessages(1)
            case .handshake: try await proxy.waitForMessages(2)
            }
            #expect(transport.snapshot().dialling == 1)
            #expect(transport.openChannels == (stage == .resolving ? 0 : 1))
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            try await eventually("no dial") { transport.snapshot().dialling == 0 }
            try await eventually("no socket") { transport.openChannels == 0 }
            if stage != .connecting { try await proxy.server.waitForOpenConnections(count: 0) }
            try await names.end()
            await client.shutdown(within: .zero)
            #expect(transport.openChannels == 0)
            #expect(events.texts.allSatisfy { !$0.hasPrefix("established") })
        }
    }
}
