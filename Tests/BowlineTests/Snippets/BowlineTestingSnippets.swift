import Bowline
import BowlineTesting
import Testing

/// The snippets of Sources/BowlineTesting/BowlineTesting.docc/BowlineTesting.md in their order, with the imports that it shows. Nothing here is run.
private enum BowlineTestingSnippets {
    static func snippet1() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/users/{id}", always: .respond(.ok, body: #"{"name":"Ada"}"#))
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub)
        #expect(try await client.get("users/42").status == .ok)
        try stub.verify()
    }
}
