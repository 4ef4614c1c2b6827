import Bowline
import BowlineTesting
import Testing

@Suite("A client with a resolver of the program", .timeLimit(.minutes(1)))
struct ResolverOptionTests {
    /// Records what the client asks for.
    private final class Recording: ServiceResolver {
        private let asked = Guarded<[String]>([])
        private let addresses: [IPAddress]

        init(_ addresses: [IPAddress]) {
            self.addresses = addresses
        }

        var hosts: Set<String> { Set(asked.withLock { $0 }) }
        var count: Int { asked.withLock { $0.count } }

        func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
            asked.withLock { $0.append(host) }
            return ResolvedAddresses(addresses.filter { $0.family == family })
        }
    }

    private func withClient(
        _ resolver: any ServiceResolver, configure: (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            let client = try ServiceClient(baseURL: "http://api.test:\(server.port)") {
                $0.resolver = resolver
                $0.retry = .never
                configure(&$0)
            }
            do {
                try await body(client, server)
            } catch {
                await client.shutdown(within: .zero)
                throw error
            }
            await client.shutdown(within: .zero)
        }
    }

    @Test("The client connects to a fixed address, and still sends the name")
    func fixed() async throws {
        let address = try #require(IPAddress("127.0.0.1"))
        try await withClient(FixedAddresses(["API.test": [address]])) { client, server in
            let response = try await client.fetch("/")
            #expect(response.text == "x")
            #expect(server.requests.first?.head.contains("Host: api.test:\(server.port)\r\n") == true)
        }
    }

    @Test("An answer is kept: three connections make one call per family")
    func kept() async throws {
        let resolver = Recording([try #require(IPAddress("127.0.0.1"))])
        try await withClient(resolver, configure: { $0.pool.isEnabled = false }) { client, server in
            for _ in 1...3 { _ = try await client.fetch("/") }
            #expect(server.connections.count == 3)
            #expect(resolver.hosts == ["api.test"])
            #expect(resolver.count == 2)
        }
    }

    @Test("IP addresses and localhost are not looked up")
    func notLookedUp() async throws {
        let resolver = Recording([])
        try await withClient(resolver) { client, server in
            for host in ["127.0.0.1", "localhost"] {
                let response = try await client.fetch("http://\(host):\(server.port)/")
                #expect(response.text == "x")
            }
            #expect(resolver.count == 0)
        }
    }

    @Test("A name that the resolver does not know fails with nameResolutionFailed and the resolver's error")
    func unknown() async throws {
        try await withClient(FixedAddresses([:], otherwise: nil)) { client, _ in
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .nameResolutionFailed)
            #expect(error.progress == .neverSent)
            #expect((error.underlying as? NameLookupError)?.reason == .noSuchHost)
        }
    }

    @Test("A host without addresses of either family fails with the reason noAddress")
    func noAddress() async throws {
        try await withClient(Recording([])) { client, _ in
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .nameResolutionFailed)
            #expect((error.underlying as? NameLookupError)?.reason == .noAddress)
        }
    }
}
