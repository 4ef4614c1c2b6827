import Bowline
import BowlineTesting
import BowlineTransport
import Testing

#if os(Linux)
    /// Requests that a balancer has placed on an address of their host, on the loopback addresses of Linux.
    @Suite("Requests to a chosen address", .timeLimit(.minutes(1)))
    struct AddressPlacementTests {
        /// Three servers of `api.test` on one port: `a` on 127.0.0.1, `b` on 127.0.0.2 and `c` on 127.0.0.3.
        private struct Replicas {
            let a: LoopbackServer
            let b: LoopbackServer
            let c: LoopbackServer

            var port: Int { a.port }
        }

        private func withReplicas(
            _ options: LoopbackServer.Options = LoopbackServer.Options(), _ body: (Replicas) async throws -> Void
        ) async throws {
            try await withLoopbackServer(options) { a in
                try await withLoopbackServer(options) { b in
                    try await withLoopbackServer(options) { c in
                        try await Relay.with(on: "127.0.0.2", port: a.port, to: b.port) { _, port in
                            try await Relay.with(on: "127.0.0.3", port: port, to: c.port) { _, _ in
                                a.respond { _ in .reply(200, body: "a") }
                                b.respond { _ in .reply(200, body: "b") }
                                c.respond { _ in .reply(200, body: "c") }
                                try await body(Replicas(a: a, b: b, c: c))
                            }
                        }
                    }
                }
            }
        }

        /// - Parameter names: The addresses of `api.test`.
        private func withTransport(
            _ names: [String] = [], _ configure: (inout TransportOptions) -> Void = { _ in },
            _ body: (PooledTransport) async throws -> Void
        ) async throws {
            var options = TransportOptions()
            options.proxy = .none
            options.tls.trustRoots = .pem(TestCertificates.authority)
            let addresses = names.compactMap { IPAddress($0) }
            options.resolver = FixedAddresses(addresses.isEmpty ? [:] : ["api.test": addresses], otherwise: nil)
            configure(&options)
            let transport = try PooledTransport(options: options)
            do {
                try await body(transport)
            } catch {
                await transport.close()
                throw error
            }
            await transport.close()
        }

        private static func fetch(
            _ transport: PooledTransport, _ url: String, at address: String?, clock: any ServiceClock = MonotonicClock()
        ) async throws -> FetchedResponse {
            var context = RequestContext(timeouts: Timeouts(), clock: clock)
            context.placement = AttemptPlacement(address: address.flatMap { IPAddress($0) })
            let response = try await transport.send(.get(url), context: context)
            return FetchedResponse(
                response: response, text: String(buffer: try await response.body.collect(upTo: 1 << 20)))
        }

        private static func addresses(_ transport: PooledTransport) -> [String] {
            transport.snapshot().origins.map { $0.address?.description ?? "any" }
        }

        private static func list(_ addresses: String...) -> [IPAddress] { addresses.compactMap { IPAddress($0) } }

        @Test("Each request reaches the server at its address, over a connection of this address; no name is looked up")
        func contents() async throws {
            try await withReplicas { replicas in
                try await withTransport { transport in
                    let url = "http://api.test:\(replicas.port)/"
                    for round in 1...2 {
                        for (address, text) in [("127.0.0.1", "a"), ("127.0.0.2", "b"), ("127.0.0.3", "c")] {
                            let fetched = try await Self.fetch(transport, url, at: address)
                            #expect(fetched.text == text)
                            #expect(fetched.response.connection?.peer == "\(address):\(replicas.port)")
                            #expect(fetched.isReused == (round == 2))
                            #expect(fetched.response.timings.resolve == nil)
                        }
                    }
                    for server in [replicas.a, replicas.b, replicas.c] {
                        #expect(server.connections.count == 1)
                        #expect(server.requests.count == 2)
                        for request in server.requests {
                            #expect(request.head.contains("Host: api.test:\(replicas.port)\r\n"))
                        }
                    }
                    let origins = transport.snapshot().origins
                    #expect(Self.addresses(transport) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
                    #expect(Set(origins.map(\.origin.description)) == ["http://api.test:\(replicas.port)"])
                    for origin in origins { #expect(origin.idle == 1 && origin.opened == 1 && origin.proxy == nil) }
                    // The resolver knows no such name.
                    let error = try await serviceError { _ = try await Self.fetch(transport, url, at: nil) }
                    #expect(error.code == .nameResolutionFailed)
                }
            }
        }

        @Test("A request without an address has connections of its own")
        func unplaced() async throws {
            try await withReplicas { replicas in
                try await withTransport(["127.0.0.1"]) { transport in
                    let url = "http://api.test:\(replicas.port)/"
                    for address in ["127.0.0.1", nil] {
                        let fetched = try await Self.fetch(transport, url, at: address)
                        #expect(fetched.text == "a")
                        #expect(!fetched.isReused)
                    }
                    #expect(Self.addresses(transport) == ["any", "127.0.0.1"])
                    #expect(replicas.a.connections.count == 2)
                }
            }
        }

        @Test("TLS verifies the name of the origin, not the address; a refused certificate's error names the address")
        func names() async throws {
            try await withReplicas(.tls()) { replicas in
                try await withTransport { transport in
                    // The certificate is valid for `localhost`, but not for 127.0.0.2.
                    let fetched = try await Self.fetch(
                        transport, "https://localhost:\(replicas.port)/", at: "127.0.0.2")
                    #expect(fetched.text == "b")
                    #expect(fetched.response.connection?.peer == "127.0.0.2:\(replicas.port)")
                    #expect(replicas.b.connections.map(\.serverName) == ["localhost"])

                    let error = try await serviceError {
                        _ = try await Self.fetch(transport, "https://api.test:\(replicas.port)/", at: "127.0.0.3")
                    }
                    #expect(error.code == .tlsHandshakeFailed)
                    #expect(error.message.hasSuffix("the dial was for the address 127.0.0.3"))
                    #expect(replicas.c.requests.isEmpty)
                    #expect(replicas.a.connections.isEmpty)
                }
            }
        }

        @Test("Over HTTP/2 the requests to one address share its connection")
        func http2() async throws {
            try await withReplicas(.http2(LoopbackTLS())) { replicas in
                try await withTransport { transport in
                    let url = "https://localhost:\(replicas.port)/"
                    for (address, text) in [("127.0.0.2", "b"), ("127.0.0.3", "c"), ("127.0.0.2", "b")] {
                        let fetched = try await Self.fetch(transport, url, at: address)
                        #expect(fetched.text == text)
                        #expect(fetched.response.connection?.protocolVersion == .http2)
                        #expect(fetched.response.connection?.peer == "\(address):\(replicas.port)")
                    }
                    #expect(replicas.b.connections.count == 1)
                    #expect(replicas.b.requests.map(\.stream) == [1, 3])
                    #expect(replicas.c.connections.count == 1)
                    #expect(replicas.a.connections.isEmpty)
                }
            }
        }

        @Test("If the address refuses, no other address is tried, and the error names it")
        func refused() async throws {
            try await withReplicas { replicas in
                try await withTransport(["127.0.0.1", "127.0.0.9"]) { transport in
                    let error = try await serviceError {
                        _ = try await Self.fetch(transport, "http://api.test:\(replicas.port)/", at: "127.0.0.9")
                    }
                    #expect(error.code == .connectionRefused)
                    #expect(error.message == "the peer refused the connection (tried 127.0.0.9)")
                    #expect(error.progress == .neverSent)
                    #expect(replicas.a.connections.isEmpty)
                }
            }
        }

        @Test("If the address swallows packets, the dial ends at timeouts.connect, and the error names the address")
        func silent() async throws {
            let clock = TestClock()
            try await withLoopbackServer(.unreachable) { server in
                try await withTransport {
                    $0.clock = clock
                    $0.connectTimeout = .seconds(3)
                } _: { transport in
                    let url = "http://api.test:\(server.port)/"
                    let limit = MonotonicInstant(nanoseconds: 3_000_000_000)
                    let error = try await clock.failure(
                        of: { try await Self.fetch(transport, url, at: "127.0.0.1", clock: clock) }, noLaterThan: limit
                    ) {
                        try await eventually("the socket") { transport.openChannels == 1 }
                    }
                    #expect(error.code == .connectTimeout)
                    #expect(error.message.hasSuffix("the dial was for the address 127.0.0.1"))
                }
            }
        }

        @Test("A request that is sent again after its connection was found dead stays at its address")
        func resend() async throws {
            try await withReplicas { replicas in
                replicas.b.respond { request in request.number == 1 ? .reply(200, body: "b") : .close }
                try await withTransport { transport in
                    let url = "http://api.test:\(replicas.port)"
                    _ = try await Self.fetch(transport, "\(url)/first", at: "127.0.0.2")
                    let victim = try await Self.fetch(transport, "\(url)/victim", at: "127.0.0.2")
                    #expect(victim.text == "b")
                    #expect(victim.response.resends == 1)
                    #expect(victim.response.connection?.peer == "127.0.0.2:\(replicas.port)")
                    #expect(replicas.b.executions(of: "/victim") == 2)
                    #expect(replicas.a.connections.isEmpty && replicas.c.connections.isEmpty)
                }
            }
        }

        @Test("When an address vanishes, its idle connections close at once, and the others after their requests")
        func vanished() async throws {
            let gate = Gate()
            try await withReplicas { replicas in
                replicas.b.route(.get, "/slow") { _ in .reply(200, body: "slow").held(by: gate) }
                try await withTransport { transport in
                    let url = "http://api.test:\(replicas.port)"
                    let origin = try ServiceURL(url).origin
                    _ = try await Self.fetch(transport, url, at: "127.0.0.1")
                    let slow = Task { try await Self.fetch(transport, "\(url)/slow", at: "127.0.0.2") }
                    try await replicas.b.waitForRequests(count: 1)
                    _ = try await Self.fetch(transport, url, at: "127.0.0.2")

                    transport.keepOnly(Self.list("127.0.0.1"), of: origin)
                    let snapshot = transport.snapshot()
                    #expect(snapshot.closed == ["addressGone": 1])
                    #expect(snapshot.origins.map(\.idle) == [1, 0])
                    #expect(snapshot.origins.map(\.active) == [0, 1])
                    try await replicas.b.waitForOpenConnections(count: 1)

                    // A call that had chosen the address before.
                    let late = try await Self.fetch(transport, url, at: "127.0.0.2")
                    #expect(late.text == "b")
                    #expect(!late.isReused)
                    try await eventually("it closes") { transport.snapshot().closed == ["addressGone": 2] }

                    gate.open()
                    let fetched = try await slow.value
                    #expect(fetched.text == "slow")
                    try await eventually("the pool goes") { Self.addresses(transport) == ["127.0.0.1"] }
                    let end = transport.snapshot()
                    #expect(end.closed == ["addressGone": 3])
                    #expect(end.opened == 4)
                    #expect(end.idle == 1)
                    try await replicas.b.waitForOpenConnections(count: 0)
                    let other = try await Self.fetch(transport, url, at: "127.0.0.1")
                    #expect(other.isReused)
                }
            }
        }

        @Test("Over HTTP/2 the streams of an address that has vanished end as usual, and then the connection closes")
        func vanishedHTTP2() async throws {
            let gate = Gate()
            try await withReplicas(.http2) { replicas in
                replicas.b.route(.get, "/slow") { _ in .reply(200, body: "slow").held(by: gate) }
                try await withTransport {
                    $0.http2.negotiation = .http2Only
                } _: { transport in
                    let url = "http://api.test:\(replicas.port)"
                    let origin = try ServiceURL(url).origin
                    let slow = Task { try await Self.fetch(transport, "\(url)/slow", at: "127.0.0.2") }
                    try await replicas.b.waitForRequests(count: 1)
                    transport.keepOnly(Self.list("127.0.0.1"), of: origin)
                    let late = try await Self.fetch(transport, url, at: "127.0.0.2")
                    #expect(late.text == "b")
                    #expect(late.connectionID == 2)
                    gate.open()
                    let fetched = try await slow.value
                    #expect(fetched.text == "slow")
                    #expect(fetched.connectionID == 1)
                    try await eventually("both are closed") { transport.snapshot().closed == ["addressGone": 2] }
                    try await eventually("the pool goes") { transport.snapshot().origins.isEmpty }
                }
            }
        }

        @Test("If an address comes back while a request is in flight, the connection is kept")
        func cameBack() async throws {
            let gate = Gate()
            try await withReplicas { replicas in
                replicas.b.route(.get, "/slow") { _ in .reply(200, body: "slow").held(by: gate) }
                try await withTransport { transport in
                    let url = "http://api.test:\(replicas.port)"
                    let origin = try ServiceURL(url).origin
                    let slow = Task { try await Self.fetch(transport, "\(url)/slow", at: "127.0.0.2") }
                    try await replicas.b.waitForRequests(count: 1)
                    transport.keepOnly(Self.list("127.0.0.1"), of: origin)
                    transport.keepOnly(Self.list("127.0.0.1", "127.0.0.2"), of: origin)
                    gate.open()
                    _ = try await slow.value
                    let next = try await Self.fetch(transport, url, at: "127.0.0.2")
                    #expect(next.isReused)
                    #expect(transport.snapshot().closed.isEmpty)
                }
            }
        }

        @Test("An address that vanishes closes no connection of another origin, nor one that was dialled without it")
        func others() async throws {
            try await withReplicas { replicas in
                try await withTransport(["127.0.0.2"]) { transport in
                    let url = "http://api.test:\(replicas.port)"
                    _ = try await Self.fetch(transport, url, at: nil)
                    _ = try await Self.fetch(transport, "http://other.test:\(replicas.port)", at: "127.0.0.2")
                    _ = try await Self.fetch(transport, url, at: "127.0.0.2")
                    transport.keepOnly([], of: try ServiceURL(url).origin)
                    #expect(transport.snapshot().closed == ["addressGone": 1])
                    #expect(transport.snapshot().idle == 2)
                    #expect(Self.addresses(transport) == ["any", "127.0.0.2"])
                }
            }
        }

        @Test("A shutdown's deadline also ends requests to an address that has vanished")
        func shutdown() async throws {
            try await withReplicas { replicas in
                replicas.b.route(.get, "/stall") { _ in .stall }
                try await withTransport { transport in
                    let url = "http://api.test:\(replicas.port)"
                    let stalled = Task { try await Self.fetch(transport, "\(url)/stall", at: "127.0.0.2") }
                    try await replicas.b.waitForRequests(count: 1)
                    transport.keepOnly([], of: try ServiceURL(url).origin)
                    transport.beginDrain()
                    #expect(transport.snapshot().active == 1)
                    let closed = await transport.close()
                    #expect(closed == 1)
                    let error = try await serviceError { _ = try await stalled.value }
                    #expect(error.code == .forciblyClosed)
                    #expect(transport.openChannels == 0)
                    #expect(transport.snapshot().closed == ["forced": 1])
                }
            }
        }

        @Test("pool.maximumIdlePerOrigin counts the idle connections of all addresses; the one idle longest closes")
        func idleLimit() async throws {
            try await withReplicas { replicas in
                try await withTransport {
                    $0.pool.maximumIdlePerOrigin = 2
                } _: { transport in
                    let url = "http://api.test:\(replicas.port)"
                    for address in ["127.0.0.2", "127.0.0.1", "127.0.0.3"] {
                        _ = try await Self.fetch(transport, url, at: address)
                    }
                    #expect(transport.snapshot().idle == 2)
                    #expect(transport.snapshot().closed == ["idleCapacity": 1])
                    #expect(Self.addresses(transport) == ["127.0.0.1", "127.0.0.3"])
                    try await replicas.b.waitForOpenConnections(count: 0)
                    // Another origin has a limit of its own.
                    _ = try await Self.fetch(transport, "http://other.test:\(replicas.port)", at: "127.0.0.2")
                    #expect(transport.snapshot().idle == 3)
                }
            }
        }

        @Test("Prewarmed connections are spread evenly over the addresses, and placed requests use them")
        func prewarm() async throws {
            try await withReplicas { replicas in
                try await withTransport(["127.0.0.1", "127.0.0.2"]) { transport in
                    let url = "http://api.test:\(replicas.port)"
                    let origin = try ServiceURL(url).origin
                    try await transport.prewarm(origin, connections: 5, overAddresses: true)
                    #expect(Self.addresses(transport) == ["127.0.0.1", "127.0.0.2"])
                    #expect(transport.snapshot().origins.map(\.idle) == [3, 2])
                    try await replicas.a.waitForConnections(count: 3)
                    try await replicas.b.waitForConnections(count: 2)
                    let fetched = try await Self.fetch(transport, url, at: "127.0.0.2")
                    #expect(fetched.text == "b")
                    #expect(replicas.a.connections.count == 3)
                    #expect(replicas.b.connections.count == 2)
                    #expect(replicas.c.connections.isEmpty)
                }
            }
        }

        @Test("The listed addresses of a host are those that requests can choose")
        func listed() async throws {
            try await withReplicas { replicas in
                try await withTransport(["127.0.0.3", "127.0.0.1"]) { transport in
                    let url = "http://api.test:\(replicas.port)"
                    let addresses = try await transport.addresses(of: ServiceURL(url).origin, deadline: nil)
                    var texts: [String] = []
                    for address in try #require(addresses) {
                        texts.append(try await Self.fetch(transport, url, at: address.description).text)
                    }
                    #expect(texts == ["c", "a"])
                }
            }
        }
    }
#endif
