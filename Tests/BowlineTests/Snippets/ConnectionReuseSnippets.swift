import Bowline

/// The snippets of Docs/ConnectionReuse.md in their order, with the imports that it shows. Nothing here is run.
private enum ConnectionReuseSnippets {
    static func snippet1(_ client: ServiceClient) async throws {
        let response = try await client.get("users/42")
        print(response.connection?.id ?? 0, response.connection?.isReused ?? false, response.connection?.requests ?? 0)
        print(response.resends, response.timings.dial ?? .zero)  // timings.dial is nil on a reused connection

        let snapshot = client.pool.snapshot()
        print(snapshot.opened, snapshot.idle, snapshot.active, snapshot.dialling, snapshot.waiting, snapshot.closed)
        for origin in snapshot.origins { print(origin.origin, origin.idle, origin.closed) }
    }

    static func resolver() throws -> ServiceClient {
        struct Registry: ServiceResolver {
            let instances: [String: [IPAddress]]

            func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
                guard let all = instances[host] else { throw NameLookupError(.noSuchHost) }
                return ResolvedAddresses(all.filter { $0.family == family }, validFor: .seconds(5))
            }
        }

        let registry = Registry(instances: ["orders.internal": ["192.0.2.1", "192.0.2.2"].compactMap { IPAddress($0) }])
        let fixed = ["192.0.2.9"].compactMap { IPAddress($0) }
        let client = try ServiceClient(baseURL: "https://orders.internal") {
            $0.resolver = FixedAddresses(["new.internal": fixed], otherwise: registry)
        }
        return client
    }
}
