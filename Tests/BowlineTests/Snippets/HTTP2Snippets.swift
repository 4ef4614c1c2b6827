import Bowline

/// The snippets of Docs/HTTP2.md in their order, with the imports that it shows. Nothing here is run.
private enum HTTP2Snippets {
    static func snippet1(_ client: ServiceClient) async throws {
        let response = try await client.get("users/42")
        if let connection = response.connection {
            print(connection.protocolVersion.rawValue, "stream", connection.stream ?? 0)
        }
        print(client.pool.snapshot().streams, "requests on HTTP/2 connections now")
    }
}
