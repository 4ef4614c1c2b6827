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
}
