import Bowline
import BowlineTesting
import Testing

@Suite("Clients derived by with and scoped", .timeLimit(.minutes(1)))
struct DerivedClientTests {
    private final class Listener: ServiceEventListener {}

    private static let region = HTTPField.Name("X-Region")!

    @Test("Derived clients share connections: one pool, one numbering")
    func sharedConnections() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.path) }
            try await withServiceClient(server.url("v1")) { client in
                let patient = try client.with { $0.timeouts.total = nil }
                let users = try patient.scoped(to: "users")
                var ids: [Int?] = []
                for (client, path) in [
                    (client, "/v1/a"), (patient, "/v1/a"), (users, "/v1/users/a"), (client, "/v1/a"),
                ] {
                    let response = try await client.get("a")
                    #expect(try await response.text() == path)
                    ids.append(response.connection?.id)
                }
                #expect(ids == [1, 1, 1, 1])
                #expect(users.pool.snapshot().opened == 1)
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("Derived clients share one lifecycle: the shutdown of one drains and ends all")
    func sharedLifecycle() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.route(.get, "/slow") { _ in .reply(200, body: "done").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            let derived = try client.with { $0.retry = .never }
            async let slow = client.get("slow").text()
            try await server.waitForRequests(count: 1)
            async let report = derived.shutdown(within: .seconds(10))
            for await progress in client.shutdownProgress where progress.state != .running { break }
            for each in [client, derived, try derived.scoped(to: "x")] {
                let error = try await serviceError { _ = try await each.get("slow") }
                #expect(error.code == .shuttingDown)
            }
            gate.open()
            #expect(try await slow == "done")
            #expect(await report.drained == 1)
            #expect(await report.isClean)
        }
    }

    @Test("A derived client has its own policies, and its parent keeps its own")
    func ownPolicies() async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(.ok))
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub)
        let quick = try client.with {
            $0.timeouts.attempt = .seconds(1)
            $0.retry.maximumAttempts = 1
        }
        #expect(client.configuration.retry.maximumAttempts == 3)
        #expect(quick.configuration.retry.maximumAttempts == 1)
        for each in [client, quick, try quick.scoped(to: "")] { _ = try await each.get("a") }
        #expect(stub.calls.map(\.context.timeouts.attempt) == [nil, .seconds(1), .seconds(1)])
    }

    static let shared: [(path: String, change: @Sendable (inout ClientConfiguration) -> Void)] = [
        ("timeouts.connect", { $0.timeouts.connect = .seconds(1) }), ("pool", { $0.pool = .lowMemory }),
        ("connection", { $0.connection.isNoDelay = false }), ("tls", { $0.tls.verification = .disabled }),
        ("proxy", { $0.proxy = .none }),
        ("lifecycle", { $0.lifecycle.drainTimeout = .zero }), ("clock and random", { $0.clock = TestClock() }),
        ("clock and random", { $0.random = { 0 } }),
        ("resolver", { $0.resolver = FixedAddresses([:], otherwise: nil) }),
        ("telemetry.isMetricsEnabled", { $0.telemetry.isMetricsEnabled = false }),
        ("telemetry.events", { $0.telemetry.events.append(Listener()) }),
        ("telemetry.events", { $0.telemetry.events[0] = Listener() }),
        ("retry.maximumAttempts", { $0.retry.maximumAttempts = 0 }),
    ]

    @Test(
        "A derived client cannot change shared settings, and out-of-range values are refused", arguments: shared.indices
    )
    func refused(index: Int) throws {
        let (path, change) = Self.shared[index]
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport()) {
            $0.telemetry.events = [Listener()]
        }
        _ = try client.with { $0.telemetry.isTracingEnabled = false }
        let error = #expect(throws: ServiceError.self) { try client.with(change) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.hasPrefix("\(path):") == true, "\(error?.message ?? "")")
    }

    @Test("scoped appends to the base URL and adds fields; a request's own fields win, and fields of other names stay")
    func scopedFields() async throws {
        let stub = StubTransport()
        stub.on(nil, "/v1/users/42", always: .respond(.ok))
        stub.on(nil, "/v1/users", always: .respond(.ok))
        let client = try ServiceClient(baseURL: "http://example.com/v1", transport: stub) {
            $0.fields = [.userAgent: "app/1", .accept: "application/json"]
        }
        let users = try client.scoped(to: "users", fields: [Self.region: "eu", .accept: "text/plain"])
        _ = try await users.get("42", fields: [Self.region: "us"])
        _ = try await users.get("")
        _ = try await client.get("users/42")
        #expect(stub.calls.map { $0.fields[Self.region] } == ["us", "eu", nil])
        #expect(stub.calls.map { $0.fields[.accept] } == ["text/plain", "text/plain", "application/json"])
        #expect(stub.calls.map { $0.fields[.userAgent] } == ["app/1", "app/1", "app/1"])
        #expect(users.baseURL?.path == "/v1/users")
    }

    @Test("scoped keeps the order of the fields")
    func scopedOrder() throws {
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport())
        let names = (1...20).compactMap { HTTPField.Name("X-Field-\($0)") }
        let fields = HTTPFields((names + names).map { HTTPField(name: $0, value: "v") })
        let scoped = try client.scoped(to: "a", fields: fields)
        #expect(scoped.configuration.fields.map(\.name) == names.flatMap { [$0, $0] })
    }

    @Test("A client's fields are not sent to another origin by an absolute URL", .tags(.I9))
    func fieldsStayHome() async throws {
        let stub = StubTransport()
        stub.on(nil, "http://example.com/a", always: .respond(.ok))
        stub.on(nil, "http://elsewhere.example/a", always: .respond(.ok))
        stub.on(nil, "https://example.com/a", always: .respond(.ok))
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub) {
            $0.fields = [.authorization: "Bearer canary"]
        }
        for url in ["a", "http://example.com:80/a", "http://elsewhere.example/a", "https://example.com/a"] {
            _ = try await client.get(url)
        }
        #expect(stub.calls.map { $0.fields.contains(.authorization) } == [true, true, false, false])
    }

    @Test(
        "scoped refuses absolute URLs, queries, and a client without a base",
        arguments: ["http://a/b", "a?b=1", "a:b\n", "1a://\u{301}b"])
    func badScope(path: String) async throws {
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport())
        let error = #expect(throws: ServiceError.self) { try client.scoped(to: path) }
        #expect(error?.code == .invalidURL)
        let baseless = #expect(throws: ServiceError.self) { try ServiceClient().scoped(to: "a") }
        #expect(baseless?.code == .invalidURL)
    }

    @Test("print(client) is short and contains neither query nor fields; so is a configuration's text")
    func descriptions() async throws {
        let client = try ServiceClient(baseURL: "http://example.com/v1?key=canary", transport: StubTransport()) {
            $0.fields = [.authorization: "canary"]
        }
        #expect("\(client)" == "ServiceClient(http://example.com:80/v1)")
        #expect("\(client.configuration)".hasPrefix("ClientConfiguration("))
        await client.shutdown()
        #expect("\(client)" == "ServiceClient(http://example.com:80/v1, closed)")
        var dumped = ""
        dump(client, to: &dumped)
        #expect(!(dumped + "\(client.configuration)" + String(reflecting: client)).contains("canary"))
    }
}
