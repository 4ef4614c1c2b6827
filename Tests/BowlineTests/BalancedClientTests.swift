import Bowline
import BowlineTesting
import Testing

@Suite("A client that balances over base URLs", .timeLimit(.minutes(1)))
struct BalancedClientTests {
    private static let key = HTTPField.Name("X-Api-Key")!

    private func client(
        _ stub: StubTransport, endpoints: EndpointSource = .fixed([ServiceEndpoint("http://a.example/api")]),
        _ configure: (inout ClientConfiguration) -> Void = { _ in }
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: "https://service.example/v1", transport: stub) {
            var balancing = BalancingOptions()
            balancing.endpoints = endpoints
            $0.resilience.balancing = balancing
            $0.authentication = try? BearerAuthentication(token: "secret")
            $0.fields = [Self.key: "own"]
            configure(&$0)
        }
    }

    private func sent(_ stub: StubTransport) -> [String] {
        stub.calls.map {
            "\($0.request.url?.absoluteString ?? "") \($0.fields[.authorization] ?? "-") \($0.fields[Self.key] ?? "-")"
        }
    }

    @Test(
        "Endpoints replace the base URL that the client was made with, for scoped and derived clients too", .tags(.BA12)
    )
    func derivedClients() async throws {
        let stub = StubTransport()
        stub.on(.get, "/api/users/42", always: .respond())
        let client = try client(stub)
        let users = try client.scoped(to: "users")
        let tagged = try client.scoped(to: "users", fields: [Self.key: "other"])
        let patient = try client.with { $0.timeouts.total = nil }
        _ = try await client.get("users/42")
        _ = try await users.get("42")
        _ = try await tagged.get("42")
        _ = try await patient.get("users/42")
        let url = "http://a.example/api/users/42 Bearer secret"
        #expect(sent(stub) == ["\(url) own", "\(url) own", "\(url) other", "\(url) own"])
        await client.shutdown()
    }

    @Test("An absolute URL of an endpoint, as responses contain it, is a request to the service", .tags(.BA12))
    func absoluteURL() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "/api/users",
            always: .respond(fields: [HTTPField.Name("Link")!: "<http://a.example/api/users?page=2>; rel=\"next\""]))
        let client = try client(stub)
        let first = try await client.get("users")
        #expect(first.url?.absoluteString == "http://a.example/api/users")
        let next = try #require(first.links.first)
        _ = try await client.get(next.target.absoluteString)
        #expect(
            sent(stub) == [
                "http://a.example/api/users Bearer secret own", "http://a.example/api/users?page=2 Bearer secret own",
            ])
        await client.shutdown()
    }

    @Test("Other origins are not balanced, and get neither credentials nor the client's fields", .tags(.BA12))
    func otherOrigins() async throws {
        let stub = StubTransport()
        stub.on(.get, "http://other.example/x", always: .respond())
        let client = try client(stub)
        _ = try await client.get("http://other.example/x")
        #expect(sent(stub) == ["http://other.example/x - -"])
        await client.shutdown()
    }

    @Test("A list of endpoints without a base URL is a problem of the configuration", .tags(.BI1))
    func withoutBase() throws {
        let error = #expect(throws: ServiceError.self) {
            try ServiceClient {
                var balancing = BalancingOptions()
                balancing.endpoints = .fixed([ServiceEndpoint("http://a.example")])
                $0.resilience.balancing = balancing
            }
        }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("resilience.balancing.endpoints") == true)
    }

    @Test("Addresses may be balanced without a base URL")
    func addressesWithoutBase() async throws {
        let stub = StubTransport()
        stub.on(.get, "/x", always: .respond())
        let client = try ServiceClient(transport: stub) { $0.resilience.balancing = BalancingOptions() }
        let response = try await client.get("http://host.example/x")
        #expect(response.status == .ok)
        await client.shutdown()
    }

    @Test("A shutdown ends the reading of a sequence of lists", .tags(.BA11))
    func shutdown() async throws {
        let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
        let stopped = Gate()
        source.onTermination = { _ in stopped.open() }
        source.yield([ServiceEndpoint("http://a.example")])
        let stub = StubTransport()
        stub.on(.get, "/users", always: .respond())
        let client = try client(stub, endpoints: .updates(EndpointUpdates(lists)))
        let response = try await client.get("users")
        #expect(response.status == .ok)
        #expect(!stopped.isOpen)
        await client.shutdown()
        try await stopped.wait()
    }

    @Test("A shutdown ends the wait of a retry for an endpoint; nothing more is sent", .tags(.BA9))
    func shutdownEndsRetry() async throws {
        try await withVirtualTime(seed: 1) { time in
            let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
            source.yield([ServiceEndpoint("http://a.example")])
            let stub = StubTransport()
            stub.on(.get, "/users") { _ in
                source.yield([])
                return .respond(.serviceUnavailable)
            }
            let client = try client(stub, endpoints: .updates(EndpointUpdates(lists))) {
                $0.clock = time.clock
                $0.random = time.random
            }
            async let call = client.get("users")
            try await time.sleep(for: .seconds(5))
            #expect(stub.calls.count == 1)
            await client.shutdown()
            #expect(time.elapsed == .seconds(5))
            source.yield([ServiceEndpoint("http://b.example")])
            var error: ServiceError?
            do { _ = try await call } catch let failure as ServiceError { error = failure }
            #expect(error?.code == .noEndpoint)
            // The call got further than this attempt.
            #expect(error?.progress == .responseStarted)
            #expect(error?.attempts == 2)
            #expect(error?.requestsSent == 1)
            #expect(error?.message.contains("began to shut down") == true)
            #expect(stub.calls.count == 1)
        }
    }

    @Test("During a shutdown, the first attempt of a call still waits for an endpoint, and is sent", .tags(.BA9))
    func shutdownKeepsFirst() async throws {
        try await withVirtualTime(seed: 1) { time in
            let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
            let stub = StubTransport()
            stub.on(.get, "/users", always: .respond(body: "x"))
            let client = try client(stub, endpoints: .updates(EndpointUpdates(lists))) {
                $0.clock = time.clock
                $0.random = time.random
            }
            async let call = client.get("users").text()
            try await time.sleep(for: .seconds(1))
            async let report = client.shutdown()
            try await time.sleep(for: .seconds(1))
            source.yield([ServiceEndpoint("http://a.example")])
            let text = try await call
            #expect(text == "x")
            _ = await report
            #expect(sent(stub) == ["http://a.example/users Bearer secret own"])
        }
    }

    @Test("The release of the last copy of a client ends the reading of a sequence of lists", .tags(.BA11))
    func release() async throws {
        let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
        let stopped = Gate()
        source.onTermination = { _ in stopped.open() }
        source.yield([ServiceEndpoint("http://a.example")])
        let stub = StubTransport()
        stub.on(.get, "/users", always: .respond())
        do {
            let client = try client(stub, endpoints: .updates(EndpointUpdates(lists)))
            _ = try await client.get("users")
        }
        try await stopped.wait()
    }

    @Test(
        "Over sockets: the release of a client ends the reading of a sequence, and closes the connections", .tags(.BA11)
    )
    func releaseOverSockets() async throws {
        try await withLoopbackServers(2) { servers in
            let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
            let stopped = Gate()
            source.onTermination = { _ in stopped.open() }
            source.yield(servers.map { ServiceEndpoint($0.baseURL) })
            for server in servers { server.respond { _ in .reply(200, body: "x") } }
            func use() async throws {
                let client = try ServiceClient(baseURL: "http://service.invalid") {
                    $0.proxy = .none
                    $0.resilience.balancing = BalancingOptions { $0.endpoints = .updates(EndpointUpdates(lists)) }
                }
                while servers.contains(where: { $0.requests.isEmpty }) {
                    let text = try await client.get("x").text()
                    #expect(text == "x")
                }
                withExtendedLifetime(client) { #expect(!stopped.isOpen) }
            }
            try await use()
            try await stopped.wait()
            for server in servers { try await server.waitForOpenConnections(count: 0) }
        }
    }

    @Test("A shutdown's deadline ends calls that wait for an endpoint", .tags(.BA9))
    func forced() async throws {
        let (lists, source) = AsyncStream<[ServiceEndpoint]>.makeStream()
        let clock = TestClock()
        let client = try client(StubTransport(), endpoints: .updates(EndpointUpdates(lists))) { $0.clock = clock }
        let call = Task { try await client.get("users") }
        try await clock.waitForSleepers()
        async let report = client.shutdown(within: .seconds(2))
        try await clock.waitForSleepers(count: 2)
        clock.advance(by: .seconds(2))
        let result = await call.result
        let error = #expect(throws: ServiceError.self) { try result.get() }
        #expect(error?.code == .forciblyClosed)
        #expect(error?.progress == .neverSent)
        let forced = await report.forced
        #expect(forced.count == 1)
        withExtendedLifetime(source) {}
    }

    @Test(
        "Over sockets: retries go to the other server, and the response says which server it comes from",
        .tags(.BA3, .BA7))
    func overSockets() async throws {
        try await withLoopbackServers(2) { servers in
            servers[0].respond { _ in .reply(503) }
            servers[1].respond { .reply(200, body: $0.path) }
            let endpoints = servers.map { ServiceEndpoint($0.url("api")) }
            let client = try ServiceClient(baseURL: "http://service.invalid/v1") {
                var balancing = BalancingOptions()
                balancing.endpoints = .fixed(endpoints)
                balancing.ejection = .seconds(60)
                $0.resilience.balancing = balancing
                $0.retry.backoff.base = .milliseconds(1)
            }
            for _ in 0..<20 {
                let response = try await client.get("users/7")
                #expect(response.status == .ok)
                #expect(response.url?.absoluteString == servers[1].url("api/users/7"))
                let peer = response.connection?.peer
                #expect(peer.map { servers[1].baseURL.hasSuffix($0) } == true)
                let text = try await response.text()
                #expect(text == "/api/users/7")
            }
            // The server that fails was ejected after its fifth failure.
            #expect(servers[0].requests.count <= 5)
            await client.shutdown()
        }
    }
}
