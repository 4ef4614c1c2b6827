import Bowline
import BowlineTesting
import NIOCore
import Testing

/// What a response and a snapshot tell about connections.
@Suite("Connection facts", .timeLimit(.minutes(1)))
struct ConnectionFactsTests {
    @Test("A response says which connection served it, over IPv4, IPv6, a Unix domain socket and TLS")
    func peers() async throws {
        for options in [LoopbackServer.Options(), .ipv6, .unixSocket, .tls()] {
            try await withLoopbackServer(options) { server in
                server.respond { _ in .reply(200, body: "x") }
                try await withServiceClient(server.baseURL) {
                    $0.tls.trustRoots = .pem(TestCertificates.authority)
                } _: { client in
                    for number in 1...3 {
                        let facts = try #require(try await client.fetch("/").response.connection)
                        #expect(facts.id == 1)
                        #expect(facts.requests == number)
                        #expect(facts.isReused == (number > 1))
                        #expect(facts.protocolVersion == .http1_1)
                        let expected =
                            switch options.address {
                            case .ipv4: "127.0.0.1:\(server.port)"
                            case .ipv6: "[::1]:\(server.port)"
                            case .unixSocket: server.socketPath ?? ""
                            }
                        #expect(facts.peer == expected)
                    }
                    #expect(server.connections.count == 1)
                }
                let hosts = Set(
                    server.requests.compactMap { $0.fields.first { $0.name.canonicalName == "host" }?.value }
                )
                let name = options.tls == nil ? "127.0.0.1" : "localhost"
                switch options.address {
                case .ipv4: #expect(hosts == ["\(name):\(server.port)"])
                case .ipv6: #expect(hosts == ["[::1]:\(server.port)"])
                case .unixSocket: #expect(hosts.count == 1)
                }
            }
        }
    }

    @Test("Phase timings are in order, on the client's clock, and the dial has a time if there was one")
    func timings() async throws {
        let clock = TestClock(start: MonotonicInstant(nanoseconds: 1_000))
        let gates = [Gate(), Gate()]
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: "x").held(by: gates[request.number - 1]) }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.clock = clock }
            for number in 0...1 {
                let before = clock.now
                async let fetched = client.fetch("/")
                try await server.waitForRequests(count: number + 1)
                // The server may have the request before the client's loop has noted that it was written.
                try await eventually("sent") { client.pool.snapshot().active == 1 }
                clock.advance(by: .seconds(3))
                gates[number].open()
                let timings = try await fetched.response.timings
                let after = before.advanced(by: .seconds(3))
                #expect(timings.started == before)
                #expect(timings.leased == before)
                #expect(timings.sent == before || timings.sent == after)
                #expect(timings.firstByte == after)
                #expect(timings.head == after)
                #expect(timings.dial == (number == 0 ? .zero : nil))
            }
            try await end(client, clock)
        }
    }

    @Test("Phase timings on the machine's clock never go backwards")
    func realTimings() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x").delayed(by: .milliseconds(2)) }
            try await withServiceClient(server.baseURL) { client in
                for number in 1...20 {
                    let timings = try await client.fetch("/").response.timings
                    let instants = [timings.started, timings.leased, timings.sent, timings.firstByte, timings.head]
                    let known = try instants.map { try #require($0) }
                    #expect(known == known.sorted())
                    // The answer comes 2 ms after the request. That the request was written may be noticed late.
                    #expect(known[1].duration(to: known[3]) >= .milliseconds(2))
                    #expect((timings.dial != nil) == (number == 1))
                }
            }
        }
    }

    /// Snapshots of a pool that has at most two connections to an origin.
    private struct Snapshots {
        /// With three requests to the first origin that are not answered, and one to the second that was answered with
        /// `Connection: close`.
        let busy: PoolSnapshot
        let first: OriginPoolSnapshot
        let second: OriginPoolSnapshot
        /// After all requests were answered.
        let afterwards: PoolSnapshot
    }

    private func snapshots() async throws -> Snapshots {
        try await withLoopbackServers(2) { servers in
            let gate = Gate()
            for server in servers {
                server.route(.get, "/held") { _ in .reply(200, body: "x").held(by: gate) }
                server.route(.get, "/close") { _ in .reply(200, fields: [.connection: "close"], body: "x") }
            }
            let client = try ServiceClient { $0.pool.maximumPerOrigin = 2 }
            let held = (0..<3).map { _ in Task { try await client.fetch(servers[0].url("/held")) } }
            try await servers[0].waitForRequests(count: 2)
            try await eventually("a waiter") { client.pool.snapshot().waiting == 1 }
            _ = try await client.fetch(servers[1].url("/close"))
            let busy = client.pool.snapshot()
            gate.open()
            for task in held { _ = try await task.value }
            let afterwards = client.pool.snapshot()
            await client.shutdown()
            return Snapshots(
                busy: busy, first: try #require(busy.origins.first { $0.origin.port == servers[0].port }),
                second: try #require(busy.origins.first { $0.origin.port == servers[1].port }), afterwards: afterwards)
        }
    }

    @Test("A snapshot counts the connections and the waiters of each origin")
    func snapshotOfOrigins() async throws {
        let seen = try await snapshots()
        #expect(seen.busy.origins.count == 2)
        #expect(seen.first.active == 2)
        #expect(seen.first.idle == 0)
        #expect(seen.first.waiting == 1)
        #expect(seen.first.opened == 2)
        #expect(seen.first.dialling == 0)
        #expect(seen.first.closed.isEmpty)
        #expect(seen.second.opened == 1)
        #expect(seen.second.closed == ["connectionCloseRequested": 1])
        #expect(seen.second.active == 0)
    }

    @Test("A snapshot counts the connections and the waiters of all origins together")
    func snapshotOfAll() async throws {
        let seen = try await snapshots()
        #expect(seen.busy.opened == 3)
        #expect(seen.busy.active == 2)
        #expect(seen.busy.waiting == 1)
        #expect(seen.busy.closed == ["connectionCloseRequested": 1])
        #expect(seen.afterwards.idle == 2)
        #expect(seen.afterwards.waiting == 0)
    }

    @Test("Pools of idle origins disappear; their counts stay")
    func coldPools() async throws {
        let clock = TestClock()
        try await withLoopbackServers(3) { servers in
            for server in servers { server.respond { _ in .reply(200, body: "x") } }
            let client = try ServiceClient { $0.clock = clock }
            for server in servers { _ = try await client.fetch(server.url("/")) }
            #expect(client.pool.snapshot().origins.count == 3)
            try await clock.waitForSleepers(count: 3)
            try await drive(clock, by: .seconds(90)) { client.pool.snapshot().origins.isEmpty }
            let snapshot = client.pool.snapshot()
            #expect(snapshot.opened == 3)
            #expect(snapshot.closed == ["idleTimeout": 3])
            // The pools come back as new ones.
            #expect(try await client.fetch(servers[0].url("/")).text == "x")
            #expect(client.pool.snapshot().opened == 4)
            try await end(client, clock)
        }
    }

    @Test("Pools of many vanished servers disappear: memory does not grow with the number of origins seen")
    func coldPoolsOfManyOrigins() async throws {
        let client = try ServiceClient()
        for _ in 0..<200 {
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, fields: [.connection: "close"], body: "x") }
                _ = try await client.fetch(server.url("/"))
            }
        }
        let snapshot = client.pool.snapshot()
        #expect(snapshot.origins.count <= 64)
        #expect(snapshot.opened == 200)
        #expect(snapshot.closed.values.reduce(0, +) == 200)
        await client.shutdown()
    }
}
